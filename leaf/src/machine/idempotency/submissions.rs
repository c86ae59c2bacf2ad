//! Counts the events of HTTP requests: checks those that are new, logs them with the keys that they use up, and adds
//! them to the open window.

use super::Idempotency;
use super::keyed_events::{Fresh, KeyedEvents};
use super::request::KeyedRequest;
use crate::log::record::{self, Record};
use crate::machine::LeafMachine;
use crate::machine::context::Context;
use crate::machine::context::RETRY_AFTER_MS;
use crate::machine::counters::Counters;
use crate::machine::counters::names::CounterId;
use crate::machine::ids::SubmissionId;
use crate::machine::intake::acks::Waiting;
use crate::machine::intake::admission::Admission;
use crate::machine::uplink::Uplink;
use countree_common::event::Event;
use countree_common::key::Counter;
use countree_common::stream::Lsn;
use countree_common::time::Now;
use countree_common::wire::batch;
use countree_common::wire::producer::{BusyReason, EventError};
use countree_common::wire::rpc::{Counted, Submission, SubmitError};
use std::collections::HashMap;

/// Events that may be logged.
struct AdmittedEvents {
    sums: Vec<(CounterId, i64)>,
    volume: u64,
}

impl Idempotency {
    /// Checks the new events of a request.
    fn admit(
        &self,
        fresh: &Fresh<'_>,
        counters: &mut Counters,
        uplink: &Uplink,
        context: &Context,
    ) -> Result<AdmittedEvents, SubmitError> {
        let Fresh { events, uses, .. } = fresh;
        let volume = events.iter().fold(0u64, |v, (_, e)| v.saturating_add(e.delta.get().unsigned_abs()));
        if !counters.names().has_room(events.len()) {
            return Err(busy(BusyReason::TableFull));
        }
        let sums = counters.intern(events.iter().map(|(_, e)| (&e.counter, e.delta.get())));
        let admission = Admission { context, counters, uplink };
        admission.check_totals(volume, || sums.iter().copied()).map_err(|e| with_request_index(e, events))?;
        if context.is_leaving() {
            return Err(SubmitError::Draining);
        }
        if let Some(reason) = admission.busy(volume) {
            return Err(busy(reason));
        }
        if !self.keys.has_room(uses.len()) {
            return Err(busy(BusyReason::TableFull));
        }
        Ok(AdmittedEvents { sums, volume })
    }

    /// Logs and counts the admitted events, and uses up their keys; returns the record.
    fn count(
        &mut self,
        now: Now,
        fresh: &Fresh<'_>,
        admitted: AdmittedEvents,
        counters: &mut Counters,
        context: &mut Context,
    ) -> Result<Lsn, SubmitError> {
        let (names, words) = encode(&fresh.events);
        let at = context.clocks.age(now);
        let record = record::Submission {
            at,
            keys: fresh.uses.clone(),
            names: &names,
            event_count: fresh.events.len() as u32,
            words: &words,
        };
        let lsn = context.log(&Record::Submission(record)).ok_or(busy(BusyReason::DiskFull))?;
        counters.table_mut().add(admitted.sums.into_iter(), admitted.volume);
        fresh.uses.iter().for_each(|used| self.keys.note_use(*used, lsn, at));
        Ok(lsn)
    }
}

impl LeafMachine {
    /// Counts an HTTP request's events, all of them or none.
    pub fn handle_submission(&mut self, now: Now, id: SubmissionId, submission: Submission) {
        match KeyedEvents::new(submission) {
            Ok(events) => self.look_up(now, id, KeyedRequest::Events(events)),
            Err(e) => self.context.outputs.refuse(id, e.into()),
        }
    }

    /// Counts a request whose unknown keys are new.
    pub(super) fn submit(&mut self, now: Now, id: SubmissionId, events: &KeyedEvents) {
        let taken = match events.sort_out(self.idempotency.keys()) {
            Ok(fresh) => self.take_fresh(now, &fresh),
            Err(e) => Err(e.into()),
        };
        match taken {
            Ok((lsn, counted)) => {
                self.context.answer_once_durable(lsn, Waiting::Submission { submission: id, counted });
            }
            Err(e) => self.context.outputs.refuse(id, e),
        }
    }

    /// Takes the new events; returns the record that has to be on disk before the request is answered.
    fn take_fresh(&mut self, now: Now, fresh: &Fresh<'_>) -> Result<(Lsn, Counted), SubmitError> {
        let counted = Counted { is_replay: fresh.events.is_empty() };
        if fresh.events.is_empty() && fresh.uses.is_empty() {
            return Ok((fresh.repeats, counted));
        }
        let Self { idempotency, counters, uplink, context, .. } = self;
        let admitted = idempotency.admit(fresh, counters, uplink, context)?;
        self.begin_segment_if_full();
        let lsn = self.idempotency.count(now, fresh, admitted, &mut self.counters, &mut self.context)?;
        self.uplink.note_accepted(fresh.events.len() as u64);
        self.end_window_if_full(now);
        Ok((lsn.max(fresh.repeats), counted))
    }
}

fn busy(reason: BusyReason) -> SubmitError {
    SubmitError::Busy { reason, retry_after_ms: RETRY_AFTER_MS }
}

/// An error about a new event, with the event's index in the request.
fn with_request_index(error: EventError, events: &[(u32, &Event)]) -> EventError {
    let index = error.index.and_then(|index| events.get(index as usize)).map(|(index, _)| *index);
    EventError { index, ..error }
}

/// Events with names of their own, for the log.
fn encode(events: &[(u32, &Event)]) -> (Vec<u8>, Vec<u8>) {
    let (mut names, mut words) = (Vec::new(), Vec::new());
    let mut ids: HashMap<&Counter, u32> = HashMap::new();
    for (_, event) in events {
        let next = ids.len() as u32;
        let id = *ids.entry(&event.counter).or_insert_with(|| {
            batch::put_name(&event.counter, &mut names);
            next
        });
        batch::put_event(id, event.delta.get(), &mut words);
    }
    (names, words)
}

#[cfg(test)]
#[path = "submissions_tests.rs"]
mod tests;
