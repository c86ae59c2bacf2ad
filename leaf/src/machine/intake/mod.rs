//! Takes events in from producers: sessions and batches, from arrival to ack.

pub(super) mod acks;
pub(super) mod admission;
mod batches;
pub(super) mod dictionary;
mod producer;
mod session_outcomes;
pub(super) mod sessions;

use super::LeafMachine;
use super::context::RETRY_AFTER_MS;
use super::context::{Context, Phase};
use super::counters::Counters;
use super::counters::names::CounterId;
use super::ids::ConnectionId;
use super::uplink::Uplink;
use crate::log::record::Record;
use acks::Waiting;
use admission::Admission;
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::session::SessionId;
use countree_common::stream::Lsn;
use countree_common::time::{Now, WallMs};
use countree_common::wire::producer::{BusyReason, FromLeaf, ToLeaf};
use dictionary::Dictionary;
use producer::Producer;
use sessions::Sessions;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Intake {
    sessions: Sessions,
    producers: BTreeMap<ConnectionId, Producer>,
    /// Names that all producers together have defined.
    names: usize,
    /// A batch's events with the table's ids; kept to reuse its memory.
    words_by_table_id: Vec<u8>,
    /// Sessions with other leaves that producers ask about, and the connections that do.
    asked: BTreeMap<(NodeName, SessionId), BTreeSet<ConnectionId>>,
}

impl Intake {
    /// Begins with the sessions of earlier streams.
    pub(super) fn new(sessions: Sessions) -> Self {
        let (producers, words_by_table_id, asked) = Default::default();
        Self { sessions, producers, names: 0, words_by_table_id, asked }
    }

    /// The sessions that are remembered.
    pub(super) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The number of producers that are connected.
    pub(super) fn connections(&self) -> usize {
        self.producers.len()
    }

    /// Every counter that a producer's id means.
    pub(super) fn counters(&self) -> impl Iterator<Item = CounterId> {
        self.producers.values().flat_map(|producer| producer.dictionary.counters()).copied()
    }

    /// Sends every producer a message.
    fn send_all(&self, message: &FromLeaf, context: &mut Context) {
        self.producers.keys().for_each(|connection| context.outputs.send(*connection, message.clone()));
    }

    /// The nodes have changed.
    pub(super) fn handle_view(&self, view: &ClusterView, context: &mut Context) {
        self.send_all(&FromLeaf::View(view.clone()), context);
    }

    /// Ends every session for good. No producer hears of it before the seal is on disk; if the seal can't be written,
    /// none ever does.
    pub(super) fn end_all(&mut self, context: &mut Context) {
        self.send_all(&FromLeaf::Draining, context);
        self.sessions.end_all();
    }

    /// Forgets sessions that were idle for longer than the horizon.
    pub(super) fn expire(&mut self, now: WallMs, horizon: Duration, durable: Lsn) {
        self.sessions.expire(now, horizon, durable);
    }

    fn connect(&mut self, connection: ConnectionId, context: &mut Context) {
        self.producers.insert(connection, Producer::default());
        context.outputs.send(connection, FromLeaf::View(context.members.view().clone()));
        if context.is_leaving() {
            context.outputs.send(connection, FromLeaf::Draining);
        }
    }

    fn disconnect(&mut self, connection: ConnectionId, counters: &mut Counters) {
        if let Some(producer) = self.producers.remove(&connection) {
            forget_names(&mut self.names, &producer.dictionary, counters);
        }
    }

    fn handle_message(
        &mut self,
        now: Now,
        connection: ConnectionId,
        message: ToLeaf,
        (counters, uplink): (&Counters, &Uplink),
        context: &mut Context,
    ) {
        let (session, is_new) = match message {
            ToLeaf::Open(session) => (session, true),
            ToLeaf::Resume(session) => (session, false),
            // A producer with a session here resumes it; a table of the past says nothing about one that goes on.
            ToLeaf::FindSessionEnd { leaf, session } if leaf == context.config.leaf => {
                return context.outputs.send(connection, FromLeaf::SessionEnd { session, last: None });
            }
            ToLeaf::FindSessionEnd { leaf, session } => {
                return self.ask_outcome(connection, leaf, session, context);
            }
        };
        let Some(producer) = self.producers.get_mut(&connection) else { return };
        producer.session = Some(session);
        producer.is_refused = context.is_leaving();
        producer.repeat_from = None;
        match self.sessions.get(session) {
            // All producers hear of it once the seal is on disk.
            Some(known) if known.is_ended && context.phase == Phase::Sealing => {}
            Some(known) if known.is_ended => {
                let ended = Waiting::Ended { connection, session, last: known.last };
                context.answer_once_durable(known.lsn, ended);
            }
            Some(known) => {
                let opened = Waiting::Opened { connection, session, last: known.last };
                context.answer_once_durable(known.lsn, opened);
            }
            // A leaf of this name may have left with its disk, and published how the session ended.
            None if !is_new => {
                producer.is_refused = true;
                self.ask_outcome(connection, context.config.leaf.clone(), session, context);
            }
            None if context.is_leaving() => {
                context.outputs.send(connection, FromLeaf::Ended { session, last: 0 });
            }
            None => {
                let busy = Admission { context, counters, uplink }.busy(0);
                self.open(now, connection, session, busy, context);
            }
        }
    }

    /// The opening is logged like a batch: a session that the log does not know was never acked anything.
    fn open(
        &mut self,
        now: Now,
        connection: ConnectionId,
        session: SessionId,
        busy: Option<BusyReason>,
        context: &mut Context,
    ) {
        let busy = if self.sessions.has_room() { busy } else { Some(BusyReason::TableFull) };
        if let Some(reason) = busy {
            let message = FromLeaf::Busy { seq: 0, reason, retry_after_ms: RETRY_AFTER_MS };
            return context.outputs.send(connection, message);
        }
        let at = context.clocks.age(now);
        if let Some(lsn) = context.log(&Record::Open { session, at }) {
            self.sessions.note(session, 0, lsn, at);
            context.answer_once_durable(lsn, Waiting::Opened { connection, session, last: 0 });
        }
    }
}

/// A connection's names are gone: perhaps nothing refers to its counters any more.
fn forget_names(names: &mut usize, dictionary: &Dictionary, counters: &mut Counters) {
    *names -= dictionary.defined();
    counters.note_abandoned(dictionary.defined());
}

impl LeafMachine {
    /// A producer has connected.
    pub fn handle_connected(&mut self, connection: ConnectionId) {
        self.intake.connect(connection, &mut self.context);
    }

    /// A producer has gone. What it sent stands.
    pub fn handle_disconnected(&mut self, connection: ConnectionId) {
        self.intake.disconnect(connection, &mut self.counters);
    }

    /// A producer opens or resumes a session, or asks how one ended.
    pub fn handle_message(&mut self, now: Now, connection: ConnectionId, message: ToLeaf) {
        let Self { intake, counters, uplink, context, .. } = self;
        intake.handle_message(now, connection, message, (counters, uplink), context);
    }
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
