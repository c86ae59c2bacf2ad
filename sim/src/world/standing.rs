//! Empties and exchanges the store, as people do, and checks that roots notice.

use super::World;
use crate::host::Host;
use crate::model::{Broken, Promise};
use crate::world::event::SimEvent;
use countree_root::machine::identity::standing::State;
use std::time::Duration;

/// Roots check the store's identity once a second, and some have yet to start.
const NOTICED: Duration = Duration::from_secs(10);

impl World {
    /// Empties the store, as FLUSHALL does. Says whether there was anything.
    pub(super) fn empty_store(&mut self) -> bool {
        // Before the first root has started the store belongs to no cluster; and another cluster's store is left alone.
        if self.operator.displaced_store.is_some() || self.store.found().record.is_none() {
            return false;
        }
        self.store.empty();
        self.model.losses.note_emptied(self.queue.now());
        true
    }

    /// Puts another store in the store's place.
    pub(super) fn exchange_store(&mut self) -> bool {
        self.displace_store(true)
    }

    fn displace_store(&mut self, has_cluster: bool) -> bool {
        if self.operator.displaced_store.is_some() || self.store.found().record.is_none() {
            return false;
        }
        let other = self.store.other(has_cluster);
        self.operator.displaced_store = Some(std::mem::replace(&mut self.store, other));
        true
    }

    /// Puts the store back in its place.
    pub(super) fn restore_store(&mut self) {
        if let Some(mut store) = self.operator.displaced_store.take() {
            (store.is_down, store.paused_until) = (self.store.is_down, self.store.paused_until);
            self.store = store;
            // Another process serves after it was away.
            self.store.change_process();
        }
    }

    /// Starts all roots on a new store, in new folders, as an operator would by mistake. Before a leaf has joined with the
    /// store there is nothing to mistake: leaves that join first on the other one belong to that.
    pub(super) fn start_roots_on_other_store(&mut self) -> bool {
        let store = self.store.found().record.map(|record| record.id);
        if !self.cluster.leaves.iter().any(|leaf| leaf.known_store().map(|(id, _)| id) == store) {
            return false;
        }
        let strikes = self.displace_store(false) && self.move_roots();
        self.operator.has_used_another_store |= strikes;
        strikes
    }

    /// Starts all roots on the right store again, in new folders again.
    pub(super) fn return_roots_to_store(&mut self) {
        if self.operator.displaced_store.is_some() {
            self.restore_store();
            self.move_roots();
        }
    }

    fn move_roots(&mut self) -> bool {
        for root in 0..self.cluster.roots.len() {
            self.crash_root(root);
            self.cluster.roots[root].forget_store();
            self.queue.after(Duration::from_millis(100), SimEvent::Restart(Host::Root(root)));
        }
        true
    }

    /// Checks that no root calls an emptied store sound before the operator has acknowledged it, and acknowledges it.
    pub(super) fn settle_standing(&mut self) -> Result<(), Broken> {
        if !self.model.losses.has_emptied_store() {
            return Ok(());
        }
        self.run_for(NOTICED)?;
        let (now, ids) = (self.queue.now(), self.store.random_ids());
        for i in 0..self.cluster.roots.len() {
            let found = self.store.found();
            let Some(standing) = self.cluster.roots[i].standing() else { continue };
            if *standing.state() == State::Sound && !self.model.losses.is_acknowledged() {
                let what = format!("the store was emptied, and root-{i} calls it sound");
                return Err(Promise::Balanced.broken(what));
            }
            if let Ok(Some(record)) = standing.acknowledge(&found, now, ids) {
                self.store.put_identity(record);
                self.model.losses.note_acknowledged();
            }
            self.follow_standing(i);
        }
        self.run_for(NOTICED)?;
        for i in 0..self.cluster.roots.len() {
            if let Some(words) = self.cluster.roots[i].standing().and_then(|standing| standing.problem()) {
                return Err(Promise::Settled
                    .broken(format!("root-{i} has not heard of the operator's word: {words}")));
            }
        }
        Ok(())
    }
}
