//! The leaf's connections: to producers, and to the roots of its view.

use super::LeafProcess;
use crate::flaws::Flaw;
use crate::host::Host;
use crate::network::{ConnectionId, Message, Side};
use crate::world::World;
use crate::world::event::SimEvent;
use countree_client::machine::producer::Outgoing;
use countree_common::cluster::{Node, NodeName, Tier};
use countree_common::cut::{Cut, Outcome};
use countree_common::document::Version;
use countree_common::stamp::Stamp;
use countree_common::stream::StreamId;
use countree_common::wire::batch::BatchView;
use countree_common::wire::hello::Conversation;
use countree_common::wire::producer::{Durability, FromLeaf, ToLeaf};
use countree_common::wire::uplink::{CutOutcome, FromRoot, ToRoot};
use countree_leaf::machine::{ConnectionId as LeafConnectionId, LeafMachine};
use std::time::Duration;

/// Time between two attempts to reach a root, as in the real shell.
const RECONNECT: Duration = Duration::from_millis(200);

/// The connection to a root, or the attempt at it.
#[derive(Debug)]
pub(super) struct RootConnection {
    node: Node,
    link: Option<ConnectionId>,
    is_connected: bool,
}

impl World {
    /// Takes a new view: conversations with its roots are kept, others are ended.
    pub(in crate::world) fn leaf_takes_view(&mut self, i: usize) {
        let Some(process) = &mut self.cluster.leaves[i].process else { return };
        let view = process.membership.view.clone();
        if let Some(machine) = &mut process.machine {
            machine.handle_view(view.clone());
        }
        let stale: Vec<NodeName> = process
            .roots
            .iter()
            .filter(|(name, root)| view.node(name) != Some(&root.node))
            .map(|(name, _)| name.clone())
            .collect();
        for name in stale {
            self.disconnect_root(i, &name);
        }
        for node in view.tier(Tier::Root) {
            let Some(process) = &mut self.cluster.leaves[i].process else { return };
            if !process.roots.contains_key(&node.name) {
                let root = RootConnection { node: node.clone(), link: None, is_connected: false };
                process.roots.insert(node.name.clone(), root);
                self.leaf_connects(i, &node.name);
            }
        }
        self.drain_leaf(i);
    }

    fn disconnect_root(&mut self, i: usize, name: &NodeName) {
        let Some(process) = &mut self.cluster.leaves[i].process else { return };
        let Some(root) = process.roots.remove(name) else { return };
        if let Some(machine) = process.machine.as_mut().filter(|_| root.is_connected) {
            machine.handle_root_lost(name);
        }
        if let Some(link) = root.link {
            self.leave(link, Side::Opener);
        }
    }

    pub(in crate::world) fn leaf_connects(&mut self, i: usize, name: &NodeName) {
        let roots = self.cluster.leaves[i].process.as_ref().map(|p| &p.roots);
        let Some(root) = roots.and_then(|roots| roots.get(name)).filter(|r| r.link.is_none()) else { return };
        let (port, acceptor) = (root.node.quic.port(), Host::of(name));
        let Some(acceptor) = acceptor else { return };
        let link = self.open(Host::Leaf(i), acceptor, port, Conversation::Uplink);
        let roots = self.cluster.leaves[i].process.as_mut().map(|p| &mut p.roots);
        if let Some(root) = roots.and_then(|roots| roots.get_mut(name)) {
            root.link = Some(link);
        }
    }

    pub(in crate::world) fn leaf_has_root(&mut self, i: usize, link: ConnectionId) {
        let now = self.clocks(Host::Leaf(i));
        let Some(process) = &mut self.cluster.leaves[i].process else { return };
        let Some((name, root)) = process.roots.iter_mut().find(|(_, r)| r.link == Some(link)) else { return };
        root.is_connected = true;
        if let Some(machine) = &mut process.machine {
            machine.handle_root_connected(now, name.clone());
        }
        self.drain_leaf(i);
    }

    pub(in crate::world) fn leaf_loses_connection(&mut self, i: usize, link: ConnectionId) {
        if self.is_replied(link, None) {
            return;
        }
        let Some(life) = self.cluster.leaves[i].life() else { return };
        let Some(process) = &mut self.cluster.leaves[i].process else { return };
        process.pending_rpcs.forget(link);
        if process.producers.remove(&link) {
            if let Some(machine) = &mut process.machine {
                machine.handle_disconnected(LeafConnectionId(link.0));
            }
        } else if let Some((name, root)) = process.roots.iter_mut().find(|(_, r)| r.link == Some(link)) {
            root.link = None;
            if let Some(machine) = process.machine.as_mut().filter(|_| root.is_connected) {
                machine.handle_root_lost(name);
            }
            root.is_connected = false;
            let again = SimEvent::Reconnect { host: Host::Leaf(i), life, root: name.clone() };
            self.queue.after(RECONNECT, again);
        }
        self.drain_leaf(i);
    }

    pub(in crate::world) fn accept_producer(&mut self, i: usize, link: ConnectionId) {
        if let Some(LeafProcess { machine: Some(machine), producers, .. }) =
            &mut self.cluster.leaves[i].process
        {
            producers.insert(link);
            machine.handle_connected(LeafConnectionId(link.0));
        }
        self.drain_leaf(i);
    }

