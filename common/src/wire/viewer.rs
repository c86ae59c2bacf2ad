//! Viewer ⇄ broadcast node. Snapshots and settled values come on the stream, changes in between as datagrams.

use super::codec::{self, CodecError};
use super::publish::SnapshotPart;
use crate::cluster::NodeName;
use crate::document::{CounterTotal, Version};
use crate::key::Topic;
use crate::time::WallMs;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A message from a viewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToBroadcast {
    /// Watch these topics, too.
    Subscribe(Vec<Topic>),
    /// Stop watching these.
    Unsubscribe(Vec<Topic>),
    /// Watch these topics, too; the viewer has these versions of them. The node sends another era than the
    /// viewer's only after it has read the store anew.
    Resume(Vec<(Topic, Version)>),
    /// Send the list of leaves that are away, now and whenever it changes.
    Away,
}

/// A message from a broadcast node, on the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromBroadcast {
    /// The topic is watched; changes refer to it by this number.
    Subscribed {
        /// The topic.
        topic: Topic,
        /// Its number on this node.
        handle: u32,
    },
    /// A piece of the first snapshot, or of a newer one when the era changed.
    Snapshot(SnapshotPart),
    /// Totals that changed, sent reliably: when a topic goes quiet, when more changed than fits a datagram,
    /// and from time to time while it is busy, since datagrams get lost.
    Changes(Changes),
    /// Watch elsewhere: this node is leaving, or is full.
    Move {
        /// The reason, for people.
        reason: String,
        /// Other nodes that take viewers; empty if this node knows none.
        alternates: Vec<(NodeName, SocketAddr)>,
        /// Move at a random moment within this many milliseconds, so that not all viewers arrive at once.
        within_ms: u32,
    },
    /// Leaves that are not live and may hold events which are in no total yet. Sent to those who asked, with
    /// `Away`.
    Away(Vec<NodeName>),
}

/// Totals of a topic that changed. A viewer keeps, for each counter, the total of the highest version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// The topic's number, from `Subscribed`.
    pub handle: u32,
    /// The topic's version with these changes.
    pub version: Version,
    /// The time up to which every live leaf's events are in the totals; 0 when not known yet.
    pub complete_to: WallMs,
    /// Totals, not increments.
    pub totals: Vec<CounterTotal>,
}

/// Splits a datagram into the [`Changes`] of several topics.
///
/// # Errors
/// When it is malformed. A viewer drops it: totals are repeated on the stream.
pub fn decode_datagram(mut bytes: &[u8]) -> Result<Vec<Changes>, CodecError> {
    let mut changes = Vec::new();
    while !bytes.is_empty() {
        let (change, rest) = codec::decode_prefix(bytes)?;
        changes.push(change);
        bytes = rest;
    }
    Ok(changes)
}
