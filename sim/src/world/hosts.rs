//! The processes of a world by host: which one runs, whether it is paused, and the view that it has.

use super::World;
use crate::host::{Host, Life};
use countree_common::cluster::ClusterView;

impl World {
    /// Every node of the cluster.
    pub(super) fn nodes(&self) -> Vec<Host> {
        let leaves = (0..self.cluster.leaves.len()).map(Host::Leaf);
        let roots = (0..self.plan.cluster.roots).map(Host::Root);
        roots.chain(leaves).chain((0..self.plan.cluster.broadcasts).map(Host::Broadcast)).collect()
    }

    /// The present process on a host; `None` while a node is down. Clients always run.
    pub(super) fn life(&self, host: Host) -> Option<Life> {
        match host {
            Host::Leaf(i) => self.cluster.leaves.get(i)?.life(),
            Host::Root(i) => self.cluster.roots.get(i)?.life(),
            Host::Broadcast(i) => self.cluster.broadcasts.get(i)?.life(),
            Host::Producer(i) => self.clients.producers.get(i).map(|p| p.life()),
            Host::Viewer(_) | Host::Client(_) => Some(1),
        }
    }

    /// Whether the process of a host is paused.
    pub(super) fn is_paused(&self, host: Host) -> bool {
        self.faults.paused.contains_key(&host)
    }

    /// Resumes a paused process, with the events that came for it meanwhile.
    pub(super) fn resume(&mut self, host: Host) {
        for event in self.faults.paused.remove(&host).unwrap_or_default() {
            self.handle_event(event);
        }
    }

    /// Cleans up after a process that has died: its connections, its requests, and events that waited for it.
    pub(super) fn terminate(&mut self, host: Host) {
        self.forget_questions(host);
        self.network.terminate(&mut self.queue, &mut self.random, host);
        self.resume(host);
    }

    pub(super) fn lives(&self, host: Host, life: Life) -> bool {
        self.life(host) == Some(life)
    }

    /// The view of a node's process; `None` before it has one.
    pub(super) fn view_at(&self, host: Host) -> Option<&ClusterView> {
        let view = match host {
            Host::Leaf(i) => self.cluster.leaves.get(i)?.view(),
            Host::Root(i) => self.cluster.roots.get(i)?.view(),
            Host::Broadcast(i) => self.cluster.broadcasts.get(i)?.view(),
            Host::Producer(_) | Host::Viewer(_) | Host::Client(_) => None,
        };
        view.filter(|view| view.epoch > 0)
    }

    /// The port that a process listens on in its life.
    pub(super) fn port(&self, life: Life) -> u16 {
        if self.plan.cluster.moves_ports { 4_000 + life as u16 } else { 4_000 }
    }
}
