//! The ledger: events accepted = merged + in flight + declared lost, at all times.

use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

/// Counts of accepted events by state. The two sides are counted apart, so that they can disagree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Events in the log.
    pub accepted: u64,
    /// Events that the store has confirmed and, as far as is known, still holds.
    pub merged: u64,
    /// Events in sums that the store has not confirmed yet.
    pub in_flight: u64,
    /// Events that the store lost after their log had been deleted.
    pub declared_lost: u64,
}

impl Ledger {
    /// Moves merged events that the store has lost for good to declared lost.
    pub fn declare_lost(&mut self, events: u64) {
        let lost = events.min(self.merged);
        self.merged -= lost;
        self.declared_lost += lost;
    }

    /// Whether both sides agree.
    pub fn balanced(&self) -> bool {
        self.accepted == self.merged + self.in_flight + self.declared_lost
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.merged += other.merged;
        self.in_flight += other.in_flight;
        self.declared_lost += other.declared_lost;
    }
}

/// One leaf stream's ledger, as `countree audit` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamLedger {
    /// The stream, as `leaf-0/3`.
    pub stream: crate::stream::StreamId,
    /// Whether it takes no more records: its leaf has restarted or left.
    pub sealed: bool,
    /// Its events.
    pub ledger: Ledger,
}
