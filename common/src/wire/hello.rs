//! The first frame of every stream, and the last of one that is refused.

use crate::cluster::NodeName;
use serde::{Deserialize, Serialize};

/// The version of what producers and viewers speak; a node refuses another.
pub const PROTOCOL: u16 = 1;
/// The version of what nodes speak among themselves. It goes up with every release that changes a message or what it
/// means, so that nodes of two releases refuse each other rather than misunderstand.
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

    /// The version of the protocol that it is held in.
    pub fn protocol(self) -> u16 {
        if self.is_for_nodes() { NODE_PROTOCOL } else { PROTOCOL }
    }
}

/// Opens a conversation. The server answers only to refuse; the peer may go on at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`Conversation::protocol`]
    pub protocol: u16,
    /// The cluster that the peer believes it speaks to.
    pub cluster: NodeName,
    /// The purpose of the stream.
    pub conversation: Conversation,
    /// The sender's name, between nodes.
    pub node: Option<NodeName>,
    /// A JWT, where the cluster asks for one.
    pub token: Option<String>,
}

/// The refusal of a conversation, which ends it. Events that were not acked were not counted by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For people: what is wrong and what to do.
    pub message: String,
}

/// [`Refusal`]s that programs tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalCode {
    /// Not a protocol version that is spoken here.
    Protocol,
    /// Bytes that are not what they should be.
    Malformed,
    /// Another cluster.
    WrongCluster,
    /// No certificate or token, or one that does not allow this.
    Unauthorized,
    /// Another tier's conversation.
    WrongTier,
    /// The node has as much as it can carry, or is leaving; go to another.
    Unavailable,
}
