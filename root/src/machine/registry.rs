//! The registry: who is in the cluster, as one document in the store. Roots change it by compare-and-set;
//! every operation may be repeated.

use super::imports::Imports;
use super::key_record::KeyRecord;
use super::open_streams::OpenStreams;
use super::retired::RetiredStreams;
use countree_common::audit::Books;
use countree_common::cluster::{ClusterView, Node, NodeName, Split, Tier};
use countree_common::import::{Direction, ImportFile, ImportRefusal};
use countree_common::ledger::{Ledger, StreamLedger};
use countree_common::limits::{NODES_PER_CLUSTER, SPLITS_PER_CLUSTER};
use countree_common::stream::StreamId;
use countree_common::time::WallMs;
use countree_common::wire::rpc::{LogEnd, Reached};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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

/// Why a leaving leaf may not go yet. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSettled {
    /// Keys have other owners than those that it has handed its keys to, or other starts of them.
    #[error("keys belong to {owners:?} since epoch {since}: hand them over to those, and repeat")]
    OtherHeirs {
        /// The owners beside the leaf itself.
        owners: Vec<NodeName>,
        /// Since when.
        since: u64,
    },
    /// A later start of it may be at work.
    #[error("{0} has started again: keep this start's data folder")]
    StartedAgain(NodeName),
    /// Its name is new, and there are too many.
    #[error(transparent)]
    Full(#[from] RegistryFull),
}

/// A leaf that lives can't be given up. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is live, and no log of it is missing: drain it")]
pub struct StillLive(pub NodeName);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    node: Node,
    lease_until: WallMs,
}

