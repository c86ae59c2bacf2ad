//! The nodes of the simulated cluster.

use super::broadcast::BroadcastNode;
use super::leaf::LeafNode;
use super::root::RootNode;
use crate::plan::Plan;
use countree_common::time::Time;

/// The nodes of every tier, up or down, by number.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) leaves: Vec<LeafNode>,
    pub(super) roots: Vec<RootNode>,
    pub(super) broadcasts: Vec<BroadcastNode>,
    /// The time at which each leaf was last missing from a view that a root took up.
    pub(super) absent_at: Vec<Time>,
}

impl Cluster {
    /// The nodes of a plan, all of them down. The last leaf joins later, or never.
    pub(super) fn new(plan: &Plan) -> Self {
        let leaves = plan.cluster.leaves + 1;
        Self {
            leaves: (0..leaves).map(|i| LeafNode::new(i, plan.flaw)).collect(),
            roots: (0..plan.cluster.roots).map(RootNode::new).collect(),
            broadcasts: (0..plan.cluster.broadcasts).map(BroadcastNode::new).collect(),
            absent_at: vec![Time::default(); leaves],
        }
    }
}
