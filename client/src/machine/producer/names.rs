//! The producer's names by number, and where each is placed.
//!
//! Numbers are handed out densely by whoever interns. When there are too many, a new generation begins
//! with number 0; batches of the old one keep its names alive until they are resolved.

use super::batch::Filling;
use super::placing::{Place, Turns};
use countree_common::delta::Delta;
use countree_common::key::Counter;
use countree_common::limits;
use countree_common::prefetch::prefetch;
use std::collections::BTreeMap;

/// A counter's number within its generation.
pub type NameId = u32;

/// Names that are brought into the cache together.
pub const NEAR: usize = 64;
/// A name that is not placed yet.
const UNPLACED: u16 = u16::MAX;
/// From here on, what stands for a lane is the place of its turns in [`Names::shared`]. No cluster has so many leaves.
const SHARED: u16 = 1 << 15;
const _: () = assert!(limits::NODES_PER_CLUSTER < SHARED as usize);

/// What the hot path needs of a name, in eight bytes.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The filling batch that last held the name.
    stamp: u32,
    /// The lane of its owner in the current ring, or whose turns it takes.
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
    /// The turns of names whose items are split.
    shared: Vec<Turns>,
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
        self.shared.clear();
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

    /// Brings what the hot path needs of these names into the cache.
    pub fn prefetch(&self, names: impl Iterator<Item = NameId>) {
        prefetch(names.filter_map(|name| Some(self.slots.get(name as usize)?.stamp)));
    }

    /// The lane of the name's next event; `place` is asked once, until the names are displaced.
    pub fn lane(&mut self, name: NameId, place: impl FnOnce(&Counter) -> Place) -> Option<usize> {
        let slot = self.slots.get_mut(name as usize)?;
        if slot.lane == UNPLACED {
            slot.lane = match place(self.counters.get(name as usize)?) {
                Place::Lane(lane) => u16::try_from(lane).ok()?,
                Place::Shared(turns) if self.shared.len() < usize::from(UNPLACED - SHARED) => {
                    self.shared.push(turns);
                    SHARED + (self.shared.len() - 1) as u16
                }
                Place::Shared(mut turns) => u16::try_from(turns.next()?).ok()?,
            };
        }
        if slot.lane < SHARED {
            return Some(usize::from(slot.lane));
        }
        self.shared.get_mut(usize::from(slot.lane - SHARED))?.next()
    }

    /// Forgets where names are placed: the ring has changed.
    pub fn displace(&mut self) {
        self.shared.clear();
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
