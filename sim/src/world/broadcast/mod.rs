//! The broadcast node's shell: its conversations with roots, its viewers, its tick.

mod outputs;
mod viewer_sink;

use super::World;
use super::membership::Membership;
use crate::flaws::Flaw;
use crate::host::{Host, Life};
use crate::network::ConnectionId;
use crate::world::event::SimEvent;
use countree_broadcast::machine::{BroadcastMachine, CheckId, Format, ViewerId};
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::document::Snapshot;
use countree_common::key::Topic;
use countree_common::stamp::Stamp;
use countree_common::time::WallMs;
use countree_common::wire::hello::Conversation;
use countree_common::wire::publish::{FromRoot, SnapshotPart};
use countree_common::wire::rpc::Reply;
use countree_common::wire::viewer::ToBroadcast;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use viewer_sink::{ViewerSink, room};

/// Time between two ticks.
const TICK: Duration = Duration::from_millis(50);

/// A broadcast node.
#[derive(Debug)]
pub(super) struct BroadcastNode {
    lives: Life,
    process: Option<BroadcastProcess>,
}

#[derive(Debug)]
struct BroadcastProcess {
    membership: Membership,
    machine: BroadcastMachine,
    is_up: bool,
    roots: BTreeMap<NodeName, RootConnection>,
    viewers: BTreeMap<ConnectionId, ViewerSink>,
}

#[derive(Debug)]
struct RootConnection {
    address: SocketAddr,
    link: Option<ConnectionId>,
    is_connected: bool,
    /// Its last watermark.
    watermark: WallMs,
}

impl BroadcastNode {
    pub(super) fn new(_number: usize) -> Self {
        Self { lives: 0, process: None }
    }

    pub(super) fn life(&self) -> Option<Life> {
        self.process.as_ref().map(|_| self.lives)
    }

    pub(super) fn is_up(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.is_up)
    }

    /// The time up to which the node calls a watched topic complete.
    pub(super) fn complete_to(&self, topic: &Topic) -> Option<WallMs> {
        Some(self.process.as_ref()?.machine.standing(topic)?.1)
    }

    pub(super) fn view(&self) -> Option<&ClusterView> {
        self.process.as_ref().map(|p| &p.membership.view)
    }

    pub(super) fn membership(&mut self) -> Option<&mut Membership> {
        self.process.as_mut().map(|p| &mut p.membership)
    }

    fn machine(&mut self) -> Option<&mut BroadcastMachine> {
        self.process.as_mut().map(|p| &mut p.machine)
    }
}

impl World {
    pub(super) fn start_broadcast(&mut self, i: usize) {
        let node = &mut self.cluster.broadcasts[i];
        if node.process.is_some() {
            return;
        }
        node.lives += 1;
        node.process = Some(BroadcastProcess {
            membership: Membership::default(),
            machine: BroadcastMachine::default(),
            is_up: false,
            roots: BTreeMap::new(),
            viewers: BTreeMap::new(),
        });
        self.heartbeat(Host::Broadcast(i));
        self.tick_broadcast(i);
    }

    /// Ends the process; says whether there was one.
    pub(super) fn crash_broadcast(&mut self, i: usize) -> bool {
        let was_up = self.cluster.broadcasts[i].process.take().is_some();
        if was_up {
            self.terminate(Host::Broadcast(i));
        }
        was_up
    }

    pub(super) fn broadcast_joined(&mut self, i: usize) {
        if let Some(process) = &mut self.cluster.broadcasts[i].process {
            process.is_up = true;
        }
    }

    pub(super) fn broadcast_takes_view(&mut self, i: usize) {
        let now = self.queue.now();
        if let Some(process) = &mut self.cluster.broadcasts[i].process {
            process.machine.handle_view(&process.membership.view, now);
        }
        self.drain_broadcast(i);
    }

    pub(super) fn tick_broadcast(&mut self, i: usize) {
        let (now, host) = (self.queue.now(), Host::Broadcast(i));
        let Some(life) = self.cluster.broadcasts[i].life() else { return };
        if let Some(BroadcastProcess { machine, viewers, .. }) = &mut self.cluster.broadcasts[i].process {
            machine.handle_tick(now, |viewer| room(viewers, viewer, &mut self.random));
        }
        self.drain_broadcast(i);
        let at = now + TICK;
        self.queue.at(at, SimEvent::Wake { host, life, at });
    }

    pub(super) fn broadcast_connects(&mut self, i: usize, name: &NodeName) {
        let roots = self.cluster.broadcasts[i].process.as_ref().map(|p| &p.roots);
        let Some(root) = roots.and_then(|roots| roots.get(name)).filter(|r| r.link.is_none()) else { return };
        let port = root.address.port();
        let Some(acceptor) = Host::of(name) else { return };
        let link = self.open(Host::Broadcast(i), acceptor, port, Conversation::Publish);
        let roots = self.cluster.broadcasts[i].process.as_mut().map(|p| &mut p.roots);
        if let Some(root) = roots.and_then(|roots| roots.get_mut(name)) {
            root.link = Some(link);
        }
    }

