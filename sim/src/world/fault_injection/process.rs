//! Faults of processes other than leaves, and pauses and restarts of every process.

use super::World;
use crate::faults::{Fault, Heal};
use crate::host::Host;
use crate::world::event::SimEvent;

impl World {
    /// Starts a node, unless it runs.
    pub(in crate::world) fn start(&mut self, host: Host) {
        match host {
            Host::Leaf(i) => self.start_leaf(i),
            Host::Root(i) => self.start_root(i),
            Host::Broadcast(i) => self.start_broadcast(i),
            Host::Producer(_) | Host::Viewer(_) | Host::Client(_) => {}
        }
    }

    /// Crashes or pauses a root, a broadcast node, a producer or a viewer.
    pub(super) fn inject_into_process(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::RootCrash => {
                let root = self.random.index(self.cluster.roots.len()).unwrap_or_default();
                self.crash_root(root) && self.restart_soon(Host::Root(root))
            }
            Fault::BroadcastCrash => {
                let node = self.random.index(self.cluster.broadcasts.len()).unwrap_or_default();
                self.crash_broadcast(node) && self.restart_soon(Host::Broadcast(node))
            }
            Fault::RootPaused => {
                let root = self.random.index(self.cluster.roots.len()).unwrap_or_default();
                self.pause(Host::Root(root))
            }
            Fault::BroadcastPaused => {
                let node = self.random.index(self.cluster.broadcasts.len()).unwrap_or_default();
                self.pause(Host::Broadcast(node))
            }
            Fault::ProducerCrash => {
                let producer = self.random.index(self.clients.producers.len()).unwrap_or_default();
                self.crash_producer(producer)
            }
            Fault::ProducerPaused => {
                let producer = self.random.index(self.clients.producers.len()).unwrap_or_default();
                self.pause(Host::Producer(producer))
            }
            Fault::ViewerCrash => {
                let viewer = self.random.index(self.clients.viewers.len()).unwrap_or_default();
                self.crash_viewer(viewer)
            }
            Fault::ViewerPaused => {
                let viewer = self.random.index(self.clients.viewers.len()).unwrap_or_default();
                self.pause(Host::Viewer(viewer))
            }
            Fault::ViewerMoved => {
                let viewer = self.random.index(self.clients.viewers.len()).unwrap_or_default();
                self.move_viewer(viewer)
            }
            _ => false,
        }
    }

    /// Pauses a process, now and then beyond the end of its lease.
    pub(super) fn pause(&mut self, host: Host) -> bool {
        if self.life(host).is_none() || self.is_paused(host) {
            return false;
        }
        let wait = if self.random.chance(80) {
            self.random.millis(20, 2_000)
        } else {
            self.random.millis(4_000, 7_000)
        };
        self.faults.paused.insert(host, Vec::new());
        self.let_some_time_out(host, None, wait);
        self.queue.after(wait, SimEvent::Heal(Heal::Pause(host)));
        true
    }

    /// Restarts a node that is down, after a while.
    pub(super) fn restart_soon(&mut self, host: Host) -> bool {
        // Some restart before anybody has noticed, some after their lease has run out.
        let wait = if self.random.chance(80) {
            self.random.millis(1, 1_000)
        } else {
            self.random.millis(3_000, 7_000)
        };
        self.queue.after(wait, SimEvent::Restart(host));
        true
    }
}
