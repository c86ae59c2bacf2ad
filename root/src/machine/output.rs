//! The outputs of the root machine: what the shell is to do.

use super::documents::UnsoundCut;
use super::{BatchId, ConnectionId, ReadId};
use countree_common::cut::Cut;
use countree_common::document::Snapshot;
use countree_common::key::Topic;
use countree_common::store::StoreId;
use countree_common::wire::{publish, uplink};
use std::sync::Arc;

/// The reason why a leaf is sent away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafRefused {
    /// It sent a cut that no leaf may send.
    #[error(transparent)]
    Unsound(#[from] UnsoundCut),
    /// Its cuts belong to another store.
    #[error(
        "the leaf's data folder belongs to store {0}, which this root knows nothing of: start it again, and it says what to do"
    )]
    Foreign(StoreId),
}

/// One thing for the shell to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Merge these into the store, in this order; then [`super::RootMachine::handle_merged`].
    Merge {
        /// Names the merge.
        batch: BatchId,
        /// The cuts, all sound.
        cuts: Arc<[Cut]>,
    },
    /// Read a topic from the store; then [`super::RootMachine::handle_read`].
    Read {
        /// Names the read.
        read: ReadId,
        /// The topic.
        topic: Topic,
    },
    /// Send to a leaf.
    Answer {
        /// The leaf's conversation.
        connection: ConnectionId,
        /// The message.
        message: uplink::FromRoot,
    },
    /// Send the same to some broadcast nodes, after what was sent to them before.
    Publish {
        /// Their conversations.
        connections: Vec<ConnectionId>,
        /// The message.
        message: publish::FromRoot,
    },
    /// Send a snapshot, in pieces, after what was sent before; then [`super::RootMachine::handle_snapshot_sent`].
    Snapshot {
        /// The broadcast node's conversation.
        connection: ConnectionId,
        /// The message.
        snapshot: Snapshot,
    },
}
