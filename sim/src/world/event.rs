//! Everything that can happen: what the agenda holds.

use crate::faults::Heal;
use crate::host::{Life, Place};
use crate::network::{Arrival, LinkId, Network, Side};
use crate::store::{Answer, Operation};
use countree_common::cluster::NodeName;
use countree_common::store::StoreId;
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
    StoreAsked { root: usize, life: Life, bound: StoreId, operation: Box<Operation>, is_heard: bool },
    /// The store's answer, or the end of waiting for it, reaches a root.
    StoreAnswered { root: usize, life: Life, answer: Box<Answer> },
    /// The store makes durable what it holds.
    StoreSaves,
    /// A producer has an event.
    Produce { producer: usize, life: Life },
    /// A producer or viewer asks the cluster who is in it.
    Discover(Place),
    /// A viewer looks for a broadcast node.
    Tune { viewer: usize },
    /// A question has waited long enough on this connection.
    Unanswered(LinkId),
    /// An HTTP client sends what it has to send, for the first time or again.
    Submit { client: usize },
    /// Somebody reads a topic with all that was acked before.
    ReadComplete,
    /// Such a read goes on after a pause.
    ReadOn(u64),
    /// Something goes wrong: the fault of that number.
    Fault(usize),
    /// It stops being wrong.
    Heal(Heal),
    /// No more faults: everything is made to work.
    Calm,
}

impl Happening {
    /// The place at which it happens, if it takes a process to happen: one that stands still lets it wait.
    pub(crate) fn place(&self, network: &Network) -> Option<Place> {
        let end = |link: &LinkId, side| network.link(*link).map(|l| l.place(side));
        match self {
            Happening::Network(Arrival::Knock(link)) => end(link, Side::Acceptor),
            Happening::Network(Arrival::Answered { link, .. }) => end(link, Side::Opener),
            Happening::Network(Arrival::Message { link, to, .. }) => end(link, *to),
            Happening::Network(Arrival::Lost { link, side }) => end(link, *side),
            Happening::Wake { place, .. }
            | Happening::Beat { place, .. }
            | Happening::Reconnect { place, .. }
            | Happening::Discover(place) => Some(*place),
            Happening::Disk { leaf, .. } | Happening::Scanned { leaf, .. } => Some(Place::Leaf(*leaf)),
            Happening::StoreAnswered { root, .. } => Some(Place::Root(*root)),
            Happening::Produce { producer, .. } => Some(Place::Producer(*producer)),
            Happening::Tune { viewer, .. } => Some(Place::Viewer(*viewer)),
            Happening::Unanswered(link) => end(link, Side::Opener),
            Happening::Submit { client } => Some(Place::Client(*client)),
            Happening::Network(Arrival::TimedOut(_))
            | Happening::Restart(_)
            | Happening::StoreAsked { .. }
            | Happening::StoreSaves
            | Happening::Fault(_)
            | Happening::Heal(_)
            | Happening::ReadComplete
            | Happening::ReadOn(_)
            | Happening::Calm => None,
        }
    }
}

impl From<Arrival> for Happening {
    fn from(arrival: Arrival) -> Self {
        Happening::Network(arrival)
    }
}
