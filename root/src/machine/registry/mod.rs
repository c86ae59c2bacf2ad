//! The registry: the members of the cluster, as one document in the store. Roots change it by compare-and-set;
//! every operation may be repeated.

mod departures;
mod imports;
mod key_record;
mod ledgers;
mod open_streams;
pub mod registrar;
pub mod retired;
pub mod splits;
mod starts;
#[cfg(test)]
mod testing;
pub mod text;

use countree_common::cluster::{ClusterView, Node, NodeName, Split, Tier};
use countree_common::import::{Direction, ImportFile, ImportRefusal};
use countree_common::limits::{NODES_PER_CLUSTER, SPLITS_PER_CLUSTER};
use countree_common::time::WallMs;
use imports::Imports;
use key_record::KeyRecord;
use open_streams::OpenStreams;
use retired::RetiredStreams;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use departures::{NotSettled, StillLive};

/// Leaves that a cluster remembers. A leaf is remembered for good: its log is known by its incarnation, and none may be
/// given twice.
pub const NAMES_REMEMBERED: usize = 16 * NODES_PER_CLUSTER;

/// The cluster is full. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegistryFull {
    /// Too many live nodes.
    #[error("the cluster has {NODES_PER_CLUSTER} nodes and takes no more: drain some first")]
    Nodes,
    /// Too many names over time.
    #[error("the cluster has seen {NAMES_REMEMBERED} leaf names and takes no new one: use names again")]
    Names,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    node: Node,
    lease_until: WallMs,
}

/// The registry: the members of the cluster, and what belongs to them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Registry {
    epoch: u64,
    /// The registry's clock at the last write; 0 before it had one. All times in here are that clock's.
    #[serde(default)]
    time: WallMs,
    members: BTreeMap<NodeName, Member>,
    /// The last incarnation of each leaf.
    incarnations: BTreeMap<NodeName, u64>,
    /// The highest incarnation of any root or broadcast node: they share one count, so that their names may be
    /// forgotten.
    #[serde(default)]
    starts: u64,
    /// The start of each leaf that has settled. A heartbeat of it that comes late must not list it anew.
    #[serde(default)]
    settled: BTreeMap<NodeName, u64>,
    /// Leaves that may hold events which are not merged: every one that was ever listed, until it says otherwise.
    #[serde(default)]
    unsettled: BTreeSet<NodeName>,
    retired: BTreeMap<NodeName, RetiredStreams>,
    #[serde(default)]
    open: OpenStreams,
    #[serde(default = "KeyRecord::begun_late")]
    keys: KeyRecord,
    /// The epoch at which the owners of keys last changed. One that left and came back has changed them twice: it may
    /// have come back without what it knew.
    #[serde(default)]
    owners_since: u64,
    /// Split items, by topic and item.
    #[serde(default)]
    splits: Vec<Split>,
    #[serde(default)]
    imports: Imports,
}

impl Registry {
    /// The live nodes at this epoch.
    pub fn view(&self) -> ClusterView {
        ClusterView {
            epoch: self.epoch,
            nodes: self.members.values().map(|m| m.node.clone()).collect(),
            splits: self.splits.clone(),
            keys: self.keys.history(self.key_owners()),
        }
    }

    /// The leaves that remember idempotency keys: those that live, and those that are away and may come back.
    fn key_owners(&self) -> BTreeSet<NodeName> {
        let leaves = self.members.values().map(|m| &m.node).filter(|node| node.tier == Tier::Leaf);
        let live = leaves.map(|node| node.name.clone());
        self.keys.owners(live.chain(self.unsettled.iter().cloned()).collect())
    }

    /// Goes to the next epoch, and records the owners of keys if they were others `before`.
    fn advance(&mut self, before: BTreeSet<NodeName>, now: WallMs) {
        self.epoch += 1;
        self.keys.begin(now);
        if self.key_owners() != before {
            self.owners_since = self.epoch;
            self.keys.succeed(before, now);
        }
    }

    /// Gives the registry a clock, if it was written before there was one: by wall clocks, which may have been ahead.
    pub fn begin_time(&mut self, wall: WallMs, lease: Duration) {
        if self.time == WallMs(0) {
            self.time = wall.max(self.keys.latest());
            let until = self.time + lease;
            self.members.values_mut().for_each(|m| m.lease_until = m.lease_until.min(until));
        }
    }

    /// The registry's clock at the last write.
    pub fn time(&self) -> WallMs {
        self.time
    }

