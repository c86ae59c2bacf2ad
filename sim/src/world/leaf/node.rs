//! A simulated leaf: its folder, which outlives processes, and the process that runs.

use super::links::RootConnection;
use super::rpc::PendingRpcs;
use crate::disk::{Disk, Folder};
use crate::flaws::Flaw;
use crate::host::{Host, Life};
use crate::network::{ConnectionId, Message};
use crate::world::membership::Membership;
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::ledger::StreamLedger;
use countree_common::store::{StoreId, StoreMemory, StoreStart};
use countree_common::stream::StreamId;
use countree_common::time::Time;
use countree_common::wire::rpc::{LogEnd, Request, StreamProgress};
use countree_leaf::log::carried::Carried;
use countree_leaf::log::recovery::OldStream;
use countree_leaf::machine::LeafMachine;
use countree_leaf::machine::calls::CallId;
use std::collections::{BTreeMap, BTreeSet};

/// A leaf: its disk outlives its processes.
#[derive(Debug)]
pub(in crate::world) struct LeafNode {
    pub(super) name: NodeName,
    pub(in crate::world) disk: Disk,
    pub(super) lives: Life,
    /// A copy of its folder from before the last start.
    pub(super) copy: Option<(Folder, Option<StoreMemory>)>,
    /// The store that its folder belongs to.
    pub(super) memory: Option<StoreMemory>,
    pub(super) process: Option<LeafProcess>,
}

#[derive(Debug)]
pub(super) struct LeafProcess {
    pub(super) membership: Membership,
    /// The recovered log, until there is a machine.
    pub(super) recovered: Option<(Carried, BTreeMap<StreamId, OldStream>)>,
    pub(super) log: Vec<LogEnd>,
    pub(super) machine: Option<LeafMachine>,
    pub(super) incarnation: u64,
    pub(super) producers: BTreeSet<ConnectionId>,
    pub(super) roots: BTreeMap<NodeName, RootConnection>,
    /// Open requests to this leaf.
    pub(super) pending_rpcs: PendingRpcs,
    pub(super) wakes_at: Option<Time>,
    /// The time since which it is leaving.
    pub(super) leaving: Option<Time>,
    pub(super) has_sent_leave: bool,
    /// It sends no heartbeats any more.
    pub(super) is_without_heartbeats: bool,
    /// The request to be sent once the last heartbeat is over.
    pub(super) final_request: Option<(CallId, Request)>,
    /// Messages that wait for the disk, in a world where the machine does not wait.
    pub(super) delayed: Vec<(ConnectionId, Message)>,
}

impl LeafNode {
    pub(in crate::world) fn new(number: usize, flaw: Option<Flaw>) -> Self {
        let (name, disk) = (Host::Leaf(number).name(), Disk::new(flaw));
        Self { name, disk, lives: 0, copy: None, memory: None, process: None }
    }

    pub(super) fn name(&self) -> &NodeName {
        &self.name
    }

    pub(in crate::world) fn life(&self) -> Option<Life> {
        self.process.as_ref().map(|_| self.lives)
    }

    pub(in crate::world) fn is_up(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.machine.is_some())
    }

    /// Whether a process ever ran here.
    pub(in crate::world) fn has_lived(&self) -> bool {
        self.lives > 0
    }

    pub(in crate::world) fn is_leaving(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.leaving.is_some())
    }

    pub(in crate::world) fn is_without_heartbeats(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.is_without_heartbeats)
    }

    pub(in crate::world) fn view(&self) -> Option<&ClusterView> {
        self.process.as_ref().map(|p| &p.membership.view)
    }

    pub(in crate::world) fn membership(&mut self) -> Option<&mut Membership> {
        self.process.as_mut().map(|p| &mut p.membership)
    }

    /// The ends of its streams when it started.
    pub(in crate::world) fn log(&self) -> Vec<LogEnd> {
        self.process.as_ref().map(|p| p.log.clone()).unwrap_or_default()
    }

    /// The store that its folder belongs to.
    pub(in crate::world) fn store(&self) -> Option<StoreId> {
        self.memory.as_ref().map(|memory| memory.id)
    }

    /// The same, with the last start of it that the folder has seen.
    pub(in crate::world) fn known_store(&self) -> Option<(StoreId, StoreStart)> {
        self.memory.as_ref().map(|memory| (memory.id, memory.start))
    }

    /// The progress of its stream.
    pub(in crate::world) fn reached(&self) -> StreamProgress {
        let machine = self.process.as_ref().and_then(|p| p.machine.as_ref());
        machine.map(LeafMachine::reached).unwrap_or_default()
    }

    /// Empties the folder, or replaces it by the copy from before the last start. Says whether that was possible.
    pub(in crate::world) fn lose_folder(&mut self, is_restored: bool) -> bool {
        let copy = if is_restored { self.copy.clone() } else { Some((Folder::default(), None)) };
        let Some((copy, memory)) = copy.filter(|_| self.process.is_none()) else { return false };
        self.disk.replace(copy);
        self.memory = memory;
        true
    }

    pub(super) fn machine(&mut self) -> Option<&mut LeafMachine> {
        self.process.as_mut()?.machine.as_mut()
    }

    /// The ledgers of its streams; `None` while it is down.
    pub(in crate::world) fn ledgers(&self) -> Option<Vec<StreamLedger>> {
        Some(self.process.as_ref()?.machine.as_ref()?.known_ledgers())
    }
}
