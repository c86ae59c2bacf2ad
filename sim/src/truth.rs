//! The reference model: every event that a producer was given, and what became of it.
//!
//! An event is known by its delta: the events of one counter are worth 8⁰, 8¹, 8² … (all positive or all
//! negative), so that each digit of a total, in base 8, says how often one event is in it.

use crate::random::Random;
use countree_common::delta::Delta;
use countree_common::document::CounterTotal;
use countree_common::key::{Counter, Topic};
use countree_common::time::Time;
use std::collections::BTreeMap;

/// Events of one counter; 8¹¹ is well within every limit.
const EVENTS_PER_COUNTER: u32 = 12;
const BASE: i64 = 8;

/// An event's number.
pub(crate) type EventId = usize;

/// What a producer was told of an event.
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
}

/// An event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// What it counts for.
    pub(crate) counter: Counter,
    /// How much it adds.
    pub(crate) delta: Delta,
    digit: u32,
    /// What its producer was told.
    pub(crate) told: Told,
}

/// A batch as a producer speaks of it: which one, and when its first event was queued.
type BatchKey = (usize, Time);

/// All events.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    counters: Vec<(Counter, i64, u32)>,
    by_delta: BTreeMap<(Counter, i64), EventId>,
    queued: BTreeMap<EventId, BatchKey>,
    batches: BTreeMap<BatchKey, Vec<EventId>>,
    /// The events, by number.
    pub(crate) events: Vec<Event>,
    /// Events that were rejected without ever having been sent; their numbers are not known.
    pub(crate) rejected_unsent: u64,
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
            let counter = Counter::new(&topic, &item, kind).expect("the names are short");
            (counter, if random.chance(20) { -1 } else { 1 }, 0)
        };
        let counters = (0..=events / 6).map(&mut counter).collect();
        Self { counters, ..Self::default() }
    }

    /// The next event, if a counter has room for one.
    pub(crate) fn next_event(&mut self, random: &mut Random, producer: usize, now: Time) -> Option<&Event> {
        let free: Vec<usize> =
            (0..self.counters.len()).filter(|i| self.counters[*i].2 < EVENTS_PER_COUNTER).collect();
        let (counter, sign, used) = self.counters.get_mut(*random.pick(&free)?)?;
        let delta = *sign * BASE.pow(*used);
        let event = Event {
            counter: counter.clone(),
            delta: Delta::new(delta).ok()?,
            digit: *used,
            told: Told::Nothing,
        };
        *used += 1;
        let id = self.events.len();
        self.by_delta.insert((event.counter.clone(), delta), id);
        self.queued.insert(id, (producer, now));
        self.events.push(event);
        self.events.last()
    }

    /// Which event this is.
    pub(crate) fn find(&self, counter: &Counter, delta: i64) -> Option<EventId> {
        self.by_delta.get(&(counter.clone(), delta)).copied()
    }

    /// A producer sends a batch of these events, for the first time or again.
    pub(crate) fn note_batch(&mut self, events: Vec<EventId>) {
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
    ) -> Result<(), String> {
        let Some(events) = self.batches.get(&(producer, first)) else {
            self.rejected_unsent += count;
            return match told {
                Told::Rejected => Ok(()),
                other => Err(format!("producer-{producer} was told {other:?} of a batch that it never sent")),
            };
        };
        if events.len() as u64 != count {
            return Err(format!(
                "producer-{producer} was told of {count} events of a batch of {}",
                events.len()
            ));
        }
        for id in events {
            let event = &mut self.events[*id];
            if event.told != Told::Nothing {
                return Err(format!("event {id} was {:?} and then {told:?}", event.told));
            }
            event.told = told;
        }
        Ok(())
    }

    /// How many events were told this.
    pub(crate) fn count(&self, told: Told) -> u64 {
        self.events.iter().filter(|e| e.told == told).count() as u64
    }

    /// Which topics there are.
    pub(crate) fn topics(&self) -> Vec<Topic> {
        let mut topics: Vec<_> = self.counters.iter().map(|(c, ..)| c.topic.clone()).collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// How often an event is in a total of its counter.
    fn occurrences(event: &Event, total: i64) -> i64 {
        let mut rest = total * event.delta.get().signum();
        for _ in 0..event.digit {
            rest = rest.div_euclid(BASE);
        }
        rest.rem_euclid(BASE)
    }

    /// Compares the totals with what producers were told.
    ///
    /// # Errors
    /// The first event that is lost or doubled, or a total that no events add up to.
    pub(crate) fn check(&self, totals: &BTreeMap<Counter, i64>) -> Result<(), String> {
        let mut sums = BTreeMap::<&Counter, i64>::new();
        for (id, event) in self.events.iter().enumerate() {
            let total = totals.get(&event.counter).copied().unwrap_or_default();
            let times = Self::occurrences(event, total);
            *sums.entry(&event.counter).or_default() += times * event.delta.get();
            let is_right = match event.told {
                Told::Acked => times == 1,
                Told::InDoubt => times <= 1,
                Told::Nothing | Told::Rejected => times == 0,
            };
            if !is_right {
                let Event { counter, delta, told, .. } = event;
                let Counter { topic, item, kind } = counter;
                let delta = delta.get();
                return Err(format!(
                    "event {id} ({topic} {item} {kind} {delta:+}) was {told:?} and is counted {times} times"
                ));
            }
        }
        match totals.iter().find(|(counter, total)| sums.get(counter).copied().unwrap_or_default() != **total)
        {
            None => Ok(()),
            Some((counter, total)) => {
                Err(format!("the total {total} of {counter:?} is no sum of its events"))
            }
        }
    }

    /// How many events are in these totals, each as often as it is.
    pub(crate) fn counted(&self, totals: &BTreeMap<Counter, i64>) -> u64 {
        let times = |e: &Event| Self::occurrences(e, totals.get(&e.counter).copied().unwrap_or_default());
        self.events.iter().map(|e| times(e) as u64).sum()
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
#[path = "truth_tests.rs"]
mod tests;
