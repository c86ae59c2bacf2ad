//! Instructions of the machine to its shell, and counts of deliveries.

use super::ids::{AwayId, CheckId, ViewerId};
use bytes::Bytes;
use countree_common::cluster::NodeName;
use countree_common::document::Version;
use countree_common::key::Topic;
use countree_common::wire::publish::ToRoot;
use std::net::SocketAddr;

/// One instruction to the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Keep a Publish conversation with this root, at this address and no earlier one; report when it is
    /// connected and when it is lost.
    Connect {
        /// The root.
        root: NodeName,
        /// Its QUIC address.
        address: SocketAddr,
    },
    /// End the conversation with this root.
    Disconnect {
        /// The root.
        root: NodeName,
    },
    /// Send this to a connected root.
    ToRoot {
        /// The root.
        root: NodeName,
        /// A subscription, or its end.
        message: ToRoot,
    },
    /// Send this datagram.
    Datagram {
        /// The viewer.
        viewer: ViewerId,
        /// At most [`DATAGRAM_BYTES`](countree_common::limits::DATAGRAM_BYTES), and no more than the viewer's
        /// room.
        bytes: Bytes,
    },
    /// Send these bytes, one after another, on the viewer's stream.
    Stream {
        /// The viewer.
        viewer: ViewerId,
        /// Whole frames or whole events.
        chunks: Vec<Bytes>,
    },
    /// Send the viewer elsewhere, and drop it. It counts as left.
    Dismiss {
        /// The viewer.
        viewer: ViewerId,
        /// The reason, for people.
        reason: String,
    },
    /// Share a new snapshot event: others may be sent it before they subscribe from `version` on.
    Share {
        /// The topic.
        topic: Topic,
        /// The snapshot's version.
        version: Version,
        /// The set of leaves that it names as away.
        away: AwayId,
        /// The whole event.
        event: Bytes,
    },
    /// Drop the shared snapshot of this topic.
    Unshare {
        /// The topic.
        topic: Topic,
    },
    /// Read the topic from the store, through any root, and bring the answer to
    /// [`handle_checked`](super::BroadcastMachine::handle_checked).
    Check {
        /// The number to return with the answer.
        check: CheckId,
        /// The topic.
        topic: Topic,
    },
}

/// Counts of deliveries since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// One topic's changes or snapshot, to one viewer.
    pub deliveries: u64,
    /// Datagrams.
    pub datagrams: u64,
    /// Stretches of stream.
    pub streams: u64,
    /// Bytes of both, before QUIC or HTTP.
    pub bytes: u64,
    /// Number of times that a viewer had no room for its changes.
    pub skips: u64,
    /// Sum of the age of each delivery's oldest change, in microseconds.
    pub staleness_us: u64,
    /// The largest of these ages since [`take_stats`](super::BroadcastMachine::take_stats), in microseconds.
    pub staleness_max_us: u64,
}
