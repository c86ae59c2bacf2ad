//! Faults of leaves: processes that die, folders that are lost, disks that fail.

use super::World;
use crate::disk::Crash;
use crate::faults::{Fault, Heal};
use crate::host::Host;

impl World {
    /// Kills, drains or pauses a leaf, or fails its disk.
    pub(super) fn inject_into_leaf(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::LeafKilled => self.crash_some_leaf(Crash::Process),
            Fault::LeafPowerCut => self.crash_some_leaf(Crash::Power),
            Fault::LeafFolderLost => self.lose_some_folder(false),
            Fault::LeafFolderRestored => self.lose_some_folder(true),
            Fault::LeafDrained => {
                let leaf = self.random.index(self.cluster.leaves.len()).unwrap_or_default();
                let producer =
                    Host::Producer(self.random.index(self.clients.producers.len()).unwrap_or_default());
                // Some producers are cut off, and do not learn from the leaf itself how their sessions ended.
                if self.random.chance(40) {
                    self.cut_for_a_while(Host::Leaf(leaf), &[producer]);
                }
                self.drain_and_leave(leaf)
            }
            Fault::LeafJoined => {
                let leaf = self.plan.cluster.leaves;
                let is_new = !self.cluster.leaves[leaf].has_lived();
                self.start_leaf(leaf);
                is_new
            }
            Fault::LeafPaused => {
                let leaf = self.random.index(self.cluster.leaves.len()).unwrap_or_default();
                self.pause(Host::Leaf(leaf))
            }
            Fault::DiskFull => {
                let until = self.queue.now() + self.random.millis(100, 1_500);
                let Some(leaf) = self.random.index(self.cluster.leaves.len()) else { return false };
                self.cluster.leaves[leaf].disk.full_until = until;
                true
            }
            Fault::FsyncFailed => {
                let Some(leaf) = self.random.index(self.cluster.leaves.len()) else { return false };
                self.cluster.leaves[leaf].disk.fails_next = true;
                true
            }
            _ => false,
        }
    }

    fn crash_some_leaf(&mut self, crash: Crash) -> bool {
        let leaf = self.random.index(self.cluster.leaves.len()).unwrap_or_default();
        self.crash_leaf(leaf, crash) && self.restart_soon(Host::Leaf(leaf))
    }

    /// Kills a leaf, and empties its folder or puts an older copy in its place: acked events that were not merged may
    /// be lost.
    fn lose_some_folder(&mut self, is_restored: bool) -> bool {
        let leaf = self.random.index(self.cluster.leaves.len()).unwrap_or_default();
        let was_up = self.crash_leaf(leaf, Crash::Process);
        if !self.cluster.leaves[leaf].has_lived() || !self.cluster.leaves[leaf].lose_folder(is_restored) {
            return false;
        }
        self.model.losses.note_folder(leaf, self.queue.now());
        !was_up || self.restart_soon(Host::Leaf(leaf))
    }

    /// Has the operator replace a leaf whose disk has failed.
    pub(in crate::world) fn replace_failed_leaf(&mut self, leaf: usize) {
        self.heal_in(200, 1_500, Heal::Replace(leaf));
    }
}
