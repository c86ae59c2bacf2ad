//! The leaf's shell: QUIC, HTTP, files and time around the machine.

#![allow(clippy::disallowed_methods, reason = "shells are where clocks and threads are allowed")]

mod calls;
mod core;
mod counting;
mod disk;
mod forgets;
mod http;
mod inputs;
mod node;
mod owners;
mod producers;
mod questions;
mod request;
mod resets;
mod roots;

pub use disk::DiskError;
pub use node::{LeafNode, LeafOptions, StartError};
