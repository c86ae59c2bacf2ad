//! Stores that are emptied, exchanged, or another cluster's: what people do, and what roots have to make of it.

use super::World;
use crate::host::Place;
use crate::model::{Broken, Promise};
use crate::world::event::Happening;
use countree_root::machine::identity::standing::State;
use std::time::Duration;

/// Roots look whose store it is once a second, and some have yet to start.
const NOTICED: Duration = Duration::from_secs(10);

impl World {
    /// FLUSHALL. Says whether there was anything.
    pub(super) fn empty_store(&mut self) -> bool {
        // Before the first root has started it is nobody's; and another one is not ours to look after.
        if self.aside.is_some() || self.store.found().record.is_none() {
            return false;
        }
        self.store.empty();
        self.truth.note_emptied(self.agenda.now());
        true
    }

    /// Another store stands where the store was.
    pub(super) fn exchange_store(&mut self) -> bool {
        self.put_aside(true)
    }

    fn put_aside(&mut self, has_cluster: bool) -> bool {
        if self.aside.is_some() || self.store.found().record.is_none() {
            return false;
        }
        let other = self.store.other(has_cluster);
        self.aside = Some(std::mem::replace(&mut self.store, other));
        true
    }

    /// The store is where it was.
    pub(super) fn bring_store_back(&mut self) {
        if let Some(mut store) = self.aside.take() {
            (store.is_down, store.paused_until) = (self.store.is_down, self.store.paused_until);
            self.store = store;
            // It was away: another process serves.
            self.store.change_process();
        }
    }

    /// The operator starts all roots on a store that is new, in folders that are new.
    pub(super) fn mislead_roots(&mut self) -> bool {
        let strikes = self.put_aside(false) && self.move_roots();
        self.was_misled |= strikes;
        strikes
    }

    /// And on the right one again, in folders that are new again.
    pub(super) fn lead_roots_back(&mut self) {
        if self.aside.is_some() {
            self.bring_store_back();
            self.move_roots();
        }
    }

    fn move_roots(&mut self) -> bool {
        for root in 0..self.roots.len() {
            self.crash_root(root);
            self.roots[root].forget_store();
            self.agenda.after(Duration::from_millis(100), Happening::Restart(Place::Root(root)));
        }
        true
    }

    /// An emptied store is not called sound by anybody until the operator has acknowledged it, which happens here.
    pub(super) fn settle_standing(&mut self) -> Result<(), Broken> {
        if !self.truth.was_emptied() {
            return Ok(());
        }
        self.run_for(NOTICED)?;
        let (now, chance) = (self.agenda.now(), self.store.chance());
        for i in 0..self.roots.len() {
            let found = self.store.found();
            let Some(standing) = self.roots[i].standing() else { continue };
            if *standing.state() == State::Sound && !self.truth.is_acknowledged() {
                let what = format!("the store was emptied, and root-{i} calls it sound");
                return Err(Promise::Balanced.broken(what));
            }
            if let Ok(Some(record)) = standing.acknowledge(&found, now, chance) {
                self.store.put_identity(record);
                self.truth.note_acknowledged();
            }
            self.follow_standing(i);
        }
        self.run_for(NOTICED)?;
        for i in 0..self.roots.len() {
            if let Some(words) = self.roots[i].standing().and_then(|standing| standing.words()) {
                return Err(Promise::Settled
                    .broken(format!("root-{i} has not heard of the operator's word: {words}")));
            }
        }
        Ok(())
    }
}
