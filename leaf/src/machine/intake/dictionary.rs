//! Keeps one connection's names: the counter that each of its ids means.

use crate::machine::counters::names::CounterId;
use countree_common::limits;
use countree_common::prefetch::prefetch;
use countree_common::wire::batch;

/// A connection's dictionary.
#[derive(Debug, Default)]
pub(in crate::machine) struct Dictionary {
    counters: Vec<CounterId>,
}

impl Dictionary {
    /// The number of ids that have a meaning.
    pub(in crate::machine) fn defined(&self) -> usize {
        self.counters.len()
    }

    /// Whether `more` names fit.
    pub(in crate::machine) fn has_room(&self, more: usize) -> bool {
        self.counters.len() + more <= limits::NAMES_PER_CONNECTION
    }

    /// Gives the next id to a counter.
    pub(in crate::machine) fn define(&mut self, counter: CounterId) {
        self.counters.push(counter);
    }

    /// The counter of an id.
    pub(in crate::machine) fn counter(&self, id: u32) -> Option<CounterId> {
        self.counters.get(id as usize).copied()
    }

    /// Prefetches the counters that the ids of these events mean.
    pub(in crate::machine) fn prefetch(&self, words: &[u8]) {
        prefetch(batch::likely_ids(words).filter_map(|id| self.counter(id)));
    }

    /// All counters that its ids mean.
    pub(in crate::machine) fn counters(&self) -> &[CounterId] {
        &self.counters
    }
}
