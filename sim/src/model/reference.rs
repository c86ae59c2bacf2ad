//! The reference model: every event that a client was given, and what became of it.

use super::event_encoding::{self, digits, worth};
use super::resets::{Resets, Standing};
use crate::random::Random;
use countree_common::delta::Delta;
use countree_common::document::CounterTotal;
use countree_common::key::{Counter, Topic};
use countree_common::time::Time;
use std::collections::BTreeMap;

/// An event's number.
pub(crate) type EventId = usize;

/// What a client was told of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing yet.
    Nothing,
    /// It is counted.
    Acked,
    /// It is counted or not.
    InDoubt,
    /// It is not counted.
    Rejected,
    /// Its producer died before it could be told anything.
    Nobody,
}

/// An event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// What it counts for.
    pub(crate) counter: Counter,
    /// How much it adds.
    pub(crate) delta: Delta,
    /// When it came to be.
    pub(crate) at: Time,
    /// What its client was told.
    pub(crate) told: Told,
    /// When.
    pub(crate) told_at: Time,
    /// The leaf that it was last sent to, if a producer did.
    pub(crate) leaf: Option<usize>,
    /// Several requests brought it, under one id: that one of them was refused says nothing of the others.
    pub(crate) is_shared: bool,
}

/// A batch as a producer speaks of it: which one, and when its first event was queued.
type BatchKey = (usize, Time);

/// The events of one counter, by digit.
#[derive(Debug)]
struct Column {
    counter: Counter,
    events: Vec<EventId>,
}

/// All events.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    columns: Vec<Column>,
    by_counter: BTreeMap<Counter, usize>,
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
    /// Leaves whose folders were lost or replaced, and when.
    folders_lost: Vec<(usize, Time)>,
    /// Leaves that were adopted from another store, and when.
    adopted: Vec<(usize, Time)>,
    /// When the store was last emptied.
    emptied_at: Option<Time>,
    is_acknowledged: bool,
}

