//! Counter handles, which skip the lookup of names.

use crate::machine::producer::NameId;
use countree_common::key::Counter;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A name's number and its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NameRef {
    pub(super) generation: u32,
    pub(super) name: NameId,
}

impl NameRef {
    fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.name)
    }

    fn unpack(packed: u64) -> Self {
        Self { generation: (packed >> 32) as u32, name: packed as u32 }
    }
}

/// A counter that a producer has looked up: sending to it is cheaper.
#[derive(Debug)]
pub struct CounterHandle {
    counter: Counter,
    name_ref: AtomicU64,
}

impl CounterHandle {
    pub(super) fn new(counter: Counter, name_ref: NameRef) -> Self {
        Self { counter, name_ref: name_ref.pack().into() }
    }

    pub(super) fn name_ref(&self) -> NameRef {
        NameRef::unpack(self.name_ref.load(Relaxed))
    }

    /// Takes up a new number, after the generation of the old one has ended.
    pub(super) fn renumber(&self, name_ref: NameRef) {
        self.name_ref.store(name_ref.pack(), Relaxed);
    }

    /// Returns the counter.
    pub fn counter(&self) -> &Counter {
        &self.counter
    }
}
