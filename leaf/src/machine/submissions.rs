//! HTTP requests: events with names of their own, and the idempotency keys that make a repeat harmless.

use super::clearance::Claim;
use super::names::CounterId;
use super::{LeafMachine, Output, RETRY_AFTER_MS, SubmissionId, Waiting};
use crate::log::record::{self, KeyUse, Record};
use countree_common::event::Event;
use countree_common::key::Counter;
use countree_common::stream::Lsn;
use countree_common::time::Now;
use countree_common::wire::batch;
use countree_common::wire::producer::{BusyReason, EventError, EventErrorCode};
use countree_common::wire::rpc::{Idempotency, Submission, SubmitError};
use std::collections::{BTreeMap, HashMap};

impl LeafMachine {
    /// An HTTP request's events, all to be counted or none.
    pub fn handle_submission(&mut self, now: Now, id: SubmissionId, submission: Submission) {
        self.handle_claim(now, id, Claim::Submission(submission));
    }

    /// Takes a request whose unknown keys are new.
    pub(super) fn submit(&mut self, now: Now, id: SubmissionId, submission: &Submission) {
        match self.take_submission(now, submission) {
            Ok(lsn) => self.answer_once_durable(lsn, Waiting::Submission { submission: id }),
            Err(e) => self.refuse_submission(id, e),
        }
    }

    pub(super) fn refuse_submission(&mut self, id: SubmissionId, error: SubmitError) {
        self.outputs.push_back(Output::Submitted { submission: id, result: Err(error) });
    }

    /// Returns the record that has to be on disk before the request is answered.
    fn take_submission(&mut self, now: Now, submission: &Submission) -> Result<Lsn, SubmitError> {
        let Submission { events, idempotency } = submission;
        let (repeat, fresh, uses) = self.sort_out(events, idempotency)?;
        if fresh.is_empty() {
            return Ok(repeat);
        }
        let volume = fresh.iter().fold(0u64, |v, e| v.saturating_add(e.delta.get().unsigned_abs()));
        let busy = |reason| SubmitError::Busy { reason, retry_after_ms: RETRY_AFTER_MS };
        if !self.table.names().has_room(fresh.len()) {
            return Err(busy(BusyReason::TableFull));
        }
        let counted = self.intern(fresh.iter().map(|e| (&e.counter, e.delta.get())));
        self.check_totals(volume, || counted.iter().copied())?;
        if self.is_leaving() {
            return Err(SubmitError::Draining);
        }
        if let Some(reason) = self.busy(volume) {
            return Err(busy(reason));
        }
        if !self.keys.has_room(uses.len()) {
            return Err(busy(BusyReason::TableFull));
        }
        self.begin_segment_if_full();
        let (names, words) = encode(&fresh);
        let record = record::Submission {
            at: now.wall,
            keys: uses.clone(),
            names: &names,
            event_count: fresh.len() as u32,
            words: &words,
        };
        let Some(lsn) = self.log(&Record::Submission(record)) else {
            return Err(busy(BusyReason::DiskFull));
        };
        self.table.add(counted.into_iter(), volume);
        self.live.note_accepted(fresh.len() as u64);
        uses.into_iter().for_each(|used| self.keys.note(used, lsn, now.wall));
        self.end_window_if_full(now);
        Ok(lsn.max(repeat))
    }

    /// Numbers counters that no producer's dictionary holds on to.
    pub(super) fn intern<'a>(
        &mut self,
        events: impl Iterator<Item = (&'a Counter, i64)>,
    ) -> Vec<(CounterId, i64)> {
        let before = self.table.names().counters();
        let events = events.map(|(counter, delta)| (self.table.intern(counter), delta)).collect();
        self.abandoned += self.table.names().counters() - before;
        events
    }

    /// Tells what of a request is new: (the last record of what is not, the new events, the keys they use up).
    fn sort_out<'a>(
        &self,
        events: &'a [Event],
        idempotency: &Idempotency,
    ) -> Result<(Lsn, Vec<&'a Event>, Vec<KeyUse>), SubmitError> {
        match idempotency {
            Idempotency::None => Ok((0, events.iter().collect(), Vec::new())),
            Idempotency::Request { key, content } => match self.keys.get(*key) {
                None => Ok((0, events.iter().collect(), vec![KeyUse { key: *key, content: *content }])),
                Some((lsn, known)) if known == *content => Ok((lsn, Vec::new(), Vec::new())),
                Some(_) => Err(SubmitError::Refused(EventError {
                    code: EventErrorCode::KeyReused,
                    message:
                        "this Idempotency-Key was used for other events: take a new key for each request"
                            .into(),
                    index: None,
                })),
            },
            Idempotency::Events(keys) if keys.len() != events.len() => {
                Err(SubmitError::Refused(EventError {
                    code: EventErrorCode::Malformed,
                    message: format!("{} events came with {} keys", events.len(), keys.len()),
                    index: None,
                }))
            }
            Idempotency::Events(keys) => {
                let mut repeat = 0;
                let mut fresh = Vec::new();
                let mut uses: BTreeMap<u128, KeyUse> = BTreeMap::new();
                for (event, key) in events.iter().zip(keys) {
                    let known = if *key == 0 { None } else { self.keys.get(*key) };
                    if let Some((lsn, _)) = known {
                        repeat = repeat.max(lsn);
                    } else if *key == 0 || uses.insert(*key, KeyUse { key: *key, content: 0 }).is_none() {
                        fresh.push(event);
                    }
                }
                Ok((repeat, fresh, uses.into_values().collect()))
            }
        }
    }
}

/// Events with names of their own, for the log.
fn encode(events: &[&Event]) -> (Vec<u8>, Vec<u8>) {
    let (mut names, mut words) = (Vec::new(), Vec::new());
    let mut ids: HashMap<&Counter, u32> = HashMap::new();
    for event in events {
        let next = ids.len() as u32;
        let id = *ids.entry(&event.counter).or_insert_with(|| {
            batch::put_name(&event.counter, &mut names);
            next
        });
        batch::put_event(id, event.delta.get(), &mut words);
    }
    (names, words)
}
