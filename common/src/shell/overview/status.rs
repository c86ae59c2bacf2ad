//! The status of every node.

use super::{Unanswered, members};
use crate::cluster::{ClusterView, Node, NodeName, Split, Tier};
use crate::shell::membership::Membership;
use crate::wire::rpc::{NodeStats, Reply, Request};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The answer to `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The ring epoch.
    pub epoch: u64,
    /// Every live node, with its last heartbeat.
    pub nodes: Vec<NodeStatus>,
    /// Leaves that are not live and may hold events: those that are leaving, and those that have crashed.
    pub away: Vec<NodeName>,
    /// Hot items, and the number of leaves that share each.
    pub splits: Vec<Split>,
}

/// A node in [`Status`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node.
    #[serde(flatten)]
    pub node: Node,
    /// The last heartbeat's figures; `None` for a node that has just joined.
    pub stats: Option<NodeStats>,
}

/// Collects the nodes and their last heartbeats. Without a root that answers, the nodes are those of this
/// node's view.
pub(super) async fn read(membership: &Membership) -> Result<Status, Unanswered> {
    let known = || (ClusterView::clone(&membership.view().borrow()), Vec::new());
    let (view, away) = members(membership).await.unwrap_or_else(|_| known());
    let mut stats: BTreeMap<_, _> = BTreeMap::new();
    for root in view.tier(Tier::Root) {
        if let Ok(Reply::Stats(some)) = membership.peers().call(root, &Request::Stats).await {
            // Heartbeats go to any root; the freshest is not known, so a later root's word stands.
            stats.extend(some);
        }
    }
    let ClusterView { epoch, nodes, splits, .. } = view;
    let status = |node: Node| NodeStatus { stats: stats.get(&node.name).cloned(), node };
    Ok(Status { epoch, nodes: nodes.into_iter().map(status).collect(), away, splits })
}