    /// The registry is about to be written at this time.
    pub fn note_time(&mut self, time: WallMs) {
        self.time = self.time.max(time);
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Counts the epoch on from `seen`, if the store has forgotten that it was there: nodes take only
    /// newer views. The owners of keys may be others than in the views that were forgotten.
    pub fn exceed(&mut self, seen: u64) {
        if self.epoch < seen {
            self.epoch = seen.saturating_add(1);
            self.owners_since = self.epoch;
        }
    }

    /// Skips epochs.
    pub fn leap(&mut self, epochs: u64) {
        self.epoch = self.epoch.saturating_add(epochs);
    }

    /// Whether a heartbeat would change what the store should know: the node's listing, or a lease that
    /// is more than half gone.
    pub fn needs_heartbeat(&self, node: &Node, now: WallMs, lease: Duration) -> bool {
        match self.members.get(&node.name) {
            _ if self.has_settled(node) => false,
            Some(known) if known.node.incarnation > node.incarnation => false,
            Some(known) => known.node != *node || known.lease_until < now + lease / 2,
            None => true,
        }
    }

    fn has_settled(&self, node: &Node) -> bool {
        self.settled.get(&node.name).is_some_and(|settled| *settled >= node.incarnation)
    }

    /// A node lives. An older start of the same node is ignored, and so is one that has settled. Where a leaf joined on
    /// a log that lacks what an earlier start has known, nobody can say any more what keys it knew, and those streams
    /// are missing until they are found or given up.
    ///
    /// # Errors
    /// When the node is new and there are too many.
    pub fn heartbeat(&mut self, node: &Node, now: WallMs, lease: Duration) -> Result<(), RegistryFull> {
        let until = now + lease;
        let (is_full, is_settled) = (self.members.len() >= NODES_PER_CLUSTER, self.has_settled(node));
        match self.members.get_mut(&node.name) {
            _ if is_settled => return Ok(()),
            Some(known) if known.node.incarnation > node.incarnation => return Ok(()),
            Some(known) if known.node == *node => {
                known.lease_until = known.lease_until.max(until);
                return Ok(());
            }
            None if is_full => return Err(RegistryFull::Nodes),
            _ => {}
        }
        self.note_incarnation(&node.name, node.tier, node.incarnation)?;
        let owners = self.key_owners();
        let mut has_forgotten = false;
        if node.tier == Tier::Leaf {
            self.unsettled.insert(node.name.clone());
            self.settled.remove(&node.name);
            has_forgotten = self.open.open(&node.name, node.incarnation, now);
            self.keys.release(&node.name);
        }
        if has_forgotten {
            self.keys.lose(&node.name, now);
        }
        self.members.insert(node.name.clone(), Member { node: node.clone(), lease_until: until });
        self.advance(owners.clone(), now);
        if has_forgotten && self.key_owners() == owners {
            self.owners_since = self.epoch;
            self.keys.succeed(owners, now);
        }
        Ok(())
    }

    /// A node is gone.
    pub fn leave(&mut self, name: &NodeName) {
        if self.members.remove(name).is_some() {
            self.epoch += 1;
        }
    }

    /// Items are split like this from now on.
    pub fn split(&mut self, splits: &[Split]) {
        let mut splits = splits.to_vec();
        splits.sort_by(|a, b| (&a.topic, &a.item).cmp(&(&b.topic, &b.item)));
        splits.truncate(SPLITS_PER_CLUSTER);
        if splits != self.splits {
            self.splits = splits;
            self.epoch += 1;
        }
    }

    /// Nodes whose leases have not run out.
    pub fn live(&self, now: WallMs) -> Vec<NodeName> {
        self.members.iter().filter(|(_, m)| m.lease_until >= now).map(|(name, _)| name.clone()).collect()
    }

    /// Leaves that may hold events that are not merged, where nobody can be asked: those that are not live, and those
    /// that live on without an earlier log.
    pub fn away(&self) -> Vec<NodeName> {
        let away = self.unsettled.iter().filter(|name| !self.members.contains_key(*name));
        let away: BTreeSet<_> = away.chain(self.open.forgetful()).collect();
        away.into_iter().cloned().collect()
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

    /// An import begins, or goes on.
    ///
    /// # Errors
    /// When it can't.
    pub fn begin_import(&mut self, file: &ImportFile, direction: Direction) -> Result<(), ImportRefusal> {
        self.imports.begin(file, direction)
    }

    /// Notes that all rows of an import were sent, and how many of them count.
    ///
    /// # Errors
    /// When it can't be.
    pub fn end_import(
        &mut self,
        file: &ImportFile,
        direction: Direction,
        rows: u64,
    ) -> Result<(), ImportRefusal> {
        self.imports.end(file, direction, rows)
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
