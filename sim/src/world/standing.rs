//! Stores that are emptied, exchanged, or another cluster's: what people do, and what roots have to make of it.

use super::World;
use crate::host::Host;
use crate::model::{Broken, Promise};
use crate::world::event::SimEvent;
use countree_root::machine::identity::standing::State;
use std::time::Duration;

/// Roots look whose store it is once a second, and some have yet to start.
const NOTICED: Duration = Duration::from_secs(10);

impl World {
    /// FLUSHALL. Says whether there was anything.
    pub(super) fn empty_store(&mut self) -> bool {
        // Before the first root has started it is nobody's; and another one is not ours to look after.
        if self.operator.displaced_store.is_some() || self.store.found().record.is_none() {
            return false;
        }
        self.store.empty();
        self.model.losses.note_emptied(self.queue.now());
        true
    }

    /// Another store stands where the store was.
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

    /// The store is where it was.
    pub(super) fn restore_store(&mut self) {
        if let Some(mut store) = self.operator.displaced_store.take() {
            (store.is_down, store.paused_until) = (self.store.is_down, self.store.paused_until);
            self.store = store;
            // It was away: another process serves.
            self.store.change_process();
        }
    }

    /// The operator starts all roots on a store that is new, in folders that are new.
    pub(super) fn start_roots_on_other_store(&mut self) -> bool {
        let strikes = self.displace_store(false) && self.move_roots();
        self.operator.has_used_another_store |= strikes;
        strikes
    }

    /// And on the right one again, in folders that are new again.
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

    /// An emptied store is not called sound by anybody until the operator has acknowledged it, which happens here.
    pub(super) fn settle_standing(&mut self) -> Result<(), Broken> {
        if !self.model.losses.has_emptied_store() {
            return Ok(());
        }
        self.run_for(NOTICED)?;
        let (now, chance) = (self.queue.now(), self.store.chance());
        for i in 0..self.cluster.roots.len() {
            let found = self.store.found();
            let Some(standing) = self.cluster.roots[i].standing() else { continue };
            if *standing.state() == State::Sound && !self.model.losses.is_acknowledged() {
                let what = format!("the store was emptied, and root-{i} calls it sound");
                return Err(Promise::Balanced.broken(what));
            }
            if let Ok(Some(record)) = standing.acknowledge(&found, now, chance) {
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
