//! Bytes and time for the machines: discovery over HTTP, conversations over QUIC.

#![allow(clippy::disallowed_methods, reason = "shells are where clocks are allowed")]

mod cluster;
mod driver;
mod error;
mod following;
mod handle;
mod inbox;
mod link;
mod producer;
mod queue;
mod timeline;
mod viewer;

pub use cluster::Cluster;
pub use error::ClientError;
pub use handle::CounterHandle;
pub use producer::{AckedBatch, OnAck, Producer, ProducerOptions, Tally};
pub use viewer::Viewer;
