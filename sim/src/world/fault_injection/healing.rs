//! Ends faults, one by one or all at once.

use super::World;
use crate::disk::Crash;
use crate::faults::Heal;
use crate::host::Host;
use crate::world::event::SimEvent;
use std::time::Duration;

impl World {
    /// Ends a fault after a while.
    pub(super) fn heal_in(&mut self, least_ms: u64, most_ms: u64, heal: Heal) -> bool {
        let wait = self.random.millis(least_ms, most_ms);
        self.queue.after(wait, SimEvent::Heal(heal));
        true
    }

    /// Ends a fault.
    pub(in crate::world) fn heal(&mut self, heal: Heal) {
        match heal {
            Heal::Clock(host, by_ms) => self.step_clock(host, by_ms),
            Heal::Cut(a, b) => self.network.mend(a, b),
            Heal::Pause(host) => self.resume(host),
            Heal::Conditions if !self.faults.are_over => self.network.conditions = self.plan.network,
            Heal::Conditions => {}
            Heal::Store => {
                self.store.is_down = false;
                if self.random.chance(50) {
                    self.store.change_process();
                }
            }
            Heal::Exchange => self.restore_store(),
            Heal::RootsReturn => self.return_roots_to_store(),
            Heal::Replace(leaf) => {
                if self.cluster.leaves[leaf].disk.has_failed() {
                    self.crash_leaf(leaf, Crash::Process);
                    self.start_leaf(leaf);
                }
            }
        }
    }

    /// Ends all faults. Nodes that are down start before long.
    pub(in crate::world) fn end_faults(&mut self) {
        self.return_roots_to_store();
        self.faults.are_over = true;
        self.network.heal();
        self.store.is_down = false;
        self.store.paused_until = self.queue.now();
        let paused: Vec<Host> = self.faults.paused.keys().copied().collect();
        paused.into_iter().for_each(|host| self.resume(host));
        for leaf in &mut self.cluster.leaves {
            leaf.disk.full_until = self.queue.now();
            leaf.disk.fails_next = false;
        }
        for host in self.nodes() {
            if self.life(host).is_none() {
                self.queue.after(Duration::from_millis(1), SimEvent::Restart(host));
            }
        }
    }
}
