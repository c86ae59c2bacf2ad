//! The producer's names by number, and where each is placed.
//!
//! Numbers are handed out densely by whoever interns. When there are too many, a new generation begins
//! with number 0; batches of the old one keep its names alive until they are resolved.

use super::batch::Filling;
use countree_common::delta::Delta;
use countree_common::key::Counter;
use std::collections::BTreeMap;

/// A counter's number within its generation.
pub type NameId = u32;

const UNPLACED: u16 = u16::MAX;

/// What the hot path needs of a name, in eight bytes.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The filling batch that last held the name.
    stamp: u32,
    /// The lane of its owner in the current ring.
    lane: u16,
    /// What its definition takes in a batch, in bytes.
    bytes: u16,
}

/// All names that events refer to.
#[derive(Debug, Default)]
pub struct Names {
    generation: u32,
    counters: Vec<Counter>,
    slots: Vec<Slot>,
    /// Older generations that unresolved batches still refer to.
    old: BTreeMap<u32, Vec<Counter>>,
}

impl Names {
    /// The generation that new events belong to.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Begins a new generation; numbers start again from 0.
    pub fn restart(&mut self) {
        self.old.insert(self.generation, std::mem::take(&mut self.counters));
        self.generation += 1;
        self.slots.clear();
    }

    /// Lets go of generations before `oldest`.
    pub fn forget_before(&mut self, oldest: u32) {
        self.old = self.old.split_off(&oldest);
    }

    /// Defines the next number.
    pub fn define(&mut self, counter: Counter) {
        let bytes =
            3 + counter.topic.as_str().len() + counter.item.as_str().len() + counter.kind.as_str().len();
        // Names are at most 288 bytes by construction.
        self.slots.push(Slot { stamp: 0, lane: UNPLACED, bytes: bytes as u16 });
        self.counters.push(counter);
    }

    /// The names of a generation, by number.
    pub fn of(&self, generation: u32) -> &[Counter] {
        if generation == self.generation {
            return &self.counters;
        }
        self.old.get(&generation).map_or(&[], Vec::as_slice)
    }

    /// The lane that the name is placed on; `owner` is asked once for each placement.
    pub fn lane(&mut self, name: NameId, owner: impl FnOnce(&Counter) -> usize) -> Option<usize> {
        let slot = self.slots.get_mut(name as usize)?;
        if slot.lane == UNPLACED {
            slot.lane = u16::try_from(owner(self.counters.get(name as usize)?)).ok()?;
        }
        Some(usize::from(slot.lane))
    }

    /// Forgets where names are placed: the ring has changed.
    pub fn displace(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.lane = UNPLACED);
    }

    /// Adds an event to a batch, and the name's bytes if the batch did not hold it yet.
    pub fn add(&mut self, name: NameId, delta: Delta, batch: &mut Filling) {
        let Some(slot) = self.slots.get_mut(name as usize) else { return };
        let mut name_bytes = 0;
        if slot.stamp != batch.stamp() {
            slot.stamp = batch.stamp();
            name_bytes = usize::from(slot.bytes);
        }
        batch.add(name, delta, name_bytes);
    }

    /// Forgets which batch held a name: stamps start again.
    pub fn forget_stamps(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.stamp = 0);
    }
}
