//! HTTP requests: events with names of their own, and the idempotency keys that make a repeat harmless.

use crate::log::record::{self, Record};
use crate::machine::idempotency::keyed_events::{Fresh, Order};
use crate::machine::idempotency::lookup::Claim;
use crate::machine::intake::acks::Waiting;
use crate::machine::{LeafMachine, RETRY_AFTER_MS, SubmissionId};
use countree_common::event::Event;
use countree_common::key::Counter;
use countree_common::stream::Lsn;
use countree_common::time::Now;
use countree_common::wire::batch;
use countree_common::wire::producer::{BusyReason, EventError};
use countree_common::wire::rpc::{Counted, Submission, SubmitError};
use std::collections::HashMap;

impl LeafMachine {
    /// An HTTP request's events, all to be counted or none.
    pub fn handle_submission(&mut self, now: Now, id: SubmissionId, submission: Submission) {
        match Order::new(submission) {
            Ok(order) => self.handle_claim(now, id, Claim::Order(order)),
            Err(e) => self.context.outputs.refuse(id, e.into()),
        }
    }

    /// Takes a request whose unknown keys are new.
    pub(in crate::machine) fn submit(&mut self, now: Now, id: SubmissionId, order: &Order) {
        let taken = match order.sort_out(&self.keys) {
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

    /// Returns the record that has to be on disk before the request is answered.
    fn take_fresh(&mut self, now: Now, fresh: &Fresh<'_>) -> Result<(Lsn, Counted), SubmitError> {
        let Fresh { events, uses, repeats } = fresh;
        let counted = Counted { is_replay: events.is_empty() };
        if events.is_empty() && uses.is_empty() {
            return Ok((*repeats, counted));
        }
        let volume = events.iter().fold(0u64, |v, (_, e)| v.saturating_add(e.delta.get().unsigned_abs()));
        let busy = |reason| SubmitError::Busy { reason, retry_after_ms: RETRY_AFTER_MS };
        if !self.counters.names().has_room(events.len()) {
            return Err(busy(BusyReason::TableFull));
        }
        let sums = self.counters.intern(events.iter().map(|(_, e)| (&e.counter, e.delta.get())));
        self.admission()
            .check_totals(volume, || sums.iter().copied())
            .map_err(|e| at_its_place(e, events))?;
        if self.context.is_leaving() {
            return Err(SubmitError::Draining);
        }
        if let Some(reason) = self.admission().busy(volume) {
            return Err(busy(reason));
        }
        if !self.keys.has_room(uses.len()) {
            return Err(busy(BusyReason::TableFull));
        }
        self.begin_segment_if_full();
        let (names, words) = encode(events);
        let record = record::Submission {
            at: self.context.clocks.age(now),
            keys: uses.clone(),
            names: &names,
            event_count: events.len() as u32,
            words: &words,
        };
        let Some(lsn) = self.context.log(&Record::Submission(record)) else {
            return Err(busy(BusyReason::DiskFull));
        };
        self.counters.table_mut().add(sums.into_iter(), volume);
        self.uplink.note_accepted(events.len() as u64);
        let at = self.context.clocks.age(now);
        uses.iter().for_each(|used| self.keys.note_use(*used, lsn, at));
        self.end_window_if_full(now);
        Ok((lsn.max(*repeats), counted))
    }
}

/// An error about a new event, with the event's place in the request.
fn at_its_place(error: EventError, events: &[(u32, &Event)]) -> EventError {
    let index = error.index.and_then(|index| events.get(index as usize)).map(|(place, _)| *place);
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
