//! One connection's names: what its ids mean, and whether the current log segment knows them.

use super::table::{CounterId, Table};
use countree_common::key::Counter;
use countree_common::limits;
use countree_common::wire::batch;

/// The state of the log and the table that a name's entry was made for. When either moves on, the name
/// has to be interned and written down again before its next use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epoch {
    /// Counts log segments, from 1.
    pub segment: u32,
    /// The table's generation.
    pub generation: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    counter: CounterId,
    epoch: Epoch,
}

/// A connection's dictionary. Its channel number is what the log calls it.
#[derive(Debug)]
pub struct Dictionary {
    /// The number of this dictionary in the log.
    pub channel: u64,
    entries: Vec<Entry>,
    names: Vec<Counter>,
    /// How many entries are of the latest epoch; when all are, none needs to be looked at.
    current: usize,
    epoch: Epoch,
}

impl Dictionary {
    /// An empty one.
    pub fn new(channel: u64) -> Self {
        Self { channel, entries: Vec::new(), names: Vec::new(), current: 0, epoch: Epoch::default() }
    }

    /// How many ids have a meaning.
    pub fn defined(&self) -> usize {
        self.entries.len()
    }

    /// Whether so many more names fit.
    pub fn has_room(&self, more: usize) -> bool {
        self.names.len() + more <= limits::NAMES_PER_CONNECTION
    }

    /// Gives the next ids to these counters.
    pub fn define(&mut self, counters: Vec<Counter>) {
        self.entries.extend(counters.iter().map(|_| Entry { counter: 0, epoch: Epoch::default() }));
        self.names.extend(counters);
    }

    /// Makes the names of these events usable in `epoch`. Returns the definitions that the log must hold
    /// before the events, in the form of [`crate::log::record::Record::Names`].
    pub fn prepare(&mut self, ids: impl Iterator<Item = u32>, epoch: Epoch, table: &mut Table) -> Vec<u8> {
        let mut definitions = Vec::new();
        if self.epoch != epoch {
            (self.epoch, self.current) = (epoch, 0);
        }
        if self.current == self.entries.len() {
            return definitions;
        }
        for id in ids {
            let (Some(entry), Some(name)) = (self.entries.get_mut(id as usize), self.names.get(id as usize))
            else {
                continue;
            };
            if entry.epoch != epoch {
                *entry = Entry { counter: table.intern(name), epoch };
                self.current += 1;
                definitions.extend_from_slice(&id.to_le_bytes());
                batch::put_name(name, &mut definitions);
            }
        }
        definitions
    }

    /// The counter of a prepared id.
    #[inline]
    pub fn counter(&self, id: u32) -> Option<CounterId> {
        self.entries.get(id as usize).map(|e| e.counter)
    }

    /// The name of an id.
    pub fn name(&self, id: u32) -> Option<&Counter> {
        self.names.get(id as usize)
    }
}
