//! The results of a producer's events, counted.

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
    /// Counted once or not at all; their leaf has not said which and never will.
    pub in_doubt: u64,
    /// The last reasons for events that were not acked.
    pub errors: Vec<String>,
}
