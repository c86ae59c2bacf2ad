//! Wakes a leaf's machine, and carries out its outputs.

use super::World;
use crate::host::Host;
use crate::model::Promise;
use crate::network::{ConnectionId, Message, Side};
use crate::world::event::SimEvent;
use crate::world::questions::Purpose;
use countree_common::stamp::Stamp;
use countree_common::time::Time;
use countree_common::wire::codec;
use countree_common::wire::rpc::{Reply, Request};
use countree_common::wire::uplink::ToRoot;
use countree_leaf::machine::{LeafMachine, Output};
use std::time::Duration;

/// A machine that is overdue is woken no sooner than this, as in the real shell.
const WAKE_MIN: Duration = Duration::from_micros(100);

impl World {
    pub(in crate::world) fn wake_leaf(&mut self, i: usize, at: Time) {
        let now = self.clocks(Host::Leaf(i));
        let Some(process) = self.cluster.leaves[i].process.as_mut().filter(|p| p.wakes_at == Some(at)) else {
            return;
        };
        process.wakes_at = None;
        if let Some(machine) = &mut process.machine {
            machine.handle_time(now);
        }
        self.drain_leaf(i);
    }

    /// Carries out the machine's outputs.
    pub(super) fn drain_leaf(&mut self, i: usize) {
        while let Some(append) = self.cluster.leaves[i].machine().and_then(LeafMachine::next_append) {
            self.cluster.leaves[i].disk.append(append);
        }
        self.write_log(i);
        while let Some(output) = self.cluster.leaves[i].machine().and_then(LeafMachine::poll_output) {
            self.perform_leaf_output(i, output);
        }
        self.check_leaf(i);
        self.leave_if_overdue(i);
        let now = self.queue.now();
        let Some(life) = self.cluster.leaves[i].life() else { return };
        let leap = self.leap(Host::Leaf(i));
        let Some(process) = &mut self.cluster.leaves[i].process else { return };
        let Some(due) = process.machine.as_ref().map(LeafMachine::next_timeout) else { return };
        let at = (due - leap).max(now + WAKE_MIN);
        if process.wakes_at.is_none_or(|wakes_at| wakes_at > at) {
            process.wakes_at = Some(at);
            self.queue.at(at, SimEvent::Wake { host: Host::Leaf(i), life, at });
        }
    }

    fn perform_leaf_output(&mut self, i: usize, output: Output) {
        let life = self.cluster.leaves[i].life().unwrap_or_default();
        match output {
            Output::Send { connection, message } => {
                self.leaf_sends(i, ConnectionId(connection.0), Message::Produced(message));
            }
            Output::Close { connection, message, .. } => {
                // Producers keep to the protocol, whatever the network does.
                self.violate(Promise::Orderly, format!("leaf-{i} closed a producer's connection: {message}"));
                self.leave(ConnectionId(connection.0), Side::Acceptor);
            }
            Output::Submitted { submission, result } => self.submitted(i, submission, result),
            Output::Forgotten { submission, result } => {
                self.answer(i, submission, Reply::TopicForgotten(result));
            }
            Output::Cuts { root, message } => match codec::decode(&message) {
                Ok(message) => self.tell_root(i, &root, message),
                Err(e) => self.violate(Promise::Orderly, format!("leaf-{i} sends what is no message: {e}")),
            },
            Output::Echo { root, stamp } => {
                let era = if stamp.era == 0 { self.store.served_in() } else { stamp.era };
                self.tell_root(i, &root, ToRoot::Echo(Stamp { era, ..stamp }));
            }
            Output::Scan { stream, recut } => {
                let wait = self.random.micros(200, 20_000);
                let recut = Box::new(recut);
                self.queue.after(wait, SimEvent::Scanned { leaf: i, life, stream, recut });
            }
            Output::Retire(ledgers) => {
                self.ask_a_root(Host::Leaf(i), Request::Retire(ledgers), Purpose::Membership)
            }
            Output::DropStream(stream) => self.cluster.leaves[i].disk.drop_stream(stream.incarnation),
            Output::DropSegment(first) => {
                let incarnation = self.cluster.leaves[i].process.as_ref().map_or(0, |p| p.incarnation);
                self.cluster.leaves[i].disk.drop_segment(incarnation, first);
            }
            Output::Ask { reset, question } => self.send_reset_question(i, reset, question),
            Output::Flushed { flush, version } => self.flushed(i, flush, version),
            Output::Call { call, callee, request } => self.leaf_calls(i, call, callee, request),
            Output::Left { keeps_keys } => self.leaf_settled(i, keeps_keys),
            Output::Answer { question, reply } => self.answer(i, question, reply),
            Output::Alarm(message) => self.faults.tally.note(Alarm::of(&message)),
        }
    }

    /// Checks that a leaf's ledgers balance, which must hold at any time.
    fn check_leaf(&mut self, i: usize) {
        let Some(machine) = self.cluster.leaves[i].process.as_ref().and_then(|p| p.machine.as_ref()) else {
            return;
        };
        let unbalanced = machine.ledgers().into_iter().find(|l| !l.ledger.balanced());
        let imbalances = machine.imbalances();
        if let Some(ledger) = unbalanced {
            self.violate(Promise::Balanced, format!("a ledger does not balance: {ledger:?}"));
        } else if imbalances > 0 {
            self.violate(
                Promise::Balanced,
                format!("leaf-{i} and the store count different numbers of events"),
            );
        }
    }
}

/// Alarms to the operator, as the tally counts them.
#[derive(Debug, Clone, Copy)]
enum Alarm {
    RollbackNoticed,
    OtherAlarm,
}

impl Alarm {
    fn of(message: &str) -> Self {
        if message.contains("gone back in time") { Alarm::RollbackNoticed } else { Alarm::OtherAlarm }
    }
}
