//! IO and time for the machines: discovery over HTTP, conversations over QUIC.

#![allow(clippy::disallowed_methods, reason = "shells are where clocks are allowed")]

mod acks;
mod cluster;
mod driver;
mod error;
mod handle;
mod inbox;
mod link;
mod producer;
mod queue;
mod requests;
mod subscription;
mod tally;
mod timeline;
mod viewer;
mod viewer_state;

pub use crate::machine::producer::ProducerOptions;
pub use acks::{AckedBatch, OnAck};
pub use cluster::Cluster;
pub use error::ClientError;
pub use handle::CounterHandle;
pub use producer::Producer;
pub use tally::Tally;
pub use viewer::Viewer;
