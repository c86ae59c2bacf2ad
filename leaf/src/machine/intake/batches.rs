//! Taking events in: sessions, batches and submissions, from arrival to ack.

use crate::log::record::{Checkpoint, Record};
use crate::machine::context::Phase;
use crate::machine::counters::names::CounterId;
use crate::machine::intake::acks::Waiting;
use crate::machine::intake::dictionary::Dictionary;
use crate::machine::intake::sessions::Standing;
use crate::machine::{ConnectionId, LeafMachine, Output, RETRY_AFTER_MS};
use countree_common::limits;
use countree_common::session::{Seq, SessionId};
use countree_common::stream::Lsn;
use countree_common::time::Now;
use countree_common::wire::batch::{self, BatchError, BatchView, Events};
use countree_common::wire::codec::CodecError;
use countree_common::wire::hello::RefusalCode;
use countree_common::wire::producer::{BusyReason, EventError, EventErrorCode, FromLeaf, ToLeaf};

/// One producer's connection.
#[derive(Debug)]
pub(in crate::machine) struct Producer {
    session: Option<SessionId>,
    dictionary: Dictionary,
    /// A batch of the session was refused for good: it takes no more.
    is_refused: bool,
    /// The batch that it was told to repeat; those after it are on their way and to be ignored.
    repeat_from: Option<Seq>,
}

impl Producer {
    /// The session that it opened or resumed last.
    pub(in crate::machine) fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// What its ids mean.
    pub(in crate::machine) fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }
}

impl LeafMachine {
    /// A producer has connected.
    pub fn handle_connected(&mut self, connection: ConnectionId) {
        let dictionary = Dictionary::default();
        let producer = Producer { session: None, dictionary, is_refused: false, repeat_from: None };
        self.producers.insert(connection, producer);
        self.context.outputs.send(connection, FromLeaf::View(self.context.members.view().clone()));
        if self.context.is_leaving() {
            self.context.outputs.send(connection, FromLeaf::Draining);
        }
    }

    /// It is gone. What it sent stands.
    pub fn handle_disconnected(&mut self, connection: ConnectionId) {
        if let Some(producer) = self.producers.remove(&connection) {
            self.abandon(&producer.dictionary);
        }
    }

    fn abandon(&mut self, dictionary: &Dictionary) {
        self.names -= dictionary.defined();
        self.abandoned += dictionary.defined();
    }

    fn close(&mut self, connection: ConnectionId, message: String) {
        self.handle_disconnected(connection);
        self.context.outputs.push(Output::Close { connection, code: RefusalCode::Malformed, message });
    }

    /// A producer opens or resumes a session.
    pub fn handle_message(&mut self, now: Now, connection: ConnectionId, message: ToLeaf) {
        let (session, is_new) = match message {
            ToLeaf::Open(session) => (session, true),
            ToLeaf::Resume(session) => (session, false),
            // Whoever has a session here resumes it; a table of the past says nothing about one that goes on.
            ToLeaf::FindSessionEnd { leaf, session } if leaf == self.context.config.leaf => {
                return self.context.outputs.send(connection, FromLeaf::SessionEnd { session, last: None });
            }
            ToLeaf::FindSessionEnd { leaf, session } => return self.ask_ending(connection, leaf, session),
        };
        let (is_leaving, is_sealing) = (self.context.is_leaving(), self.context.phase == Phase::Sealing);
        let Some(producer) = self.producers.get_mut(&connection) else { return };
        producer.session = Some(session);
        producer.is_refused = is_leaving;
        producer.repeat_from = None;
        match self.sessions.get(session) {
            // Nobody is told before the seal is on disk, and then everybody.
            Some(known) if known.is_ended && is_sealing => {}
            Some(known) if known.is_ended => {
                let ended = Waiting::Ended { connection, session, last: known.last };
                self.context.answer_once_durable(known.lsn, ended);
            }
            Some(known) => {
                let opened = Waiting::Opened { connection, session, last: known.last };
                self.context.answer_once_durable(known.lsn, opened);
            }
            // A leaf of this name may have left with its disk, and published how it ended.
            None if !is_new => {
                producer.is_refused = true;
                self.ask_ending(connection, self.context.config.leaf.clone(), session);
            }
            None if is_leaving => self.context.outputs.send(connection, FromLeaf::Ended { session, last: 0 }),
            None => self.open(now, connection, session),
        }
    }

