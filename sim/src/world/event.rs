//! Everything that can happen: what the queue holds.

use crate::faults::Heal;
use crate::host::{Host, Life};
use crate::network::{Delivery, LinkId, Network, Side};
use crate::store::{Answer, Operation};
use countree_common::cluster::NodeName;
use countree_common::store::StoreId;
use countree_common::stream::StreamId;
use countree_common::time::Time;
use countree_leaf::log::recut::Recut;

/// One thing that happens.
#[derive(Debug)]
pub(crate) enum SimEvent {
    /// On the network.
    Network(Delivery),
    /// A process asked to be woken at this time.
    Wake { host: Host, life: Life, at: Time },
    /// A crashed or stopped node starts again.
    Restart(Host),
    /// A node looks for its incarnation, or says that it lives.
    Heartbeat { host: Host, life: Life },
    /// A node connects to a root again.
    Reconnect { host: Host, life: Life, root: NodeName },
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
    Discover(Host),
    /// A viewer looks for a broadcast node.
    FindBroadcast { viewer: usize },
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
    EndFaults,
}

impl SimEvent {
    /// The host at which it happens, if it takes a process to happen: one that stands still lets it wait.
    pub(crate) fn host(&self, network: &Network) -> Option<Host> {
        let end = |link: &LinkId, side| network.link(*link).map(|l| l.host(side));
        match self {
            SimEvent::Network(Delivery::Connect(link)) => end(link, Side::Acceptor),
            SimEvent::Network(Delivery::ConnectResult { link, .. }) => end(link, Side::Opener),
            SimEvent::Network(Delivery::Message { link, to, .. }) => end(link, *to),
            SimEvent::Network(Delivery::Lost { link, side }) => end(link, *side),
            SimEvent::Wake { host, .. }
            | SimEvent::Heartbeat { host, .. }
            | SimEvent::Reconnect { host, .. }
            | SimEvent::Discover(host) => Some(*host),
            SimEvent::Disk { leaf, .. } | SimEvent::Scanned { leaf, .. } => Some(Host::Leaf(*leaf)),
            SimEvent::StoreAnswered { root, .. } => Some(Host::Root(*root)),
            SimEvent::Produce { producer, .. } => Some(Host::Producer(*producer)),
            SimEvent::FindBroadcast { viewer, .. } => Some(Host::Viewer(*viewer)),
            SimEvent::Unanswered(link) => end(link, Side::Opener),
            SimEvent::Submit { client } => Some(Host::Client(*client)),
            SimEvent::Network(Delivery::TimedOut(_))
            | SimEvent::Restart(_)
            | SimEvent::StoreAsked { .. }
            | SimEvent::StoreSaves
            | SimEvent::Fault(_)
            | SimEvent::Heal(_)
            | SimEvent::ReadComplete
            | SimEvent::ReadOn(_)
            | SimEvent::EndFaults => None,
        }
    }
}

impl From<Delivery> for SimEvent {
    fn from(delivery: Delivery) -> Self {
        SimEvent::Network(delivery)
    }
}
