//! Counts batches: checks one against its session and the leaf's limits, logs it, and adds it to the open window.

use super::acks::Waiting;
use super::admission::Admission;
use super::sessions::Standing;
use super::{Intake, forget_names};
use crate::log::record::Record;
use crate::machine::LeafMachine;
use crate::machine::context::Context;
use crate::machine::context::RETRY_AFTER_MS;
use crate::machine::counters::Counters;
use crate::machine::ids::ConnectionId;
use crate::machine::output::Output;
use crate::machine::uplink::Uplink;
use countree_common::limits;
use countree_common::session::{Seq, SessionId};
use countree_common::time::Now;
use countree_common::wire::batch::{self, BatchError, BatchView, Events};
use countree_common::wire::hello::RefusalCode;
use countree_common::wire::producer::{EventError, EventErrorCode, FromLeaf};

/// A batch that may be logged.
struct AdmittedBatch<'a> {
    session: SessionId,
    batch: BatchView<'a>,
    volume: u64,
}

/// The reason why a batch goes no further.
enum Rejected {
    /// The producer does not keep to the protocol.
    Protocol(&'static str),
    /// The batch is bad.
    Batch(Seq, EventError),
}

impl Intake {
    /// Checks a batch; `None` where there is nothing to log. Its names count even if its events don't, so that a repeat
    /// need not bring them again.
    fn admit<'a>(
        &mut self,
        connection: ConnectionId,
        body: &'a [u8],
        counters: &mut Counters,
        uplink: &Uplink,
        context: &mut Context,
    ) -> Result<Option<AdmittedBatch<'a>>, Rejected> {
        let Self { sessions, producers, names, .. } = self;
        let Some(producer) = producers.get_mut(&connection) else { return Ok(None) };
        let batch = BatchView::parse(body).map_err(|e| match body.first_chunk() {
            Some(seq) => Rejected::Batch(u64::from_le_bytes(*seq), refusal(&e)),
            None => Rejected::Protocol("a batch is too short to have a number"),
        })?;
        let seq = batch.seq;
        let refuse = |e: BatchError| Rejected::Batch(seq, refusal(&e));
        let session = producer.session.ok_or(Rejected::Protocol("a batch before any session was opened"))?;
        let new_names = batch.counter_names().map_err(refuse)?;
        if batch.reset_names {
            forget_names(names, &std::mem::take(&mut producer.dictionary), counters);
        }
        if !producer.dictionary.has_room(new_names.len()) {
            return Err(Rejected::Protocol("the connection has defined too many names: reset them"));
        }
        if *names + new_names.len() > limits::NAMES_PER_LEAF || !counters.names().has_room(new_names.len()) {
            return Err(Rejected::Protocol("the leaf's producers have defined too many names: reset yours"));
        }
        *names += new_names.len();
        counters.table_mut().intern_all(&new_names, |id| producer.dictionary.define(id));
        if producer.is_refused {
            return Ok(None);
        }
        match sessions.standing(session, seq) {
            Standing::Unknown => {
                producer.is_refused = true;
                context.outputs.send(connection, FromLeaf::Expired(session));
                return Ok(None);
            }
            Standing::Ended => return Ok(None),
            Standing::Repeat => {
                let known = sessions.get(session).map_or((0, 0), |s| (s.lsn, s.last));
                context.answer_once_durable(known.0, Waiting::Ack { connection, seq: known.1 });
                return Ok(None);
            }
            Standing::Gap if producer.repeat_from.is_some() => return Ok(None),
            Standing::Gap => return Err(Rejected::Protocol("a batch before it is missing")),
            Standing::Next => {}
        }
        let volume = batch.check_events(producer.dictionary.defined()).map_err(refuse)?;
        let counter = |id| producer.dictionary.counter(id);
        let events = || Events::new(batch.words).filter_map(|(id, delta)| Some((counter(id)?, delta)));
        let admission = Admission { context, counters, uplink };
        admission.check_totals(volume, events).map_err(|e| Rejected::Batch(seq, e))?;
        let busy = admission.busy(volume);
        producer.repeat_from = busy.map(|_| seq);
        if let Some(reason) = busy {
            let message = FromLeaf::Busy { seq, reason, retry_after_ms: RETRY_AFTER_MS };
            context.outputs.send(connection, message);
            return Ok(None);
        }
        Ok(Some(AdmittedBatch { session, batch, volume }))
    }

    /// Logs and counts a batch; `false` when the log could not be written. The log calls counters by the table's ids:
    /// names are written once for all producers.
    fn count(
        &mut self,
        now: Now,
        connection: ConnectionId,
        admitted: &AdmittedBatch<'_>,
        counters: &mut Counters,
        context: &mut Context,
    ) -> bool {
        let Self { sessions, producers, words_by_table_id, .. } = self;
        let Some(producer) = producers.get(&connection) else { return false };
        let (dictionary, table) = (&producer.dictionary, counters.table_mut());
        let AdmittedBatch { session, batch: BatchView { seq, event_count, words, .. }, volume } = *admitted;
        words_by_table_id.clear();
        dictionary.prefetch(words);
        // Every id was checked to have a meaning.
        batch::put_translated(words, |id| dictionary.counter(id).unwrap_or_default(), words_by_table_id);
        table.prefetch(words_by_table_id);
        let words = words_by_table_id.as_slice();
        let definitions = &table.define(Events::new(words).map(|(id, _)| id), context.log.segments());
        let at = context.clocks.age(now);
        let record = Record::Batch { session, seq, at, event_count, definitions, words };
        let Some(lsn) = context.log(&record) else { return false };
        table.add(Events::new(words), volume);
        sessions.note(session, seq, lsn, at);
        context.answer_once_durable(lsn, Waiting::Ack { connection, seq });
        true
    }

    fn refuse(&mut self, connection: ConnectionId, seq: Seq, error: EventError, context: &mut Context) {
        if let Some(producer) = self.producers.get_mut(&connection) {
            producer.is_refused = true;
        }
        context.outputs.send(connection, FromLeaf::Refused { seq, error });
    }
}

impl LeafMachine {
    /// A producer sent a batch.
    pub fn handle_batch(&mut self, now: Now, connection: ConnectionId, body: &[u8]) {
        let Self { intake, counters, uplink, context, .. } = self;
        match intake.admit(connection, body, counters, uplink, context) {
            Ok(None) => {}
            Ok(Some(admitted)) => self.count_batch(now, connection, &admitted),
            Err(Rejected::Batch(seq, error)) => intake.refuse(connection, seq, error, context),
            Err(Rejected::Protocol(message)) => {
                intake.disconnect(connection, counters);
                let (code, message) = (RefusalCode::Malformed, message.to_owned());
                context.outputs.push(Output::Close { connection, code, message });
            }
        }
    }

    fn count_batch(&mut self, now: Now, connection: ConnectionId, admitted: &AdmittedBatch<'_>) {
        self.begin_segment_if_full();
        let Self { intake, counters, context, .. } = self;
        if intake.count(now, connection, admitted, counters, context) {
            self.uplink.note_accepted(u64::from(admitted.batch.event_count));
            self.end_window_if_full(now);
        }
    }
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