    /// The opening is logged like a batch: a session that the log does not know was never acked anything.
    fn open(&mut self, now: Now, connection: ConnectionId, session: SessionId) {
        let busy = if self.sessions.has_room() { self.busy(0) } else { Some(BusyReason::TableFull) };
        if let Some(reason) = busy {
            return self
                .context
                .outputs
                .send(connection, FromLeaf::Busy { seq: 0, reason, retry_after_ms: RETRY_AFTER_MS });
        }
        let at = self.context.clocks.age(now);
        if let Some(lsn) = self.context.log(&Record::Open { session, at }) {
            self.sessions.note(session, 0, lsn, at);
            self.context.answer_once_durable(lsn, Waiting::Opened { connection, session, last: 0 });
        }
    }

    /// A producer sent a batch. Its names count whatever becomes of its events, so that a repeat need not
    /// bring them again.
    pub fn handle_batch(&mut self, now: Now, connection: ConnectionId, body: &[u8]) {
        let Some(mut producer) = self.producers.remove(&connection) else { return };
        let result = self.take_batch(now, connection, &mut producer, body);
        self.producers.insert(connection, producer);
        match result {
            Ok(()) => {}
            Err(Rejected::Protocol(message)) => self.close(connection, message.to_owned()),
            Err(Rejected::Batch(seq, error)) => {
                if let Some(producer) = self.producers.get_mut(&connection) {
                    producer.is_refused = true;
                }
                self.context.outputs.send(connection, FromLeaf::Refused { seq, error });
            }
        }
    }

    fn take_batch(
        &mut self,
        now: Now,
        connection: ConnectionId,
        producer: &mut Producer,
        body: &[u8],
    ) -> Result<(), Rejected> {
        let batch = BatchView::parse(body).map_err(|e| match body.first_chunk() {
            Some(seq) => Rejected::Batch(u64::from_le_bytes(*seq), refusal(&e)),
            None => Rejected::Protocol("a batch is too short to have a number"),
        })?;
        let seq = batch.seq;
        let refuse = |e: BatchError| Rejected::Batch(seq, refusal(&e));
        let session = producer.session.ok_or(Rejected::Protocol("a batch before any session was opened"))?;
        let counters = batch.counter_names().map_err(refuse)?;
        if batch.reset_names {
            self.abandon(&std::mem::take(&mut producer.dictionary));
        }
        if !producer.dictionary.has_room(counters.len()) {
            return Err(Rejected::Protocol("the connection has defined too many names: reset them"));
        }
        if self.names + counters.len() > limits::NAMES_PER_LEAF
            || !self.table.names().has_room(counters.len())
        {
            return Err(Rejected::Protocol("the leaf's producers have defined too many names: reset yours"));
        }
        self.names += counters.len();
        self.table.intern_all(&counters, |id| producer.dictionary.define(id));
        if producer.is_refused {
            return Ok(());
        }
        match self.sessions.standing(session, seq) {
            Standing::Unknown => {
                producer.is_refused = true;
                self.context.outputs.send(connection, FromLeaf::Expired(session));
                return Ok(());
            }
            Standing::Ended => return Ok(()),
            Standing::Repeat => {
                let known = self.sessions.get(session).map_or((0, 0), |s| (s.lsn, s.last));
                self.context.answer_once_durable(known.0, Waiting::Ack { connection, seq: known.1 });
                return Ok(());
            }
            Standing::Gap if producer.repeat_from.is_some() => return Ok(()),
            Standing::Gap => return Err(Rejected::Protocol("a batch before it is missing")),
            Standing::Next => {}
        }
        let volume = batch.check_events(producer.dictionary.defined()).map_err(refuse)?;
        let counter = |id| producer.dictionary.counter(id);
        let events = || Events::new(batch.words).filter_map(|(id, delta)| Some((counter(id)?, delta)));
        self.check_totals(volume, events).map_err(|e| Rejected::Batch(seq, e))?;
        if let Some(reason) = self.busy(volume) {
            producer.repeat_from = Some(seq);
            self.context
                .outputs
                .send(connection, FromLeaf::Busy { seq, reason, retry_after_ms: RETRY_AFTER_MS });
            return Ok(());
        }
        producer.repeat_from = None;
        self.count_batch(now, connection, session, &producer.dictionary, &batch, volume);
        Ok(())
    }

