//! Inputs of the core: messages of peers, and the results of store calls.

use crate::machine::{BatchId, ConnectionId, ReadId};
use crate::shell::local_merges::Outcomes;
use crate::shell::outbox::Outbox;
use crate::store::StoreError;
use countree_common::cluster::NodeName;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::{Snapshot, Version};
use countree_common::key::Topic;
use countree_common::wire::{publish, uplink};
use tokio::sync::mpsc;

/// An input from a peer, or from another task of this root.
#[derive(Debug)]
pub(in crate::shell) enum Input {
    LeafOpened(ConnectionId, NodeName, Outbox),
    Leaf(ConnectionId, uplink::ToRoot),
    LeafClosed(ConnectionId),
    BroadcastOpened(ConnectionId, Outbox),
    Broadcast(ConnectionId, publish::ToRoot),
    BroadcastClosed(ConnectionId),
    /// Merges cuts that no leaf sent.
    MergeLocally(Vec<Cut>, Outcomes),
}

/// The result of a task that the core began. There are only as many as the machine has under way.
#[derive(Debug)]
pub(in crate::shell) enum Finished {
    Merge(BatchId, Vec<Result<Outcome, StoreError>>),
    Read(ReadId, Result<Option<Snapshot>, StoreError>),
    SnapshotSent(ConnectionId),
    Forgotten(Topic, Version),
    ServedIn(Result<u64, StoreError>),
}

/// Sends inputs to the core.
#[derive(Debug, Clone)]
pub(in crate::shell) struct CoreHandle {
    pub(in crate::shell) inputs: mpsc::Sender<Input>,
    pub(in crate::shell) finished: mpsc::UnboundedSender<Finished>,
}
