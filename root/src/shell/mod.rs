//! The root's shell: QUIC conversations and store calls around the machines.

#![allow(clippy::disallowed_methods, reason = "a shell reads clocks")]

mod auditing;
mod conversations;
mod core;
mod gauges;
mod health;
mod importing;
mod joining;
mod local_merges;
mod node;
mod outbox;
mod registry;
mod rpc;
mod server;
mod splitting;
mod store_monitor;

pub use joining::JoinError;
pub use node::{RootNode, RootOptions, StartError};
