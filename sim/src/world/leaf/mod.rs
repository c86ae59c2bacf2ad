//! The leaf's shell: its process from start to end, around its machine.

mod leaving;
mod links;
mod log;
mod node;
mod outputs;
mod rpc;

use super::World;
use crate::disk::Crash;
use crate::flaws::Flaw;
use crate::host::Host;
use crate::model::Promise;
use crate::world::event::SimEvent;
use crate::world::membership::Membership;
use countree_common::store::FolderAdmission;
use countree_common::stream::StreamId;
use countree_common::wire::keys::KeyState;
use countree_leaf::log::carried::Carried;
use countree_leaf::log::recovery::ends;
use countree_leaf::machine::{LeafConfig, LeafMachine};
pub(super) use node::LeafNode;
use node::LeafProcess;
use rpc::PendingRpcs;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A leaf that was refused is started again after this long.
const REFUSED: Duration = Duration::from_millis(500);

impl World {
    /// Starts a process: it reads its log and asks for an incarnation.
    pub(super) fn start_leaf(&mut self, i: usize) {
        let leaf = &mut self.cluster.leaves[i];
        if leaf.process.is_some() {
            return;
        }
        let copy = leaf.disk.copied();
        let (mut recovery, mut old) = match leaf.disk.recover(&leaf.name) {
            Ok(recovered) => recovered,
            Err(e) => {
                let what = format!("{} does not start on its log: {e}", leaf.name);
                return self.violate(Promise::Orderly, what);
            }
        };
        let log = ends(&old);
        match self.plan.flaw {
            Some(Flaw::ForgottenSessions) => recovery.carried = Carried::default(),
            Some(Flaw::ForgottenKeys) => recovery.carried.keys.clear(),
            Some(Flaw::ForgottenNotes) => {
                recovery.carried.keys.retain(|_, of| matches!(of.state, KeyState::Used { .. }));
            }
            Some(Flaw::ForgottenContent) => {
                let used = recovery.carried.keys.values_mut();
                let used = used.filter(|of| matches!(of.state, KeyState::Used { .. }));
                used.for_each(|of| of.state = KeyState::Used { content: 0 });
            }
            Some(Flaw::ForgottenSeal) => {
                recovery.carried.sessions.values_mut().for_each(|session| session.is_ended = false);
            }
            Some(Flaw::ForgottenStreams) => old.clear(),
            _ => {}
        }
        leaf.lives += 1;
        leaf.copy = Some((copy, leaf.memory.clone()));
        leaf.process = Some(LeafProcess {
            membership: Membership::default(),
            recovered: Some((recovery.carried, old)),
            log,
            machine: None,
            incarnation: 0,
            producers: BTreeSet::new(),
            roots: BTreeMap::new(),
            pending_rpcs: PendingRpcs::default(),
            wakes_at: None,
            leaving: None,
            has_sent_leave: false,
            is_without_heartbeats: false,
            final_request: None,
            delayed: Vec::new(),
        });
        self.heartbeat(Host::Leaf(i));
    }

    /// Ends the process; says whether there was one.
    pub(super) fn crash_leaf(&mut self, i: usize, crash: Crash) -> bool {
        if self.cluster.leaves[i].process.take().is_none() {
            return false;
        }
        self.cluster.leaves[i].disk.crash(crash, &mut self.random, &mut self.faults.tally);
        self.terminate(Host::Leaf(i));
        true
    }

    /// Binds a leaf's folder to a store.
    pub(super) fn bind_leaf(&mut self, i: usize, store: Option<FolderAdmission>) {
        let Some(store) = store else { return };
        let leaf = &mut self.cluster.leaves[i];
        if let Some((carried, _)) = leaf.process.as_mut().and_then(|process| process.recovered.as_mut()) {
            leaf.memory = Some(carried.belong(&store, leaf.memory.as_ref()));
        }
        if store.is_foreign {
            // Events that it had merged elsewhere, and has no log of any more, are not here.
            self.model.losses.note_adopted(i, self.queue.now());
        }
    }

    /// Ends a leaf whose folder belongs to another store; the operator starts it again a while later.
    pub(super) fn leaf_is_refused(&mut self, i: usize) {
        if self.crash_leaf(i, Crash::Process) {
            self.queue.after(REFUSED, SimEvent::Restart(Host::Leaf(i)));
        }
    }

    pub(super) fn leaf_joined(&mut self, i: usize, incarnation: u64, missing: &[StreamId]) {
        let now = self.clocks(Host::Leaf(i));
        let config = LeafConfig {
            leaf: self.cluster.leaves[i].name.clone(),
            window: self.plan.cluster.window,
            horizon: self.plan.cluster.horizon,
            retention: self.plan.cluster.retention,
            log_bytes: 64 << 20,
            segment_bytes: self.plan.cluster.segment_bytes,
            capacity: 2_000_000,
        };
        let leaf = &mut self.cluster.leaves[i];
        let Some(process) = &mut leaf.process else { return };
        let Some((mut carried, old)) = process.recovered.take() else { return };
        if self.plan.flaw != Some(Flaw::TrustedCopies) {
            carried.note_missing(missing);
        }
        leaf.disk.create(incarnation);
        match LeafMachine::new(config, incarnation, &carried, old, now) {
            Ok(machine) => (process.machine, process.incarnation) = (Some(machine), incarnation),
            Err(e) => self.violate(Promise::Orderly, format!("a leaf could not begin its log: {e}")),
        }
        self.drain_leaf(i);
    }

    /// Takes a root's confirmation of the view.
    pub(super) fn leaf_is_confirmed(&mut self, i: usize) {
        let now = self.clocks(Host::Leaf(i));
        if let Some(machine) = self.cluster.leaves[i].machine() {
            machine.handle_confirmation(now);
        }
    }
}
