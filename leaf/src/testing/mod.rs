//! Supplies the tests of this crate: a disk, a store, a producer's dictionary, and chance.

mod client;
mod disk;
mod log;
mod producer;
mod rig;
mod session;
mod store;
mod world;

pub(crate) use disk::TestDisk;
pub(crate) use log::logged;
pub(crate) use producer::Names;
pub(crate) use rig::{Rig, config, leaf_name, leaf_node, ledgers_balance, name, root_name, view};
pub(crate) use store::TestStore;
pub(crate) use world::World;

use countree_common::cut::{CounterSum, Cut};
use countree_common::key::{Counter, Item, Kind, Topic};
use countree_common::wire::codec;
use countree_common::wire::uplink::ToRoot;

/// Xorshift64*: small, seeded, and the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 to `end`, without it.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }

    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// The cuts of a message to a root.
pub(crate) fn decoded(message: &[u8]) -> Vec<Cut> {
    match codec::decode(message).unwrap() {
        ToRoot::Cuts(cuts) => cuts,
        other => panic!("{other:?} came for cuts"),
    }
}

pub(crate) fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

pub(crate) fn counter(topic: &str, item: &str) -> Counter {
    Counter::new(topic, item, "like").unwrap()
}

pub(crate) fn sum(item: &str, delta: i64) -> CounterSum {
    CounterSum { item: Item::new(item).unwrap(), kind: Kind::new("like").unwrap(), delta }
}

/// One like of an item of topic `t`.
pub(crate) fn likes(item: &str) -> Vec<(Counter, i64)> {
    vec![(counter("t", item), 1)]
}
