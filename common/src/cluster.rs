//! The nodes of a cluster at an epoch.

use crate::limits;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// Why a node or cluster name was refused.
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

/// What a node does.
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
    /// What it does.
    pub tier: Tier,
    /// Where it speaks QUIC (UDP).
    pub quic: SocketAddr,
    /// Where it speaks HTTP (TCP).
    pub http: Option<SocketAddr>,
    /// Which start of the node this is; for a leaf, its live stream's incarnation.
    pub incarnation: u64,
}

/// Who is in the cluster at an epoch: what the rings are made from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterView {
    /// Goes up by one whenever the set of nodes or an address changes.
    pub epoch: u64,
    /// The live nodes, by name.
    pub nodes: Vec<Node>,
}

impl ClusterView {
    /// The live nodes of a tier, by name.
    pub fn tier(&self, tier: Tier) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |n| n.tier == tier)
    }

    /// The node of that name, if it is live.
    pub fn node(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.iter().find(|n| n.name == *name)
    }
}
