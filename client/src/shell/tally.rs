//! Counts of a producer's events by result.

use serde::Serialize;

/// Counts of a producer's events by result. After a flush `sent` is the sum of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Taken by `send`.
    pub sent: u64,
    /// Counted, once, durably.
    pub acked: u64,
    /// Not counted, for certain.
    pub rejected: u64,
    /// Counted once or not at all, and it will never be known which.
    pub in_doubt: u64,
    /// The last reasons for events that were not acked.
    pub errors: Vec<String>,
}
