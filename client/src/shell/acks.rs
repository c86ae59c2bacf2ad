//! Acks as load generators see them, batch by batch.

use std::sync::Arc;
use std::time::Instant;

/// A batch that was acked, with the times that latency is measured from.
#[cfg_attr(not(feature = "load"), doc(hidden))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckedBatch {
    /// Number of events in it.
    pub events: u64,
    /// The time at which the first of them was queued, or was due if that was earlier
    /// (`Producer::send_due`).
    pub first_queued: Instant,
    /// The time at which the ack arrived.
    pub acked: Instant,
}

/// Called for every acked batch, on the producer's task: it should return soon.
#[cfg_attr(not(feature = "load"), doc(hidden))]
pub type OnAck = Arc<dyn Fn(AckedBatch) + Send + Sync>;
