//! The consistent hash of items onto leaves, and of topics onto roots.
//!
//! Every program that speaks to a cluster must compute the same ring, in any version and on any
//! machine: `ring_tests.rs` pins it with golden vectors.

use crate::cluster::{ClusterView, NodeName, Tier};
use crate::key::{Item, Topic};
use hashring::HashRing;
use std::hash::{BuildHasher, Hash, Hasher};
use xxhash_rust::xxh3::Xxh3;

/// Points on the ring for each node. With 128 the largest of 16 nodes carries some 20 % more than the
/// mean, with 512 under 10 %.
pub const VIRTUAL_NODES: u32 = 512;

/// The most placings per way in the search for the leaves of a split item, however few leaves there are.
const PLACINGS_PER_WAY: u32 = 64;

const SEED: u64 = 0x436f_756e_7472_6565;

/// XXH3-64 with a fixed seed: std's default hasher promises no output.
#[derive(Debug, Clone, Copy, Default)]
struct FixedHash;

impl BuildHasher for FixedHash {
    type Hasher = Xxh3;
    fn build_hasher(&self) -> Xxh3 {
        Xxh3::with_seed(SEED)
    }
}

#[derive(Debug, Clone)]
struct VirtualNode {
    node: NodeName,
    point: u32,
}

impl Hash for VirtualNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.node.as_str().as_bytes());
        state.write(&[0xff]);
        state.write(&self.point.to_le_bytes());
    }
}

/// Bytes to be placed on the ring; std's `Hash` for `str` is not used, since its form is not fixed.
struct Placed<'a>(&'a [&'a [u8]]);

impl Hash for Placed<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for part in self.0 {
            state.write(part);
            state.write(&[0xff]);
        }
    }
}

/// One tier's ring at an epoch.
#[derive(Clone)]
pub struct Ring {
    ring: HashRing<VirtualNode, FixedHash>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({} points)", self.ring.len())
    }
}

impl Ring {
    /// The ring of these nodes; their order does not matter.
    pub fn new(nodes: impl IntoIterator<Item = NodeName>) -> Self {
        let mut ring = HashRing::with_hasher(FixedHash);
        let points = nodes
            .into_iter()
            .flat_map(|node| (0..VIRTUAL_NODES).map(move |point| VirtualNode { node: node.clone(), point }));
        ring.batch_add(points.collect());
        Self { ring }
    }

    /// The ring of a view's live nodes of one tier.
    pub fn of(view: &ClusterView, tier: Tier) -> Self {
        Self::new(view.tier(tier).map(|n| n.name.clone()))
    }

    /// Whether there is no node to own anything.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// The leaf that owns an item. Items are placed, not topics, so that a hot topic spreads.
    pub fn item_owner(&self, topic: &Topic, item: &Item) -> Option<&NodeName> {
        self.owner(&[topic.as_str().as_bytes(), item.as_str().as_bytes()])
    }

    /// The leaves that share an item split `ways` ways, each once, its owner first: the item is placed again
    /// and again under numbers until enough leaves are found. Fewer when the ring has fewer.
    pub fn item_owners(&self, topic: &Topic, item: &Item, ways: u16) -> Vec<&NodeName> {
        let mut owners: Vec<&NodeName> = self.item_owner(topic, item).into_iter().collect();
        for part in 1..PLACINGS_PER_WAY * u32::from(ways) {
            if owners.len() >= usize::from(ways) {
                break;
            }
            let placed = [topic.as_str().as_bytes(), item.as_str().as_bytes(), &part.to_le_bytes()];
            owners.extend(self.owner(&placed).filter(|owner| !owners.contains(owner)));
        }
        owners
    }

    /// The root that owns a topic.
    pub fn topic_owner(&self, topic: &Topic) -> Option<&NodeName> {
        self.owner(&[topic.as_str().as_bytes()])
    }

    /// The leaf that remembers an idempotency key.
    pub fn key_owner(&self, key: u128) -> Option<&NodeName> {
        self.owner(&[&key.to_le_bytes()])
    }

    fn owner(&self, parts: &[&[u8]]) -> Option<&NodeName> {
        self.ring.get(&Placed(parts)).map(|v| &v.node)
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