    pub(super) fn broadcast_has_root(&mut self, i: usize, link: ConnectionId) {
        let now = self.queue.now();
        let Some(process) = &mut self.cluster.broadcasts[i].process else { return };
        let Some((name, root)) = process.roots.iter_mut().find(|(_, r)| r.link == Some(link)) else { return };
        root.is_connected = true;
        process.machine.handle_root_connected(name, now);
        self.drain_broadcast(i);
    }

    pub(super) fn broadcast_loses_connection(&mut self, i: usize, link: ConnectionId) {
        if self.is_replied(link, None) {
            return;
        }
        let (now, host) = (self.queue.now(), Host::Broadcast(i));
        let Some(life) = self.cluster.broadcasts[i].life() else { return };
        let Some(process) = &mut self.cluster.broadcasts[i].process else { return };
        if process.viewers.remove(&link).is_some() {
            process.machine.handle_viewer_left(ViewerId(link.0), now);
        } else if let Some((name, root)) = process.roots.iter_mut().find(|(_, r)| r.link == Some(link)) {
            root.link = None;
            if std::mem::take(&mut root.is_connected) {
                process.machine.handle_root_lost(name);
            }
            let again = SimEvent::Reconnect { host, life, root: name.clone() };
            let wait = self.random.millis(50, 1_000);
            self.queue.after(wait, again);
        }
        self.drain_broadcast(i);
    }

    pub(super) fn broadcast_receives_root(&mut self, i: usize, link: ConnectionId, message: FromRoot) {
        let now = self.queue.now();
        let Some(process) = &mut self.cluster.broadcasts[i].process else { return };
        let root = process.roots.iter_mut().find(|(_, r)| r.link == Some(link));
        let Some((name, root)) = root else { return };
        let era = match &message {
            FromRoot::Watermark(stamp) => {
                root.watermark = stamp.at;
                None
            }
            FromRoot::Snapshot(part) => Some(part.version.era),
            FromRoot::Update(update) => Some(update.version.era),
        };
        if let Some(era) = era.filter(|_| self.plan.flaw == Some(Flaw::CompleteInAnyEra)) {
            let of_any_era = FromRoot::Watermark(Stamp { era, at: root.watermark });
            process.machine.handle_from_root(name, of_any_era, now);
        }
        process.machine.handle_from_root(name, message, now);
        self.drain_broadcast(i);
    }

    pub(super) fn accept_viewer(&mut self, i: usize, link: ConnectionId) {
        let takes_datagrams = self.random.chance(80);
        if let Some(process) = &mut self.cluster.broadcasts[i].process {
            process.viewers.insert(link, ViewerSink { takes_datagrams, stretches_in_flight: 0 });
            process.machine.handle_viewer_joined(ViewerId(link.0), Format::Frames);
        }
        self.drain_broadcast(i);
    }

    pub(super) fn broadcast_receives_viewer(&mut self, i: usize, link: ConnectionId, message: ToBroadcast) {
        let now = self.queue.now();
        let message = match message {
            ToBroadcast::Resume(topics) if self.plan.flaw == Some(Flaw::UntoldEras) => {
                ToBroadcast::Subscribe(topics.into_iter().map(|(topic, _)| topic).collect())
            }
            message => message,
        };
        if let Some(machine) = self.cluster.broadcasts[i].machine() {
            machine.handle_viewer(ViewerId(link.0), message, now);
        }
        self.drain_broadcast(i);
    }

    /// Takes the result of reading the store for a check.
    pub(super) fn broadcast_checked(&mut self, i: usize, check: CheckId, reply: Option<Reply>) {
        let now = self.queue.now();
        let snapshot = match reply {
            Some(Reply::Snapshot(SnapshotPart { topic, version, totals, last: true })) => {
                Some(Snapshot { topic, version, totals })
            }
            _ => None,
        };
        if let Some(machine) = self.cluster.broadcasts[i].machine() {
            machine.handle_checked(check, snapshot, now);
        }
        self.drain_broadcast(i);
    }

    /// Notes that a piece of the stream has arrived: there is room for the next.
    pub(super) fn stretch_arrived(&mut self, i: usize, link: ConnectionId) {
        let process = self.cluster.broadcasts.get_mut(i).and_then(|b| b.process.as_mut());
        if let Some(sink) = process.and_then(|p| p.viewers.get_mut(&link)) {
            sink.stretches_in_flight = sink.stretches_in_flight.saturating_sub(1);
        }
    }
}
