//! Moves bytes and time around the leaf's machine: QUIC, HTTP, files.

#![allow(clippy::disallowed_methods, reason = "shells are where clocks and threads are allowed")]

mod calls;
mod core;
mod core_requests;
mod counting;
mod disk;
mod forgets;
mod http;
mod http_state;
mod inputs;
mod node;
mod owners;
mod producers;
mod questions;
mod refusals;
mod request;
mod resets;
mod roots;
mod rpc;
mod start_error;
mod stats;

pub use crate::machine::LeafConfig;
pub use disk::DiskError;
pub use node::{LeafNode, LeafOptions};
pub use start_error::StartError;
