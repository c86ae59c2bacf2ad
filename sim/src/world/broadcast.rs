//! The broadcast node's shell: its conversations with roots, its viewers, its tick.

use super::World;
use super::membership::Membership;
use super::questions::Purpose;
use crate::flaws::Flaw;
use crate::host::{Host, Life};
use crate::model::Promise;
use crate::network::{ConnectionId, Message, Side};
use crate::random::Random;
use crate::world::event::SimEvent;
use countree_broadcast::machine::{BroadcastMachine, CheckId, DatagramRoom, Format, Output, Room, ViewerId};
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::document::Snapshot;
use countree_common::key::Topic;
use countree_common::limits::DATAGRAM_BYTES;
use countree_common::stamp::Stamp;
use countree_common::time::WallMs;
use countree_common::wire::hello::Conversation;
use countree_common::wire::publish::{FromRoot, SnapshotPart};
use countree_common::wire::rpc::{Reply, Request};
use countree_common::wire::viewer::ToBroadcast;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

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

/// The room on a viewer's connection.
#[derive(Debug)]
struct ViewerSink {
    takes_datagrams: bool,
    /// Pieces of its stream that have not arrived yet; there is room for one.
    stretches_in_flight: usize,
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

    /// Carries out the machine's outputs, and serves viewers that have just joined.
    fn drain_broadcast(&mut self, i: usize) {
        let now = self.queue.now();
        if let Some(BroadcastProcess { machine, viewers, .. }) = &mut self.cluster.broadcasts[i].process {
            machine.handle_arrivals(now, |viewer| room(viewers, viewer, &mut self.random));
        }
        while let Some(output) = self.cluster.broadcasts[i].machine().and_then(BroadcastMachine::poll_output)
        {
            self.perform_broadcast_output(i, output);
        }
    }

    fn perform_broadcast_output(&mut self, i: usize, output: Output) {
        match output {
            Output::Connect { root, address } => {
                self.broadcast_disconnects(i, &root);
                if let Some(process) = &mut self.cluster.broadcasts[i].process {
                    let link =
                        RootConnection { address, link: None, is_connected: false, watermark: WallMs(0) };
                    process.roots.insert(root.clone(), link);
                }
                self.broadcast_connects(i, &root);
            }
            Output::Disconnect { root } => self.broadcast_disconnects(i, &root),
            Output::ToRoot { root, message } => {
                let roots = self.cluster.broadcasts[i].process.as_ref().map(|p| &p.roots);
                let root = roots.and_then(|roots| roots.get(&root)).filter(|r| r.is_connected);
                if let Some(link) = root.and_then(|r| r.link) {
                    self.send(link, Side::Opener, Message::Interest(message));
                }
            }
            Output::Datagram { viewer, bytes } => {
                if bytes.len() > DATAGRAM_BYTES {
                    self.violate(Promise::Bounded, format!("a datagram of {} bytes", bytes.len()));
                }
                self.send(ConnectionId(viewer.0), Side::Acceptor, Message::Datagram(bytes));
            }
            Output::Stream { viewer, chunks } => {
                let process = self.cluster.broadcasts[i].process.as_mut();
                if let Some(sink) = process.and_then(|p| p.viewers.get_mut(&ConnectionId(viewer.0))) {
                    sink.stretches_in_flight += 1;
                    if sink.stretches_in_flight > 1 {
                        self.violate(Promise::Bounded, "a viewer without room was sent more on its stream");
                    }
                }
                if self.plan.flaw == Some(Flaw::LossyStreams) && self.random.chance(30) {
                    return self.stretch_arrived(i, ConnectionId(viewer.0));
                }
                self.send(ConnectionId(viewer.0), Side::Acceptor, Message::Stream(chunks));
            }
            Output::Dismiss { viewer, reason } => {
                self.violate(Promise::Orderly, format!("a viewer was sent away: {reason}"));
                self.leave(ConnectionId(viewer.0), Side::Acceptor);
            }
            Output::Share { .. } | Output::Unshare { .. } => {}
            Output::Check { check, topic } => {
                self.ask_a_root(Host::Broadcast(i), Request::Read(topic), Purpose::Check(check));
            }
        }
    }

    fn broadcast_disconnects(&mut self, i: usize, root: &NodeName) {
        let process = self.cluster.broadcasts[i].process.as_mut();
        if let Some(link) = process.and_then(|p| p.roots.remove(root)).and_then(|r| r.link) {
            self.leave(link, Side::Opener);
        }
    }
}

fn room(viewers: &BTreeMap<ConnectionId, ViewerSink>, viewer: ViewerId, random: &mut Random) -> Room {
    let Some(sink) = viewers.get(&ConnectionId(viewer.0)) else { return Room::NONE };
    let datagram = match random.below(10) {
        _ if !sink.takes_datagrams => DatagramRoom::Never,
        0 => return Room::NONE,
        1 => DatagramRoom::Bytes(random.between(40, 200) as usize),
        _ => DatagramRoom::Bytes(DATAGRAM_BYTES),
    };
    Room { datagram, stream: sink.stretches_in_flight == 0 }
}
