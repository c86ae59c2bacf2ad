//! The registry: who is in the cluster, as one document in the store. Roots change it by compare-and-set;
//! every operation may be repeated.

use super::retired::RetiredStreams;
use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::ledger::StreamLedger;
use countree_common::limits::NODES_PER_CLUSTER;
use countree_common::time::WallMs;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Names that a cluster remembers. A name is remembered for good, so that no incarnation is given twice.
pub const NAMES_REMEMBERED: usize = 16 * NODES_PER_CLUSTER;

/// The cluster is full. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegistryFull {
    /// Too many live nodes.
    #[error("the cluster has {NODES_PER_CLUSTER} nodes and takes no more: drain some first")]
    Nodes,
    /// Too many names over time.
    #[error("the cluster has seen {NAMES_REMEMBERED} node names and takes no new one: use names again")]
    Names,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    node: Node,
    lease_until: WallMs,
}

/// Who is in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Registry {
    epoch: u64,
    members: BTreeMap<NodeName, Member>,
    incarnations: BTreeMap<NodeName, u64>,
    /// Leaves that may hold events which are not merged: every one that was ever listed, until it says otherwise.
    #[serde(default)]
    unsettled: BTreeSet<NodeName>,
    retired: BTreeMap<NodeName, RetiredStreams>,
}

impl Registry {
    /// From the store's text.
    ///
    /// # Errors
    /// When it is not a registry.
    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// For the store.
    ///
    /// # Errors
    /// Never for a registry; the type of the JSON writer says otherwise.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The live nodes at this epoch.
    pub fn view(&self) -> ClusterView {
        ClusterView { epoch: self.epoch, nodes: self.members.values().map(|m| m.node.clone()).collect() }
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Counts the epoch on from `seen`, if the store has forgotten that it was there: nodes take only
    /// newer views.
    pub fn exceed(&mut self, seen: u64) {
        if self.epoch < seen {
            self.epoch = seen + 1;
        }
    }

    /// The number of this start of a node: higher than any before, and at least `at_least`.
    ///
    /// # Errors
    /// When the name is new and there are too many.
    pub fn join(&mut self, name: &NodeName, at_least: u64) -> Result<u64, RegistryFull> {
        let last = self.incarnations.get(name).copied();
        if last.is_none() && self.incarnations.len() >= NAMES_REMEMBERED {
            return Err(RegistryFull::Names);
        }
        let incarnation = last.unwrap_or_default().saturating_add(1).max(at_least);
        self.incarnations.insert(name.clone(), incarnation);
        Ok(incarnation)
    }

    /// Whether a heartbeat would change what the store should know: the node's listing, or a lease that
    /// is more than half gone.
    pub fn needs_heartbeat(&self, node: &Node, now: WallMs, lease: Duration) -> bool {
        match self.members.get(&node.name) {
            Some(known) if known.node.incarnation > node.incarnation => false,
            Some(known) => known.node != *node || known.lease_until < now + lease / 2,
            None => true,
        }
    }

    /// A node lives. An older start of the same node is ignored.
    ///
    /// # Errors
    /// When the node is new and there are too many.
    pub fn heartbeat(&mut self, node: &Node, now: WallMs, lease: Duration) -> Result<(), RegistryFull> {
        let until = now + lease;
        let is_full = self.members.len() >= NODES_PER_CLUSTER;
        match self.members.get_mut(&node.name) {
            Some(known) if known.node.incarnation > node.incarnation => return Ok(()),
            Some(known) if known.node == *node => {
                known.lease_until = known.lease_until.max(until);
                return Ok(());
            }
            None if is_full => return Err(RegistryFull::Nodes),
            _ => {}
        }
        if node.tier == Tier::Leaf {
            self.unsettled.insert(node.name.clone());
        }
        self.members.insert(node.name.clone(), Member { node: node.clone(), lease_until: until });
        self.epoch += 1;
        Ok(())
    }

    /// A node is gone.
    pub fn leave(&mut self, name: &NodeName) {
        if self.members.remove(name).is_some() {
            self.epoch += 1;
        }
    }

    /// A leaf has merged all that it ever accepted, and takes nothing more: it is gone.
    pub fn settle(&mut self, name: &NodeName) {
        self.unsettled.remove(name);
        self.leave(name);
    }

    /// Leaves that are not live and may hold events that are not merged.
    pub fn away(&self) -> Vec<NodeName> {
        self.unsettled.iter().filter(|name| !self.members.contains_key(*name)).cloned().collect()
    }

    /// Whether a lease has run out.
    pub fn has_expired(&self, now: WallMs) -> bool {
        self.members.values().any(|m| m.lease_until < now)
    }

    /// Removes the nodes whose lease has run out.
    pub fn expire(&mut self, now: WallMs) {
        let before = self.members.len();
        self.members.retain(|_, m| m.lease_until >= now);
        if self.members.len() != before {
            self.epoch += 1;
        }
    }

    /// Keeps the ledgers of streams whose logs are about to be deleted.
    ///
    /// # Errors
    /// When a leaf's name is new and there are too many; the streams before it were taken.
    pub fn retire(&mut self, ledgers: &[StreamLedger]) -> Result<(), RegistryFull> {
        for StreamLedger { stream, ledger, .. } in ledgers {
            if !self.retired.contains_key(&stream.leaf) && self.retired.len() >= NAMES_REMEMBERED {
                return Err(RegistryFull::Names);
            }
            self.retired.entry(stream.leaf.clone()).or_default().retire(stream.incarnation, *ledger);
        }
        Ok(())
    }

    /// The ledgers of retired streams, for the audit.
    pub fn ledgers(&self) -> Vec<StreamLedger> {
        self.retired.iter().flat_map(|(leaf, streams)| streams.ledgers(leaf)).collect()
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
