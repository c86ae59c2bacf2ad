//! Reports of a leaf that leaves: the end of its sessions, and the owners of its idempotency keys.

use crate::cluster::NodeName;
use crate::session::{Seq, SessionId};
use serde::{Deserialize, Serialize};

/// A piece of the table of sessions that a leaving leaf publishes, at most
/// [`SESSIONS_PER_MESSAGE`](crate::limits::SESSIONS_PER_MESSAGE) of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTable {
    /// The leaf.
    pub leaf: NodeName,
    /// Each session's last counted batch.
    pub sessions: Vec<(SessionId, Seq)>,
    /// The time for which the table has to be kept, in milliseconds: the leaf's horizon.
    pub keep_ms: u64,
}

/// The owners of the idempotency keys of a leaf that leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyHandover {
    /// The owners of keys that it handed them to, itself left out.
    pub successors: Vec<NodeName>,
    /// The epoch of a view in which these owned keys without a break since they were handed over.
    pub epoch: u64,
    /// Whether the leaf has no keys: then it does not matter that no leaf could take them.
    pub is_empty: bool,
}
