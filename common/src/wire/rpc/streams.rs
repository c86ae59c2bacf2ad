//! Positions in leaf streams.

use crate::ledger::Ledger;
use crate::stream::{Lsn, StreamId};
use serde::{Deserialize, Serialize};

/// The end of a stream in the log that a leaf starts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    /// The incarnation of the leaf that wrote it.
    pub incarnation: u64,
    /// Its last record.
    pub last: Lsn,
    /// Number of events in it, including those whose records are deleted.
    pub accepted: u64,
}

/// A leaf's report on the progress of its live stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamProgress {
    /// The last record on disk.
    pub last: Lsn,
    /// Its events.
    pub ledger: Ledger,
}

/// Positions in a leaf stream: `accepted ≥ durable ≥ cut ≥ merged`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamPositions {
    /// The stream.
    pub stream: StreamId,
    /// The last record in the log.
    pub accepted: Lsn,
    /// The last record on disk.
    pub durable: Lsn,
    /// Every record up to this one was cut, and sent to a root.
    pub cut: Lsn,
    /// Every record up to this one is merged.
    pub merged: Lsn,
    /// Topics with records that are not merged.
    pub topics_behind: u64,
}
