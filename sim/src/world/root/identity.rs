//! Binds a root to its store, and has it check the store's identity.

use super::{REFUSED, World};
use crate::flaws::Flaw;
use crate::host::Host;
use crate::world::event::SimEvent;
use countree_common::store::StoreMemory;
use countree_common::time::Time;
use countree_root::machine::identity::binding::{Claimant, claim};
use countree_root::machine::identity::standing::Standing;

impl World {
    /// Binds the store and the root's folder to each other; a root that is refused is started again later.
    pub(super) fn bind_root(&mut self, i: usize) -> Option<Standing> {
        let memory = self.cluster.roots[i].memory.clone();
        let host = Host::Root(i);
        let authorities = ["ours".to_owned()].into();
        let claimant = Claimant { memory, authorities, adopts: false, place: host.to_string() };
        let ids = self.store.random_ids();
        let found = self.store.found();
        // A root that runs knows more of an emptied store than an operator.
        let is_adopted = self.faults.are_over && self.cluster.roots.iter().all(|root| root.process.is_none());
        let record = claim(&found, &claimant, ids).or_else(|refused| {
            if !is_adopted {
                return Err(refused);
            }
            self.model.losses.note_acknowledged();
            claim(&found, &Claimant { adopts: true, ..claimant }, ids)
        });
        let Ok(record) = record else {
            self.queue.after(REFUSED, SimEvent::Restart(host));
            return None;
        };
        self.store.put_identity(record.clone());
        self.cluster.roots[i].memory = record.last_start().map(|start| StoreMemory::of(record.id, start));
        // Time 0, as if the root had served for long.
        Standing::of(&record, Time::default())
    }

    /// Has a root check its store's identity, as it does once a second.
    pub(super) fn check_store_identity(&mut self, i: usize) {
        if self.store.is_down || self.queue.now() < self.store.paused_until {
            return;
        }
        let now = self.clocks(Host::Root(i)).mono;
        let Some(process) = &mut self.cluster.roots[i].process else { return };
        process.standing.handle_found(&self.store.found(), now);
        if let Some(mut record) = process.standing.poll_write() {
            if self.plan.flaw == Some(Flaw::UnmarkedLosses) {
                record.unacknowledged = None;
            }
            self.store.put_identity(record);
            process.standing.handle_found(&self.store.found(), now);
        }
        self.follow_standing(i);
    }

    /// Passes a root's judgement of its store on to its machines.
    pub(in crate::world) fn follow_standing(&mut self, i: usize) {
        let now = self.registrar_clocks(Host::Root(i));
        let Some(process) = &mut self.cluster.roots[i].process else { return };
        process.machine.handle_stores(process.standing.stores());
        let is_fenced = process.standing.is_fenced() && self.plan.flaw != Some(Flaw::UnfencedRoots);
        let fence = process.standing.problem().filter(|_| is_fenced);
        if fence.is_some() != process.is_fenced {
            process.is_fenced = fence.is_some();
            process.machine.handle_fence(fence.is_some());
            process.registrar.handle_fence(fence, now);
        }
    }
}
