//! Where a counter's events go: to the lane of its item's owner, or in turns to several lanes while its item is split.

use super::lane::Lane;
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::key::Counter;
use countree_common::ring::Ring;

/// Events that go to one lane of a split item before it is the next one's turn. More of them in a row make
/// fuller batches, fewer spread a slow producer's events sooner.
const TURN: u32 = 32;

/// The ring of the leaves that take new events, and the items that are split.
#[derive(Debug)]
pub struct Placing {
    ring: Ring,
    view: ClusterView,
    /// Where turns begin: producers that send few events each would otherwise all begin with the owner.
    spin: usize,
}

/// The lanes of one counter, by their places in the list of lanes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// All its events go here.
    Lane(usize),
    /// Its events are spread evenly over these.
    Shared(Turns),
}

impl Placing {
    /// `owners` are the leaves that take new events; `view` says which items are split; `spin` is another number
    /// for each producer.
    pub fn new(owners: impl IntoIterator<Item = NodeName>, view: ClusterView, spin: usize) -> Self {
        Self { ring: Ring::new(owners), view, spin }
    }

    /// The view that it goes by.
    pub fn view(&self) -> &ClusterView {
        &self.view
    }

    /// Where a counter's events go; past the last lane when there is no leaf.
    pub fn place(&self, lanes: &[Lane], counter: &Counter) -> Place {
        let Counter { topic, item, .. } = counter;
        let ways = self.view.ways(topic, item);
        if ways <= 1 || self.ring.is_empty() {
            return Place::Lane(self.owner(lanes, counter));
        }
        let owners = self.ring.item_owners(topic, item, ways);
        let lanes: Vec<_> = owners.into_iter().map(|leaf| lane_of(lanes, Some(leaf))).collect();
        Place::Shared(Turns { current: self.spin % lanes.len().max(1), lanes, left: TURN })
    }

    /// The lane of the item's owner; past the last one when there is no leaf.
    pub fn owner(&self, lanes: &[Lane], counter: &Counter) -> usize {
        lane_of(lanes, self.ring.item_owner(&counter.topic, &counter.item))
    }
}

fn lane_of(lanes: &[Lane], leaf: Option<&NodeName>) -> usize {
    let index = leaf.and_then(|leaf| lanes.binary_search_by(|lane| lane.leaf().cmp(leaf)).ok());
    index.unwrap_or(lanes.len())
}

/// Lanes that take turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turns {
    lanes: Vec<usize>,
    current: usize,
    left: u32,
}

/// Without end, unless there are no lanes.
impl Iterator for Turns {
    type Item = usize;
    fn next(&mut self) -> Option<usize> {
        if self.left == 0 {
            self.left = TURN;
            self.current = (self.current + 1) % self.lanes.len().max(1);
        }
        self.left -= 1;
        self.lanes.get(self.current).copied()
    }
}
