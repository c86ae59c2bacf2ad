//! One connection's names: which counter each of its ids means.

use super::names::CounterId;
use countree_common::limits;

/// A connection's dictionary.
#[derive(Debug, Default)]
pub struct Dictionary {
    counters: Vec<CounterId>,
}

impl Dictionary {
    /// How many ids have a meaning.
    pub fn defined(&self) -> usize {
        self.counters.len()
    }

    /// Whether so many more names fit.
    pub fn has_room(&self, more: usize) -> bool {
        self.counters.len() + more <= limits::NAMES_PER_CONNECTION
    }

    /// Gives the next id to a counter.
    pub fn define(&mut self, counter: CounterId) {
        self.counters.push(counter);
    }

    /// The counter of an id.
    pub fn counter(&self, id: u32) -> Option<CounterId> {
        self.counters.get(id as usize).copied()
    }

    /// Brings what the ids of these events mean into the cache. So little is done for each that many misses are under way
    /// at once; that some of the words are deltas does no harm.
    pub fn bring_near(&self, words: &[u8]) {
        let id = |word: &[u8; 4]| (u32::from_le_bytes(*word) >> 2) as usize;
        let near = words.as_chunks().0.iter().filter_map(|word| self.counters.get(id(word)));
        std::hint::black_box(near.fold(0, |all, counter| all ^ counter));
    }

    /// All counters that its ids mean.
    pub fn counters(&self) -> &[CounterId] {
        &self.counters
    }
}