    fn count_batch(
        &mut self,
        now: Now,
        connection: ConnectionId,
        session: SessionId,
        dictionary: &Dictionary,
        batch: &BatchView<'_>,
        volume: u64,
    ) {
        self.begin_segment_if_full();
        let BatchView { seq, event_count, words, .. } = *batch;
        let mut renamed = std::mem::take(&mut self.renamed);
        renamed.clear();
        dictionary.prefetch(words);
        // Every id was checked to have a meaning.
        batch::put_translated(words, |id| dictionary.counter(id).unwrap_or_default(), &mut renamed);
        self.table.prefetch(&renamed);
        let lsn = self.log_batch(now, session, seq, event_count, &renamed);
        if lsn.is_some() {
            self.table.add(Events::new(&renamed), volume);
        }
        self.renamed = renamed;
        let Some(lsn) = lsn else { return };
        self.live.note_accepted(u64::from(event_count));
        self.sessions.note(session, seq, lsn, self.context.clocks.age(now));
        self.context.answer_once_durable(lsn, Waiting::Ack { connection, seq });
        self.end_window_if_full(now);
    }

    /// The log calls counters by the table's ids: names are written once for all producers.
    fn log_batch(
        &mut self,
        now: Now,
        session: SessionId,
        seq: Seq,
        event_count: u32,
        words: &[u8],
    ) -> Option<Lsn> {
        let ids = Events::new(words).map(|(id, _)| id);
        let definitions = &self.table.define(ids, self.context.log.segments());
        let at = self.context.clocks.age(now);
        self.context.log(&Record::Batch { session, seq, at, event_count, definitions, words })
    }

    /// Refuses events that could take a total past its limit, by what is merged and what this leaf holds. What other
    /// leaves hold unmerged has the range between [`limits::TOTAL_MAX`] and 2^63 for itself.
    pub(in crate::machine) fn check_totals<I: Iterator<Item = (CounterId, i64)>>(
        &self,
        volume: u64,
        events: impl Fn() -> I,
    ) -> Result<(), EventError> {
        let overflow = |index: usize| EventError {
            code: EventErrorCode::TotalOverflow,
            message: format!("the total would pass {}, the largest that is kept", limits::TOTAL_MAX),
            index: u32::try_from(index).ok(),
        };
        if volume > self.unmerged_max() {
            return Err(overflow(0));
        }
        if self.near_limit.is_empty() {
            return Ok(());
        }
        let reach = self.unmerged_volume().saturating_add(volume);
        for (index, (counter, delta)) in events().enumerate() {
            let Some(total) = self.near_limit.get(&counter) else { continue };
            let is_outward = total.signum() == delta.signum();
            if is_outward && total.unsigned_abs().saturating_add(reach) > limits::TOTAL_MAX.unsigned_abs() {
                return Err(overflow(index));
            }
        }
        Ok(())
    }

    pub(in crate::machine) fn begin_segment_if_full(&mut self) {
        if self.context.log.is_segment_full()
            && let Err(e) = self.begin_segment()
        {
            self.context.fail_log(&e);
        }
    }

    pub(in crate::machine) fn begin_segment(&mut self) -> Result<(), CodecError> {
        let checkpoint = Checkpoint {
            leaf: Some(self.context.config.leaf.clone()),
            accepted: self.live.accepted(),
            sessions: self.sessions.listed(),
            key_records: 0,
        };
        let keys: Vec<_> = self.keys.listed().map(|(_, of)| of).collect();
        self.context.log.begin_segment(checkpoint, &keys)?;
        match self.retirement.remembered() {
            ledgers if ledgers.is_empty() => Ok(()),
            ledgers => self.context.log.carry(&Record::Retired(ledgers)),
        }
    }
}

/// Why a batch goes no further.
enum Rejected {
    /// The producer does not keep to the protocol.
    Protocol(&'static str),
    /// The batch is bad.
    Batch(Seq, EventError),
}

fn refusal(error: &BatchError) -> EventError {
    let (code, index) = match error {
        BatchError::Malformed(_) => (EventErrorCode::Malformed, None),
        BatchError::Name { .. } => (EventErrorCode::BadName, None),
        BatchError::Delta { index, .. } => (EventErrorCode::BadDelta, Some(*index)),
        BatchError::UnknownName { index, .. } => (EventErrorCode::Malformed, Some(*index)),
        BatchError::EventCount(_) => (EventErrorCode::TooLarge, None),
    };
    EventError { code, message: error.to_string(), index }
}
