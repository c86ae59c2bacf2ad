//! The events of the simulation, as the queue holds them.

use crate::faults::Heal;
use crate::host::{Host, Life};
use crate::network::{ConnectionId, Delivery, Network, Side};
use crate::store::{Answer, Operation};
use countree_common::cluster::NodeName;
use countree_common::store::StoreId;
use countree_common::stream::StreamId;
use countree_common::time::Time;
use countree_leaf::log::recut::Recut;

/// An event of the simulation.
#[derive(Debug)]
pub(crate) enum SimEvent {
    /// An event on the network.
    Network(Delivery),
    /// A process asked to be woken at this time.
    Wake { host: Host, life: Life, at: Time },
    /// A crashed or stopped node starts again.
    Restart(Host),
    /// A node joins, or sends a heartbeat.
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
    /// A client asks the cluster for the view.
    Discover(Host),
    /// A viewer looks for a broadcast node.
    FindBroadcast { viewer: usize },
    /// The question on this connection times out.
    Unanswered(ConnectionId),
    /// An HTTP client sends its request, for the first time or again.
    Submit { client: usize },
    /// A reader reads a topic with everything acked before.
    ReadComplete,
    /// That read goes on after a pause.
    ReadOn(u64),
    /// The fault of that number is injected.
    Fault(usize),
    /// A fault ends.
    Heal(Heal),
    /// All faults end.
    EndFaults,
}

impl SimEvent {
    /// The host whose process handles it, if any: while the process is paused, the event waits.
    pub(crate) fn host(&self, network: &Network) -> Option<Host> {
        let end = |link: &ConnectionId, side| network.link(*link).map(|l| l.host(side));
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