impl Truth {
    /// Counters for so many events in so many topics.
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
            told: Told::Nothing,
            told_at: now,
            leaf: None,
            is_shared: false,
        });
        column.events.push(id);
        Some(id)
    }

    /// A producer has queued an event.
    pub(crate) fn note_queued(&mut self, id: EventId, producer: usize, now: Time) {
        self.queued.insert(id, (producer, now));
    }

    /// Which event this is.
    pub(crate) fn find(&self, counter: &Counter, delta: i64) -> Option<EventId> {
        let column = &self.columns[*self.by_counter.get(counter)?];
        column.events.iter().copied().find(|id| self.events[*id].delta.get() == delta)
    }

    /// A producer sends a batch of these events to a leaf, for the first time or again.
    pub(crate) fn note_batch(&mut self, events: Vec<EventId>, leaf: Option<usize>) {
        for id in &events {
            self.events[*id].leaf = leaf;
        }
        if let Some(key) = events.iter().filter_map(|id| self.queued.get(id)).min() {
            self.batches.insert(*key, events);
        }
    }

    /// A producer is told what became of a batch of so many events.
    ///
    /// # Errors
    /// When it was told something of events that it never sent, or something twice.
    pub(crate) fn note_told(
        &mut self,
        producer: usize,
        first: Time,
        count: u64,
        told: Told,
        now: Time,
    ) -> Result<(), String> {
        let Some(events) = self.batches.get(&(producer, first)) else {
            self.rejected_unsent += count;
            return match told {
                Told::Rejected => Ok(()),
                other => Err(format!("producer-{producer} was told {other:?} of a batch that it never sent")),
            };
        };
        if events.len() as u64 != count {
            let sent = events.len();
            return Err(format!("producer-{producer} was told of {count} events of a batch of {sent}"));
        }
        let events = events.clone();
        events.into_iter().try_for_each(|id| self.tell(id, told, now))
    }

    /// A client is told what became of an event.
    ///
    /// # Errors
    /// When it was told before.
    pub(crate) fn tell(&mut self, id: EventId, told: Told, now: Time) -> Result<(), String> {
        let event = &mut self.events[id];
        if event.told != Told::Nothing {
            return Err(format!("event {id} was {:?} and then {told:?}", event.told));
        }
        (event.told, event.told_at) = (told, now);
        if told == Told::Acked {
            self.acked.entry(event.counter.topic.clone()).or_default().push(id);
        }
        Ok(())
    }

    /// An HTTP client is told what became of events. What one was told before stays as it is, but for a doubt that another
    /// request with the event resolves.
    pub(crate) fn tell_client(&mut self, events: &[EventId], told: Told, now: Time) -> Result<(), String> {
        for id in events {
            let event = &mut self.events[*id];
            if event.is_shared && event.told == Told::InDoubt && told == Told::Acked {
                event.told = Told::Nothing;
            }
            let is_either = event.is_shared && told == Told::Rejected;
            if event.told == Told::Nothing {
                self.tell(*id, if is_either { Told::InDoubt } else { told }, now)?;
            }
        }
        Ok(())
    }

    /// A leaf's folder is lost, or replaced by an older copy.
    pub(crate) fn note_folder_lost(&mut self, leaf: usize, now: Time) {
        self.folders_lost.push((leaf, now));
    }

    /// Whether any leaf's folder was.
    pub(crate) fn has_lost_folders(&self) -> bool {
        !self.folders_lost.is_empty()
    }

    /// A leaf has counted into another store until now.
    pub(crate) fn note_adopted(&mut self, leaf: usize, now: Time) {
        self.adopted.push((leaf, now));
    }

    /// Whether any has.
    pub(crate) fn has_adopted(&self) -> bool {
        !self.adopted.is_empty()
    }

    /// The store was emptied.
    pub(crate) fn note_emptied(&mut self, now: Time) {
        self.emptied_at = Some(now);
    }

    /// Whether it ever was.
    pub(crate) fn was_emptied(&self) -> bool {
        self.emptied_at.is_some()
    }

    /// An operator has said so.
    pub(crate) fn note_acknowledged(&mut self) {
        self.is_acknowledged = true;
    }

    /// Whether one has.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.is_acknowledged
    }

    /// Whether an event may have been in a folder that was lost. Which leaf took an HTTP client's is not known.
    pub(crate) fn may_be_lost(&self, event: &Event) -> bool {
        let was_there = |leaf: &usize| event.leaf.is_none_or(|of| of == *leaf);
        let was_merged = self.emptied_at.is_some_and(|at| event.at <= at);
        was_merged
            || self
                .folders_lost
                .iter()
                .chain(&self.adopted)
                .any(|(leaf, at)| was_there(leaf) && event.at <= *at)
    }

    /// What resets say of an event that was acked. One that was logged before a folder was lost, or merged into a store
    /// that is none any more, may be undone with it.
    fn standing(&self, event: &Event) -> Standing {
        let lost = self.folders_lost.iter().chain(&self.adopted).map(|(_, at)| *at);
        self.resets.standing(event, lost.chain(self.emptied_at).max())
    }

    /// The acked events that were lost with a folder, or with what the store held.
    pub(crate) fn lost(&self, totals: &BTreeMap<Counter, i64>) -> usize {
        let is_lost = |(id, event): &(EventId, &Event)| {
            let total = totals.get(&event.counter).copied().unwrap_or_default();
            event.told == Told::Acked
                && self.standing(event) == Standing::Counts
                && self.may_be_lost(event)
                && !self.holds(*id, total)
        };
        self.events.iter().enumerate().filter(is_lost).count()
    }

    /// The events of a topic that were acked, in the order of their acks.
    pub(crate) fn acked_in(&self, topic: &Topic) -> impl Iterator<Item = EventId> {
        self.acked.get(topic).into_iter().flatten().copied()
    }

    /// Whether an event is in a total of its counter.
    pub(crate) fn holds(&self, id: EventId, total: i64) -> bool {
        let times = self.times(&self.events[id].counter, total).unwrap_or_default();
        times.into_iter().any(|(of, times)| of == id && times > 0)
    }

    /// A producer dies; whatever it was not told it never will be.
    pub(crate) fn note_death(&mut self, producer: usize) {
        for (id, (of, _)) in &self.queued {
            let event = &mut self.events[*id];
            if *of == producer && event.told == Told::Nothing {
                event.told = Told::Nobody;
            }
        }
    }

    /// How many events were told this.
    pub(crate) fn count(&self, told: Told) -> u64 {
        self.events.iter().filter(|e| e.told == told).count() as u64
    }

    /// Which topics there are.
    pub(crate) fn topics(&self) -> Vec<Topic> {
        let mut topics: Vec<_> = self.columns.iter().map(|c| c.counter.topic.clone()).collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// How often each event of a counter is in a total of it.
    ///
    /// # Errors
    /// When no events add up to it.
    pub(crate) fn times(&self, counter: &Counter, total: i64) -> Result<Vec<(EventId, i64)>, String> {
        let column = self.by_counter.get(counter).and_then(|at| self.columns.get(*at));
        let events = column.map(|column| column.events.as_slice()).unwrap_or_default();
        let digits = digits(total).filter(|digits| digits.iter().skip(events.len()).all(|times| *times == 0));
        let digits =
            digits.ok_or_else(|| format!("the total {total} of {counter:?} is no sum of its events"))?;
        let times = |(id, digit): (&EventId, i64)| (*id, digit * self.events[*id].delta.get().signum());
        Ok(events.iter().zip(digits).map(times).collect())
    }

    /// What must be true of a total at any time: no event is in it twice.
    ///
    /// # Errors
    /// The event that is.
    pub(crate) fn check_once(&self, counter: &Counter, total: i64) -> Result<(), String> {
        // A store that fell back may be sent a reset again before what it took away.
        let least = if self.resets.cover(counter) { -1 } else { 0 };
        let times = self.times(counter, total)?;
        match times.into_iter().find(|(_, times)| !(least..=1).contains(times)) {
            Some((id, times)) => Err(self.says(id, times)),
            None => Ok(()),
        }
    }

    /// Compares the totals with what clients were told. A reset may have missed what was in the topics that
    /// `forgot` says.
    ///
    /// # Errors
    /// The first event that is lost or doubled, or a total that no events add up to.
    pub(crate) fn check(
        &self,
        totals: &BTreeMap<Counter, i64>,
        forgot: impl Fn(&Topic) -> bool,
    ) -> Result<(), String> {
        for Column { counter, .. } in &self.columns {
            let total = totals.get(counter).copied().unwrap_or_default();
            for (id, times) in self.times(counter, total)? {
                let event = &self.events[id];
                let is_forgotten = forgot(&counter.topic);
                // With its log and the store's last writes an event is gone, and the reset that took it away may stay.
                let is_taken_away = is_forgotten && self.may_be_lost(event) && self.resets.cover(counter);
                let is_right = match (event.told, self.standing(event)) {
                    (Told::Acked | Told::InDoubt | Told::Nobody, _) if is_taken_away => {
                        (-1..=1).contains(&times)
                    }
                    (Told::Acked, Standing::Counts) if self.may_be_lost(event) => (0..=1).contains(&times),
                    (Told::Acked, Standing::Counts) => times == 1,
                    (Told::Acked, Standing::Gone) if !is_forgotten => times == 0,
                    (Told::Acked | Told::InDoubt | Told::Nobody, _) => (0..=1).contains(&times),
                    (Told::Nothing | Told::Rejected, _) => times == 0,
                };
                if !is_right {
                    return Err(self.says(id, times));
                }
            }
        }
        match totals.keys().find(|counter| !self.by_counter.contains_key(counter)) {
            Some(counter) => Err(format!("{counter:?} was never counted")),
            None => Ok(()),
        }
    }

    fn says(&self, id: EventId, times: i64) -> String {
        let event = &self.events[id];
        let (Counter { topic, item, kind }, delta) = (&event.counter, event.delta.get());
        let (told, standing) = (event.told, self.standing(event));
        format!(
            "event {id} ({topic} {item} {kind} {delta:+}, {standing:?}) was {told:?} and is counted {times} times"
        )
    }

    /// How many events are in these totals, each as often as it is.
    pub(crate) fn counted(&self, totals: &BTreeMap<Counter, i64>) -> u64 {
        let times = |(counter, total): (&Counter, &i64)| self.times(counter, *total).unwrap_or_default();
        totals.iter().flat_map(times).map(|(_, times)| times as u64).sum()
    }
}

/// Totals of a topic by counter.
pub(crate) fn by_counter<'a>(
    topic: &'a Topic,
    totals: impl IntoIterator<Item = CounterTotal> + 'a,
) -> impl Iterator<Item = (Counter, i64)> + 'a {
    let counter = |t: CounterTotal| (Counter { topic: topic.clone(), item: t.item, kind: t.kind }, t.total);
    totals.into_iter().map(counter)
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
