//! The producer's table of counter names by number, with the route of each.
//!
//! Numbers are handed out densely by the queue that senders share. When there are too many, a new generation
//! begins with number 0; batches of the old one keep its names alive until they are resolved.

use super::batch::FillingBatch;
use super::ids::NameId;
use super::routing::{Route, Turns};
use countree_common::delta::Delta;
use countree_common::key::Counter;
use countree_common::limits;
use countree_common::prefetch::prefetch;
use std::collections::BTreeMap;

/// Names that are prefetched together.
pub const PREFETCHED_NAMES: usize = 64;
/// Stands for the connection of a name that has no route yet.
const UNROUTED: u16 = u16::MAX;
/// From here on, the number of a connection is an index into [`Names::shared`]. No cluster has as many
/// leaves.
const SHARED: u16 = 1 << 15;
const _: () = assert!(limits::NODES_PER_CLUSTER < SHARED as usize);

/// The hot path's part of a name, in eight bytes.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The filling batch that last held the name.
    stamp: u32,
    /// The connection of its owner in the current ring, or its index into [`Names::shared`].
    connection: u16,
    /// Bytes that its definition takes in a batch.
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

    /// Drops generations before `oldest`.
    pub fn forget_before(&mut self, oldest: u32) {
        self.old = self.old.split_off(&oldest);
    }

    /// Defines the next number.
    pub fn define(&mut self, counter: Counter) {
        let bytes =
            3 + counter.topic.as_str().len() + counter.item.as_str().len() + counter.kind.as_str().len();
        // Names are at most 288 bytes by construction.
        self.slots.push(Slot { stamp: 0, connection: UNROUTED, bytes: bytes as u16 });
        self.counters.push(counter);
    }

    /// Returns the names of a generation, by number.
    pub fn of(&self, generation: u32) -> &[Counter] {
        if generation == self.generation {
            return &self.counters;
        }
        self.old.get(&generation).map_or(&[], Vec::as_slice)
    }

    /// Prefetches the slots of these names.
    pub fn prefetch(&self, names: impl Iterator<Item = NameId>) {
        prefetch(names.filter_map(|name| Some(self.slots.get(name as usize)?.stamp)));
    }

    /// Returns the connection of the name's next event. `route` is called once, until routes are forgotten.
    pub fn route(&mut self, name: NameId, route: impl FnOnce(&Counter) -> Route) -> Option<usize> {
        let slot = self.slots.get_mut(name as usize)?;
        if slot.connection == UNROUTED {
            slot.connection = match route(self.counters.get(name as usize)?) {
                Route::Owner(connection) => u16::try_from(connection).ok()?,
                Route::Shared(turns) if self.shared.len() < usize::from(UNROUTED - SHARED) => {
                    self.shared.push(turns);
                    SHARED + (self.shared.len() - 1) as u16
                }
                Route::Shared(mut turns) => u16::try_from(turns.next()?).ok()?,
            };
        }
        if slot.connection < SHARED {
            return Some(usize::from(slot.connection));
        }
        self.shared.get_mut(usize::from(slot.connection - SHARED))?.next()
    }

    /// Forgets all routes, since the ring has changed.
    pub fn forget_routes(&mut self) {
        self.shared.clear();
        self.slots.iter_mut().for_each(|slot| slot.connection = UNROUTED);
    }

    /// Adds an event to a batch, and the name's bytes if the batch did not hold it yet.
    pub fn add(&mut self, name: NameId, delta: Delta, batch: &mut FillingBatch) {
        let Some(slot) = self.slots.get_mut(name as usize) else { return };
        let mut name_bytes = 0;
        if slot.stamp != batch.stamp() {
            slot.stamp = batch.stamp();
            name_bytes = usize::from(slot.bytes);
        }
        batch.add(name, delta, name_bytes);
    }

    /// Forgets the batches that held names: stamps start again.
    pub fn forget_stamps(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.stamp = 0);
    }
}
