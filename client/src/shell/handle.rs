//! Counters by number.

use crate::machine::producer::NameId;
use countree_common::key::Counter;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A name's number, in its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) generation: u32,
    pub(super) name: NameId,
}

impl Place {
    fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.name)
    }

    fn unpack(packed: u64) -> Self {
        Self { generation: (packed >> 32) as u32, name: packed as u32 }
    }
}

/// A counter that a producer knows already: sending to it skips looking up its name.
#[derive(Debug)]
pub struct CounterHandle {
    counter: Counter,
    place: AtomicU64,
}

impl CounterHandle {
    pub(super) fn new(counter: Counter, place: Place) -> Self {
        Self { counter, place: place.pack().into() }
    }

    pub(super) fn place(&self) -> Place {
        Place::unpack(self.place.load(Relaxed))
    }

    /// Its generation is over, and it was numbered anew.
    pub(super) fn moved(&self, place: Place) {
        self.place.store(place.pack(), Relaxed);
    }

    /// The counter.
    pub fn counter(&self) -> &Counter {
        &self.counter
    }
}
