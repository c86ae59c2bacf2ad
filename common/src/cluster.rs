//! The nodes of a cluster at an epoch.

use crate::key::{Item, Topic};
use crate::limits;
use crate::time::WallMs;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// A name that every node's certificate carries, like its tier's: clients may use it as server name.
pub const LOCALHOST: &str = "localhost";

/// The error of a node or cluster name that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a name for a node or cluster: 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit"
)]
pub struct NodeNameError(String);

/// A node's name, `leaf-0`. A DNS label, since the node's certificate carries it. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(std::sync::Arc<str>);

impl NodeName {
    /// Checks that the name is a DNS label in lower case.
    pub fn new(name: &str) -> Result<Self, NodeNameError> {
        let bytes = name.as_bytes();
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        let ends = |b: Option<&u8>| b.is_some_and(|b| *b != b'-');
        let fits = bytes.len() <= limits::NODE_NAME_BYTES;
        if fits && bytes.iter().all(inner) && ends(bytes.first()) && ends(bytes.last()) {
            Ok(Self(name.into()))
        } else {
            Err(NodeNameError(name.chars().take(80).collect()))
        }
    }

    /// Whether certificates of many nodes carry this name: no node may have it as its own.
    pub fn is_shared(&self) -> bool {
        let tiers = [Tier::Leaf, Tier::Root, Tier::Broadcast];
        self.as_str() == LOCALHOST || tiers.iter().any(|tier| tier.to_string() == self.as_str())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NodeName {
    type Error = NodeNameError;
    fn try_from(name: String) -> Result<Self, NodeNameError> {
        Self::new(&name)
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl std::str::FromStr for NodeName {
    type Err = NodeNameError;
    fn from_str(name: &str) -> Result<Self, NodeNameError> {
        Self::new(name)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The tier of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Takes events, logs them, sums them.
    Leaf,
    /// Merges the sums into the store.
    Root,
    /// Fans the totals out.
    Broadcast,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tier::Leaf => "leaf",
            Tier::Root => "root",
            Tier::Broadcast => "broadcast",
        })
    }
}

/// A member of the cluster, as it registers itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Unique in the cluster, whatever the tier.
    pub name: NodeName,
    /// Its tier.
    pub tier: Tier,
    /// Its QUIC address (UDP).
    pub quic: SocketAddr,
    /// Its HTTP address (TCP).
    pub http: Option<SocketAddr>,
    /// The number of this start of the node; for a leaf, its live stream's incarnation.
    pub incarnation: u64,
}

/// The members of the cluster at an epoch. The rings are made from them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterView {
    /// Goes up by one whenever the set of nodes or an address changes.
    pub epoch: u64,
    /// The live nodes, by name.
    pub nodes: Vec<Node>,
    /// Hot items that more than one leaf takes, by topic and item.
    pub splits: Vec<Split>,
    /// The owners of idempotency keys, now and before.
    pub keys: KeyHistory,
}

/// A hot item that several leaves share. Producers spread its events; the root sums the parts like any
/// others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The item's topic.
    pub topic: Topic,
    /// The item.
    pub item: Item,
    /// Number of leaves that take its events: its owner and those that follow on the ring. At least 2.
    pub ways: u16,
}

/// The leaves that remember idempotency keys, and those that did. A key's owner asks those that owned it
/// before, for as long as keys live: so a repeat is known wherever the ring has put its key since.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyHistory {
    /// The leaves that the ring of keys is made of: those that live, and those that are away and may come
    /// back.
    pub owners: Vec<NodeName>,
    /// Earlier sets of owners, the latest first. A leaf of these that is neither an owner nor `lost` has
    /// handed its keys over, and need not be asked.
    pub past: Vec<PastOwners>,
    /// Leaves that were given up, and when, by the registry's clock: their keys are lost.
    pub lost: Vec<(NodeName, WallMs)>,
    /// `past` and `lost` are whole back to here; the end of time where nothing is known yet.
    pub whole_from: WallMs,
}

impl KeyHistory {
    /// The latest time in it: the registry's clock has reached it.
    pub fn latest(&self) -> WallMs {
        let past = self.past.iter().map(|past| past.until);
        let times = past.chain(self.lost.iter().map(|(_, at)| *at)).chain([self.whole_from]);
        times.filter(|at| *at != WallMs(u64::MAX)).max().unwrap_or_default()
    }
}

/// A set of owners that was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastOwners {
    /// The end of that time, by the registry's clock.
    pub until: WallMs,
    /// The owners.
    pub owners: Vec<NodeName>,
}

impl ClusterView {
    /// The live nodes of a tier, by name.
    pub fn tier(&self, tier: Tier) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |n| n.tier == tier)
    }

    /// Leaves that are not live and may be away: owners of keys that are not in the view. A leaf that left as
    /// the last one kept its keys and is among them, though it has merged everything; a root can tell the two
    /// apart.
    pub fn may_be_away(&self) -> impl Iterator<Item = &NodeName> {
        self.keys.owners.iter().filter(|owner| self.node(owner).is_none())
    }

    /// Number of leaves that take an item's events.
    pub fn ways(&self, topic: &Topic, item: &Item) -> u16 {
        let place = |split: &Split| (&split.topic, &split.item).cmp(&(topic, item));
        self.splits.binary_search_by(place).map_or(1, |at| self.splits[at].ways)
    }

    /// The node of that name, if it is live.
    pub fn node(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.iter().find(|n| n.name == *name)
    }
}
