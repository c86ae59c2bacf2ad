//! A root at work: QUIC conversations and store calls around the machines.

#![allow(clippy::disallowed_methods, reason = "a shell reads clocks")]

mod auditing;
mod conversations;
mod core;
mod errands;
mod gauges;
mod health;
mod importing;
mod joining;
mod node;
mod outbox;
mod registry;
mod rpc;
mod server;
mod splitting;
mod standing;

pub use joining::JoinError;
pub use node::{RootNode, RootOptions, StartError};
