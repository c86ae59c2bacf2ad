//! The reference model: every event and reset that clients were given, and the answers that they got.

use super::event::{Event, EventId, EventStatus};
use super::event_encoding::{self, worth};
use super::losses::Losses;
use super::resets::Resets;
use crate::random::Random;
use countree_common::delta::Delta;
use countree_common::key::{Counter, Topic};
use countree_common::time::Time;
use std::collections::BTreeMap;

/// A batch as its producer names it: the producer, and the time at which its first event was queued.
type BatchKey = (usize, Time);

/// The events of one counter, by digit.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) counter: Counter,
    pub(super) events: Vec<EventId>,
}

/// All events.
#[derive(Debug, Default)]
pub(crate) struct ReferenceModel {
    pub(super) columns: Vec<Column>,
    pub(super) by_counter: BTreeMap<Counter, usize>,
    queued: BTreeMap<EventId, BatchKey>,
    batches: BTreeMap<BatchKey, Vec<EventId>>,
    /// The events, by number.
    pub(crate) events: Vec<Event>,
    /// Events that were rejected without ever having been sent; their numbers are not known.
    pub(crate) rejected_unsent: u64,
    /// Events by topic, in the order of their acks.
    acked: BTreeMap<Topic, Vec<EventId>>,
    /// Every reset.
    pub(crate) resets: Resets,
    /// Everything that was lost for good.
    pub(crate) losses: Losses,
}

impl ReferenceModel {
    /// Makes counters for `events` events in up to `topics` topics.
    ///
    /// # Panics
    /// Never: such names are valid.
    #[expect(clippy::expect_used, reason = "the names are short")]
    pub(crate) fn new(random: &mut Random, topics: usize, events: usize) -> Self {
        let mut counter = |i: usize| {
            let topic = format!("topic-{}", random.below(topics as u64));
            let (item, kind) = (format!("item-{}", i / 2), if i.is_multiple_of(2) { "like" } else { "view" });
            Counter::new(&topic, &item, kind).expect("the names are short")
        };
        let counters: Vec<Counter> = (0..=events / 6).map(&mut counter).collect();
        let by_counter = counters.iter().cloned().zip(0..).collect();
        let columns = counters.into_iter().map(|counter| Column { counter, events: Vec::new() }).collect();
        Self { columns, by_counter, ..Self::default() }
    }

    /// The next event, if a counter has room for one: a like, or now and then an unlike.
    pub(crate) fn next_event(&mut self, random: &mut Random, now: Time) -> Option<EventId> {
        let has_room = |i: &usize| self.columns[*i].events.len() < event_encoding::EVENTS;
        let free: Vec<usize> = (0..self.columns.len()).filter(has_room).collect();
        let column = self.columns.get_mut(*random.pick(&free)?)?;
        let sign = if random.chance(15) { -1 } else { 1 };
        let id = self.events.len();
        self.events.push(Event {
            counter: column.counter.clone(),
            delta: Delta::new(sign * worth(column.events.len())).ok()?,
            at: now,
            status: EventStatus::Pending,
            answered_at: now,
            leaf: None,
            is_shared: false,
        });
        column.events.push(id);
        Some(id)
    }

    /// Notes that a producer has queued an event.
    pub(crate) fn note_queued(&mut self, id: EventId, producer: usize, now: Time) {
        self.queued.insert(id, (producer, now));
    }

    /// The event of a counter that adds `delta`.
    pub(crate) fn find(&self, counter: &Counter, delta: i64) -> Option<EventId> {
        let column = &self.columns[*self.by_counter.get(counter)?];
        column.events.iter().copied().find(|id| self.events[*id].delta.get() == delta)
    }

    /// Notes that a producer sends a batch of these events to a leaf, for the first time or again.
    pub(crate) fn note_batch(&mut self, events: Vec<EventId>, leaf: Option<usize>) {
        for id in &events {
            self.events[*id].leaf = leaf;
        }
        if let Some(key) = events.iter().filter_map(|id| self.queued.get(id)).min() {
            self.batches.insert(*key, events);
        }
    }

    /// Notes a producer's answer for a batch of `count` events.
    ///
    /// # Errors
    /// When the producer never sent these events, or got another answer for one of them before.
    pub(crate) fn note_batch_answer(
        &mut self,
        producer: usize,
        first: Time,
        count: u64,
        status: EventStatus,
        now: Time,
    ) -> Result<(), String> {
        let Some(events) = self.batches.get(&(producer, first)) else {
            self.rejected_unsent += count;
            return match status {
                EventStatus::Rejected => Ok(()),
                other => Err(format!("producer-{producer} was told {other:?} of a batch that it never sent")),
            };
        };
        if events.len() as u64 != count {
            let sent = events.len();
            return Err(format!("producer-{producer} was told of {count} events of a batch of {sent}"));
        }
        let events = events.clone();
        events.into_iter().try_for_each(|id| self.set_status(id, status, now))
    }

    /// Notes a client's answer for an event.
    ///
    /// # Errors
    /// When there was one before.
    pub(crate) fn set_status(&mut self, id: EventId, status: EventStatus, now: Time) -> Result<(), String> {
        let event = &mut self.events[id];
        if event.status != EventStatus::Pending {
            return Err(format!("event {id} was {:?} and then {status:?}", event.status));
        }
        (event.status, event.answered_at) = (status, now);
        if status == EventStatus::Acked {
            self.acked.entry(event.counter.topic.clone()).or_default().push(id);
        }
        Ok(())
    }

    /// Notes an HTTP client's answer for events. An earlier answer stays as it is, except that an ack of another
    /// request with the event ends a doubt.
    pub(crate) fn set_client_statuses(
        &mut self,
        events: &[EventId],
        status: EventStatus,
        now: Time,
    ) -> Result<(), String> {
        for id in events {
            let event = &mut self.events[*id];
            if event.is_shared && event.status == EventStatus::InDoubt && status == EventStatus::Acked {
                event.status = EventStatus::Pending;
            }
            let is_either = event.is_shared && status == EventStatus::Rejected;
            if event.status == EventStatus::Pending {
                self.set_status(*id, if is_either { EventStatus::InDoubt } else { status }, now)?;
            }
        }
        Ok(())
    }

    /// The events of a topic that were acked, in the order of their acks.
    pub(crate) fn acked_in(&self, topic: &Topic) -> impl Iterator<Item = EventId> {
        self.acked.get(topic).into_iter().flatten().copied()
    }

    /// Notes that a producer died: its pending events get no answer any more.
    pub(crate) fn note_death(&mut self, producer: usize) {
        for (id, (of, _)) in &self.queued {
            let event = &mut self.events[*id];
            if *of == producer && event.status == EventStatus::Pending {
                event.status = EventStatus::Abandoned;
            }
        }
    }

    /// The number of events that have this status.
    pub(crate) fn count(&self, status: EventStatus) -> u64 {
        self.events.iter().filter(|e| e.status == status).count() as u64
    }

    /// All topics, in order.
    pub(crate) fn topics(&self) -> Vec<Topic> {
        let mut topics: Vec<_> = self.columns.iter().map(|c| c.counter.topic.clone()).collect();
        topics.sort();
        topics.dedup();
        topics
    }
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
