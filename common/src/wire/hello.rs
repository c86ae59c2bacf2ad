//! The first frame of every stream, and the last of one that is refused.

use crate::cluster::NodeName;
use serde::{Deserialize, Serialize};

/// The protocol's version; a server refuses another.
pub const PROTOCOL: u16 = 1;

/// What a stream is for.
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
}

/// Opens a conversation. The server answers only to refuse; the peer may go on at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`]
    pub protocol: u16,
    /// The cluster that the peer believes it speaks to.
    pub cluster: NodeName,
    /// What the stream is for.
    pub conversation: Conversation,
    /// Who speaks, between nodes.
    pub node: Option<NodeName>,
    /// A JWT, where the cluster asks for one.
    pub token: Option<String>,
}

/// Why a conversation ends here. Nothing that was not acked was counted by it.
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
