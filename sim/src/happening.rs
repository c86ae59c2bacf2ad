//! Everything that can happen: what the agenda holds.

use crate::faults::Heal;
use crate::network::Arrival;
use crate::place::{Life, Place};
use crate::store::{Answer, Operation};
use countree_common::cluster::NodeName;
use countree_common::stream::StreamId;
use countree_common::time::Time;
use countree_leaf::log::recovery::Recut;

/// One thing that happens.
#[derive(Debug)]
pub(crate) enum Happening {
    /// On the network.
    Network(Arrival),
    /// A process asked to be woken at this time.
    Wake { place: Place, life: Life, at: Time },
    /// A crashed or stopped node starts again.
    Restart(Place),
    /// A node looks for its incarnation, or says that it lives.
    Beat { place: Place, life: Life },
    /// A node connects to a root again.
    Reconnect { place: Place, life: Life, root: NodeName },
    /// A leaf's disk has finished an fsync, or tries a full disk again.
    Disk { leaf: usize, life: Life },
    /// A leaf has read a stretch of its log.
    Scanned { leaf: usize, life: Life, stream: StreamId, recut: Box<Recut> },
    /// A root's request reaches the store.
    StoreAsked { root: usize, life: Life, operation: Box<Operation>, is_heard: bool },
    /// The store's answer, or the end of waiting for it, reaches a root.
    StoreAnswered { root: usize, life: Life, answer: Box<Answer> },
    /// The store makes durable what it holds.
    StoreSaves,
    /// A producer has an event.
    Produce(usize),
    /// A producer or viewer asks the cluster who is in it.
    Discover(Place),
    /// A viewer looks for a broadcast node.
    Tune(usize),
    /// Something goes wrong.
    Fault,
    /// It stops being wrong.
    Heal(Heal),
    /// No more faults: everything is made to work.
    Calm,
}

impl From<Arrival> for Happening {
    fn from(arrival: Arrival) -> Self {
        Happening::Network(arrival)
    }
}