/// Who is in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Registry {
    epoch: u64,
    /// What the registry's clock showed when it was last written; 0 before it had one. All times in here are that clock's.
    #[serde(default)]
    time: WallMs,
    members: BTreeMap<NodeName, Member>,
    /// Of leaves, by name.
    incarnations: BTreeMap<NodeName, u64>,
    /// The highest incarnation of any root or broadcast node: they share one count, so that their names may be forgotten.
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
    /// By topic and item.
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

    /// What the registry's clock showed when it was last written.
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

    /// The number of this start of a node: higher than any before, and at least `at_least`.
    ///
    /// # Errors
    /// When it is a leaf with a new name and there are too many.
    pub fn join(&mut self, name: &NodeName, tier: Tier, at_least: u64) -> Result<u64, RegistryFull> {
        let last = match tier {
            Tier::Leaf => self.incarnations.get(name).copied().unwrap_or_default(),
            Tier::Root | Tier::Broadcast => self.starts,
        };
        let incarnation = last.saturating_add(1).max(at_least);
        self.note_incarnation(name, tier, incarnation)?;
        Ok(incarnation)
    }

    /// The number of this start of a leaf on a log that holds these streams: higher than any before by `jump` or more.
    /// A registry that fell back, and a log that is lost at once, would give a number again whose stream the store
    /// knows. Where the log lacks what an earlier start has known, nobody can say any more what keys it knew, and those
    /// streams are missing until they are found or given up.
    ///
    /// # Errors
    /// When its name is new and there are too many.
    pub fn join_on_log(
        &mut self,
        leaf: &NodeName,
        log: &[LogEnd],
        jump: u64,
        now: WallMs,
    ) -> Result<(u64, Vec<StreamId>), RegistryFull> {
        let at_least = log.iter().map(|end| end.incarnation).max().unwrap_or_default() + 1;
        // Over what the registry knows, too: that may be as old as the log.
        let last = self.incarnations.get(leaf).copied().unwrap_or_default();
        let at_least = at_least.max(last.saturating_add(1)).saturating_add(jump);
        let incarnation = self.join(leaf, Tier::Leaf, at_least)?;
        if self.open.compare(leaf, log) {
            let owners = self.key_owners();
            self.keys.lose(leaf, now);
            self.advance(owners.clone(), now);
            if self.key_owners() == owners {
                self.owners_since = self.epoch;
                self.keys.succeed(owners, now);
            }
        }
        let mut missing = self.open.missing_of(leaf);
        // It has left since the copy that it starts on was made: all is merged, but sessions that are open there ended.
        if let Some(settled) =
            self.settled.get(leaf).filter(|settled| log.last().is_some_and(|end| end.incarnation < **settled))
        {
            missing.push(StreamId { leaf: leaf.clone(), incarnation: *settled });
        }
        Ok((incarnation, missing))
    }

    /// A leaf says how far its live stream has come.
    pub fn reach(&mut self, node: &Node, reached: Reached) {
        if node.tier == Tier::Leaf {
            self.open.reach(&node.name, node.incarnation, reached);
        }
    }

    /// A node has started that often, by its own word: a registry that fell back may have forgotten it, and would give
    /// the number again.
    fn note_incarnation(
        &mut self,
        name: &NodeName,
        tier: Tier,
        incarnation: u64,
    ) -> Result<(), RegistryFull> {
        if tier != Tier::Leaf {
            self.starts = incarnation.max(self.starts);
            return Ok(());
        }
        let is_full = self.incarnations.len() >= NAMES_REMEMBERED;
        match self.incarnations.get_mut(name) {
            Some(last) => *last = incarnation.max(*last),
            None if is_full => return Err(RegistryFull::Names),
            None => drop(self.incarnations.insert(name.clone(), incarnation)),
        }
        Ok(())
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

    /// A node lives. An older start of the same node is ignored, and so is one that has settled.
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
        if node.tier == Tier::Leaf {
            self.unsettled.insert(node.name.clone());
            self.settled.remove(&node.name);
            self.open.open(&node.name, node.incarnation);
            self.keys.release(&node.name);
        }
        self.members.insert(node.name.clone(), Member { node: node.clone(), lease_until: until });
        self.advance(owners, now);
        Ok(())
    }

    /// A node is gone.
    pub fn leave(&mut self, name: &NodeName) {
        if self.members.remove(name).is_some() {
            self.epoch += 1;
        }
    }

    /// This start of a leaf has merged all that the leaf ever accepted, takes nothing more, and has handed its keys to
    /// `heirs`, who were the owners of keys from then on and are so in the view of `epoch`: it is gone. Says whether
    /// it keeps its keys, since there was nobody to take them; it remains their owner then. A repeat is answered as
    /// the first was: others may have come since, and its keys are not with them.
    ///
    /// # Errors
    /// When the owners of keys are others, a later start has come, or the name is one too many.
    pub fn settle(
        &mut self,
        start: &StreamId,
        heirs: &[NodeName],
        epoch: u64,
        now: WallMs,
    ) -> Result<bool, NotSettled> {
        let StreamId { leaf, incarnation } = start;
        if self.incarnations.get(leaf).is_some_and(|last| last > incarnation) {
            return Err(NotSettled::StartedAgain(leaf.clone()));
        }
        if self.settled.get(leaf) == Some(incarnation) {
            return Ok(self.keys.is_keeper(leaf));
        }
        let (before, since) = (self.key_owners(), self.owners_since);
        let owners: BTreeSet<_> = before.iter().filter(|owner| *owner != leaf).collect();
        if since > epoch || owners != heirs.iter().filter(|heir| *heir != leaf).collect() {
            return Err(NotSettled::OtherHeirs { owners: owners.into_iter().cloned().collect(), since });
        }
        let keeps_keys = owners.is_empty();
        self.note_incarnation(leaf, Tier::Leaf, *incarnation)?;
        if keeps_keys {
            self.keys.keep(leaf, now);
        }
        self.unsettled.remove(leaf);
        self.members.remove(leaf);
        self.settled.insert(leaf.clone(), *incarnation);
        self.open.settle(leaf, *incarnation, keeps_keys);
        self.advance(before, now);
        Ok(keeps_keys)
    }

    /// A leaf will never come back: what it had not merged is lost, and nobody can say what keys it knew. Of one that
    /// lives on without its earlier logs, those are given up. What was last heard of them is declared lost.
    ///
    /// # Errors
    /// When it is live and no log of it is missing.
    pub fn forget(&mut self, leaf: &NodeName, now: WallMs) -> Result<(), StillLive> {
        let is_live = self.members.contains_key(leaf);
        if is_live && self.open.missing_of(leaf).is_empty() {
            return Err(StillLive(leaf.clone()));
        }
        let lost = self.open.give_up(leaf, is_live);
        if lost != Ledger::default() {
            self.retired.entry(leaf.clone()).or_default().declare(lost);
        }
        if is_live {
            return Ok(());
        }
        let before = self.key_owners();
        if before.contains(leaf) {
            self.unsettled.remove(leaf);
            self.keys.lose(leaf, now);
            self.advance(before, now);
        }
        Ok(())
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

    /// Keeps the ledgers of streams that are wholly merged: of one leaf, the oldest that it still has a log of among them.
    ///
    /// # Errors
    /// When a leaf's name is new and there are too many; the streams before it were taken.
    pub fn retire(&mut self, ledgers: &[StreamLedger]) -> Result<(), RegistryFull> {
        for StreamLedger { stream, ledger, .. } in ledgers {
            if !self.retired.contains_key(&stream.leaf) && self.retired.len() >= NAMES_REMEMBERED {
                return Err(RegistryFull::Names);
            }
            self.note_incarnation(&stream.leaf, Tier::Leaf, stream.incarnation)?;
            self.open.close(&stream.leaf, stream.incarnation, ledger);
            self.retired.entry(stream.leaf.clone()).or_default().retire(stream.incarnation, *ledger);
        }
        let oldest = ledgers.iter().map(|of| &of.stream).min_by_key(|stream| stream.incarnation);
        if let Some((oldest, retired)) = oldest.and_then(|s| Some((s, self.retired.get_mut(&s.leaf)?))) {
            retired.fold(oldest.incarnation);
        }
        Ok(())
    }

    /// The ledgers of retired streams, as their leaves gave them, and of imports.
    pub fn ledgers(&self) -> Vec<StreamLedger> {
        let retired = self.retired.iter().flat_map(|(leaf, streams)| streams.ledgers(leaf));
        retired.chain(self.open.ledgers()).chain(self.imports.ledgers()).collect()
    }

    /// An import begins, or goes on.
    ///
    /// # Errors
    /// When it can't.
    pub fn begin_import(&mut self, file: &ImportFile, direction: Direction) -> Result<(), ImportRefusal> {
        self.imports.begin(file, direction)
    }

    /// All rows of an import were sent, and so many of them count.
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

    /// The store lacks so many of a stream's merged events, for good; 0 when it lacks none after all.
    ///
    /// # Errors
    /// When the leaf's name is new and there are too many.
    pub fn declare_lost(&mut self, stream: &StreamId, events: u64) -> Result<(), RegistryFull> {
        if !self.retired.contains_key(&stream.leaf) && self.retired.len() >= NAMES_REMEMBERED {
            return Err(RegistryFull::Names);
        }
        self.retired.entry(stream.leaf.clone()).or_default().declare_lost(stream.incarnation, events);
        Ok(())
    }

    /// All that the audit needs to know from here.
    pub fn books(&self) -> Books {
        let of = |leaf: &NodeName, incarnation| StreamId { leaf: leaf.clone(), incarnation };
        let lost = self.retired.iter().flat_map(|(leaf, retired)| {
            retired.lost().map(move |(incarnation, events)| (of(leaf, incarnation), events))
        });
        let folded = self.retired.iter().map(|(leaf, retired)| (leaf.clone(), retired.folded_to()));
        let given_up = self.retired.iter().filter(|(_, retired)| retired.has_given_up());
        Books {
            view: self.view(),
            away: self.away(),
            retired: self.ledgers(),
            folded: folded.filter(|(_, to)| *to > 0).collect(),
            given_up: given_up.map(|(leaf, _)| leaf.clone()).collect(),
            lost: lost.collect(),
            starts: self.incarnations.iter().map(|(leaf, last)| (leaf.clone(), *last)).collect(),
        }
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
