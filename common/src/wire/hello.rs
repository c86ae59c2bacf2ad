//! The first frame of every stream, and the last frame of one that is refused.

use crate::cluster::NodeName;
use serde::{Deserialize, Serialize};

/// The protocol version of producers and viewers; a node refuses any other.
pub const PROTOCOL: u16 = 1;
/// The protocol version between nodes. It goes up with every release that changes a message or its meaning,
/// so that nodes of two releases refuse each other rather than misunderstand.
pub const NODE_PROTOCOL: u16 = 2;

/// The purpose of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conversation {
    /// A producer sends events to a leaf: [`super::producer`].
    Produce,
    /// A viewer watches topics on a broadcast node: [`super::viewer`].
    Watch,
    /// A leaf sends cuts to a root: [`super::uplink`]. Nodes only.
    Uplink,
    /// A broadcast node takes totals from a root: [`super::publish`]. Nodes only.
    Publish,
    /// One question and its answer: [`super::rpc`]. Nodes only.
    Rpc,
}

impl Conversation {
    /// Whether the peer has to be a node with a certificate of the cluster's CA.
    pub fn is_for_nodes(self) -> bool {
        !matches!(self, Self::Produce | Self::Watch)
    }

    /// Returns the protocol version of the conversation.
    pub fn protocol(self) -> u16 {
        if self.is_for_nodes() { NODE_PROTOCOL } else { PROTOCOL }
    }
}

/// Opens a conversation. The server answers only to refuse; the peer need not wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol version, see [`Conversation::protocol`].
    pub protocol: u16,
    /// The cluster that the peer wants to reach.
    pub cluster: NodeName,
    /// The purpose of the stream.
    pub conversation: Conversation,
    /// The sender's name, between nodes.
    pub node: Option<NodeName>,
    /// A JWT, where the cluster asks for one.
    pub token: Option<String>,
}

/// The refusal of a conversation, which ends it. Unacked events were not counted by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The code, for programs.
    pub code: RefusalCode,
    /// The problem and its remedy, for people.
    pub message: String,
}

/// The codes of [`Refusal`]s, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalCode {
    /// The protocol version is not spoken here.
    Protocol,
    /// The bytes are malformed.
    Malformed,
    /// The node belongs to another cluster.
    WrongCluster,
    /// The peer has no certificate or token, or one without the right.
    Unauthorized,
    /// The conversation belongs to another tier.
    WrongTier,
    /// The node is full or leaving; go to another.
    Unavailable,
}
