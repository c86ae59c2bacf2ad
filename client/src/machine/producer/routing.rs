//! Routes a counter's events: to the connection of its item's owner, or in turns to several connections while
//! its item is split.

use countree_common::cluster::{ClusterView, NodeName};
use countree_common::key::Counter;
use countree_common::ring::Ring;

/// Events of a split item that go to one connection before the next one's turn. More of them in a row make
/// fuller batches, fewer spread a slow producer's events sooner.
const TURN: u32 = 32;

/// The ring of the leaves that take new events, and the items that are split.
#[derive(Debug)]
pub struct Routing {
    ring: Ring,
    view: ClusterView,
    /// The connection with which turns begin. Otherwise all producers that send few events each would begin
    /// with the owner.
    offset: usize,
}

/// The connections of one counter, by their places in the list of connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// All its events go here.
    Owner(usize),
    /// Its events are spread evenly over these.
    Shared(Turns),
}

impl Routing {
    /// `owners` are the leaves that take new events; `view` says which items are split; `offset` is another
    /// number for each producer.
    pub fn new(owners: impl IntoIterator<Item = NodeName>, view: ClusterView, offset: usize) -> Self {
        Self { ring: Ring::new(owners), view, offset }
    }

    /// Returns the view of the cluster that routes are made from.
    pub fn view(&self) -> &ClusterView {
        &self.view
    }

    /// Returns the connections that take a counter's events. `index` finds a leaf's index among the
    /// connections.
    pub fn route(&self, counter: &Counter, index: impl Fn(Option<&NodeName>) -> usize) -> Route {
        let Counter { topic, item, .. } = counter;
        let ways = self.view.ways(topic, item);
        if ways <= 1 || self.ring.is_empty() {
            return Route::Owner(index(self.owner(counter)));
        }
        let owners = self.ring.item_owners(topic, item, ways);
        let connections: Vec<_> = owners.into_iter().map(|leaf| index(Some(leaf))).collect();
        Route::Shared(Turns { current: self.offset % connections.len().max(1), connections, left: TURN })
    }

    /// Returns the leaf that owns the counter's item.
    pub fn owner(&self, counter: &Counter) -> Option<&NodeName> {
        self.ring.item_owner(&counter.topic, &counter.item)
    }
}

/// An iterator over connections that take turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turns {
    connections: Vec<usize>,
    current: usize,
    left: u32,
}

/// Never ends, unless there are no connections.
impl Iterator for Turns {
    type Item = usize;
    fn next(&mut self) -> Option<usize> {
        if self.left == 0 {
            self.left = TURN;
            self.current = (self.current + 1) % self.connections.len().max(1);
        }
        self.left -= 1;
        self.connections.get(self.current).copied()
    }
}