    pub(in crate::world) fn leaf_receives_producer(&mut self, i: usize, link: ConnectionId, frame: Outgoing) {
        let (now, flaw) = (self.clocks(Host::Leaf(i)), self.plan.flaw);
        if let Some(machine) = self.cluster.leaves[i].machine() {
            match frame {
                Outgoing::Message(ToLeaf::Resume(session)) if flaw == Some(Flaw::ReopenedSessions) => {
                    machine.handle_message(now, LeafConnectionId(link.0), ToLeaf::Open(session));
                }
                Outgoing::Message(message) => machine.handle_message(now, LeafConnectionId(link.0), message),
                Outgoing::Batch(body) => {
                    let accepted = |machine: &LeafMachine| -> u64 {
                        machine.ledgers().iter().map(|l| l.ledger.accepted).sum()
                    };
                    let before = accepted(machine);
                    machine.handle_batch(now, LeafConnectionId(link.0), &body);
                    if flaw == Some(Flaw::EarlyAck)
                        && accepted(machine) > before
                        && let Ok(batch) = BatchView::parse(&body)
                    {
                        let ack = FromLeaf::Ack { seq: batch.seq, durability: Durability::Disk };
                        self.send(link, Side::Acceptor, Message::Produced(ack));
                    }
                }
            }
        }
        self.drain_leaf(i);
    }

    pub(in crate::world) fn leaf_receives_root(&mut self, i: usize, link: ConnectionId, message: FromRoot) {
        let (now, flaw) = (self.clocks(Host::Leaf(i)), self.plan.flaw);
        let Some(root) = self.network.link(link).map(|l| l.host(Side::Acceptor).name()) else { return };
        let root = &root;
        if let (FromRoot::Stamp(stamp), Some(Flaw::HastyEcho)) = (&message, flaw) {
            return self.tell_root(i, root, ToRoot::Echo(*stamp));
        }
        if let Some(machine) = self.cluster.leaves[i].machine() {
            match message {
                FromRoot::Outcomes(outcomes) => machine.handle_outcomes(now, outcomes),
                FromRoot::NearLimit(totals) => machine.handle_near_limit(&totals),
                // Era 0 asks for no confirmation.
                FromRoot::Stamp(stamp) if flaw == Some(Flaw::UnconfirmedEras) => {
                    machine.handle_stamp(now, root, Stamp { era: 0, ..stamp });
                }
                FromRoot::Stamp(stamp) => machine.handle_stamp(now, root, stamp),
            }
        }
        self.drain_leaf(i);
    }

    pub(in crate::world) fn leaf_retired(&mut self, i: usize, streams: &[StreamId], is_done: bool) {
        let now = self.clocks(Host::Leaf(i));
        if let Some(machine) = self.cluster.leaves[i].machine() {
            if is_done {
                streams.iter().for_each(|stream| machine.handle_retired(now, stream));
            } else {
                machine.handle_retire_failed();
            }
        }
        self.drain_leaf(i);
    }

    /// Sends a message to a producer or an asker.
    pub(super) fn leaf_sends(&mut self, i: usize, link: ConnectionId, message: Message) {
        let waits = self.plan.flaw == Some(Flaw::EarlyMerge) && self.cluster.leaves[i].disk.is_behind();
        match &mut self.cluster.leaves[i].process {
            Some(process) if waits => process.delayed.push((link, message)),
            _ => self.send(link, Side::Acceptor, message),
        }
    }

    /// Sends the messages that waited for the disk, once everything is on it.
    pub(super) fn send_delayed_messages(&mut self, i: usize) {
        if !self.cluster.leaves[i].disk.is_behind() {
            let held = self.cluster.leaves[i].process.as_mut().map(|p| std::mem::take(&mut p.delayed));
            held.into_iter().flatten().for_each(|(link, message)| self.send(link, Side::Acceptor, message));
        }
    }

    pub(super) fn tell_root(&mut self, i: usize, root: &NodeName, mut message: ToRoot) {
        if self.plan.flaw == Some(Flaw::UnaskedTopics)
            && let ToRoot::Cuts(cuts) = &mut message
        {
            let probes = cuts.extract_if(.., |cut| cut.from == cut.to && cut.from > 0);
            let outcomes = probes.map(all_is_well).collect();
            let now = self.clocks(Host::Leaf(i));
            if let Some(machine) = self.cluster.leaves[i].machine() {
                machine.handle_outcomes(now, outcomes);
            }
        }
        let roots = self.cluster.leaves[i].process.as_ref().map(|p| &p.roots);
        let root = roots.and_then(|roots| roots.get(root)).filter(|r| r.is_connected);
        if let Some(link) = root.and_then(|r| r.link) {
            self.send(link, Side::Opener, Message::Uplink(message));
        }
    }
}

/// A faked outcome: the store stands where the probe says.
fn all_is_well(Cut { stream, topic, from, to, era, .. }: Cut) -> CutOutcome {
    let version = Version { era, number: 1 };
    CutOutcome { stream, topic, from, to, outcome: Some(Outcome::Have { lsn: to, events: 0, version }) }
}
