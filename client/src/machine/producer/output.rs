//! Instructions of the machine to its shell.

use super::ids::{FlushId, LinkId};
use countree_common::cluster::NodeName;
use countree_common::time::Time;
use countree_common::wire::producer::ToLeaf;
use std::net::SocketAddr;

/// One instruction to the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Connect to this leaf, and report with `handle_connected` or `handle_lost`.
    Connect {
        /// The leaf, as its certificate has to name it.
        leaf: NodeName,
        /// The attempt.
        link: LinkId,
        /// The leaf's address.
        address: SocketAddr,
    },
    /// Send this on the link, in order. It is dropped when the link is gone.
    Send {
        /// The leaf.
        leaf: NodeName,
        /// The attempt that connected.
        link: LinkId,
        /// The frame.
        frame: Outgoing,
    },
    /// Close the link or stop the attempt; no report is needed.
    Disconnect {
        /// The leaf.
        leaf: NodeName,
        /// The attempt.
        link: LinkId,
    },
    /// Report the final result of some events. Every event is in exactly one of these.
    Resolved(Resolved),
    /// Report that every event from before that flush is resolved.
    Flushed(FlushId),
}

/// A frame for a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A message.
    Message(ToLeaf),
    /// A batch's body.
    Batch(bytes::Bytes),
}

/// A batch with its final result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Number of events in it.
    pub events: u64,
    /// The time at which the first of them was queued.
    pub first_queued: Time,
    /// Their result.
    pub fate: Fate,
}

/// The final result of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Counted, once, durably.
    Acked,
    /// Not counted, for certain.
    Rejected(String),
    /// Counted once or not at all, and it will never be known which.
    InDoubt(String),
}
