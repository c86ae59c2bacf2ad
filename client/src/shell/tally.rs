//! Counts of a producer's events by result.

use serde::Serialize;

/// Counts of a producer's events by result. After a flush `sent` is the sum of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Events that `send` has taken.
    pub sent: u64,
    /// Events that are counted, once, durably.
    pub acked: u64,
    /// Events that are not counted, for certain.
    pub rejected: u64,
    /// Events that are counted once or not at all, and it will never be known which.
    pub in_doubt: u64,
    /// The last reasons for events that were not acked.
    pub errors: Vec<String>,
}
