//! The events of a run: each is known by its number, and totals show how often each was counted.
//!
//! Some events have a counter to themselves, with a large delta of their own. The others share one: an
//! event adds a power of four that no other event of that counter adds, so that the total, written in base
//! four, has one digit for each: 0 is lost, 1 is right, 2 and 3 are doubled.

use countree_common::delta::{Delta, DeltaError};
use countree_common::key::{Counter, Item, Kind, NameError, Topic};
use std::collections::BTreeMap;

/// One event in this many has a counter to itself.
const ALONE_EVERY: u32 = 8;
/// Senders that share counters.
const SENDERS_PER_COUNTER: u32 = 2;
/// Events of one sender that share a counter.
const EVENTS_PER_SENDER: u32 = 13;
/// Events that share a counter, each with two bits of the total: 4^26 - 1 is below the largest delta.
const DIGITS: u32 = SENDERS_PER_COUNTER * EVENTS_PER_SENDER;
/// Shared counters that are in use at once, so that one counter is merged into again and again.
const COUNTERS_AT_ONCE: u32 = 128;
/// Spreads the deltas of lone events: odd, so that no two below 2^32 come out the same modulo 2^40.
const SPREAD: u64 = 0x9e_3779_b97f_4a7d;
const LONE_DELTA_MIN: u64 = 1 << 40;

/// An event: its sender's number, and its place among what that sender sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::exact) struct EventId {
    pub(in crate::exact) sender: u16,
    pub(in crate::exact) index: u32,
}

/// The counter and the delta of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::exact) struct Event {
    pub(in crate::exact) counter: Counter,
    pub(in crate::exact) delta: Delta,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Alone,
    Digit(u32),
}

/// Names all events of a run.
#[derive(Debug, Clone)]
pub(in crate::exact) struct EventCatalogue {
    topics: Vec<Topic>,
    kind: Kind,
}

/// Something about an event's names or numbers is impossible, which a test would show.
#[derive(Debug, thiserror::Error)]
pub(in crate::exact) enum CatalogueError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Delta(#[from] DeltaError),
}

impl EventCatalogue {
    /// Makes a catalogue with this many topics, at least 1, whose names begin with `prefix`.
    pub(in crate::exact) fn new(prefix: &str, topics: u16) -> Result<Self, CatalogueError> {
        let topics = (0..topics.max(1)).map(|topic| Topic::new(&format!("{prefix}/topic-{topic}")));
        Ok(Self { topics: topics.collect::<Result<_, _>>()?, kind: Kind::new("like")? })
    }

    pub(in crate::exact) fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// The event of that number.
    pub(in crate::exact) fn event(&self, id: EventId) -> Result<Event, CatalogueError> {
        let EventId { sender, index } = id;
        let (turn, place) = (index / ALONE_EVERY, index % ALONE_EVERY);
        if place == 0 {
            let number = u64::from(sender) << 32 | u64::from(index);
            let size = number.wrapping_mul(SPREAD) % LONE_DELTA_MIN + LONE_DELTA_MIN;
            // An unlike now and then.
            let delta = if turn.is_multiple_of(4) { -(size as i64) } else { size as i64 };
            let counter = self.counter(number, &format!("lone-{sender}-{index}"))?;
            return Ok(Event { counter, delta: Delta::new(delta)?, shape: Shape::Alone });
        }
        let (sender, shared) = (u32::from(sender), turn * (ALONE_EVERY - 1) + place - 1);
        let pair = sender / SENDERS_PER_COUNTER;
        let per_block = EVENTS_PER_SENDER * COUNTERS_AT_ONCE;
        let (block, rest) = (shared / per_block, shared % per_block);
        let digit = rest / COUNTERS_AT_ONCE * SENDERS_PER_COUNTER + sender % SENDERS_PER_COUNTER;
        let number = block * COUNTERS_AT_ONCE + rest % COUNTERS_AT_ONCE;
        let counter =
            self.counter(u64::from(pair) << 32 | u64::from(number), &format!("shared-{pair}-{number}"))?;
        Ok(Event { counter, delta: Delta::new(1 << (2 * digit))?, shape: Shape::Digit(digit) })
    }

    fn counter(&self, number: u64, item: &str) -> Result<Counter, CatalogueError> {
        let place = (number.wrapping_mul(SPREAD) >> 40) as usize % self.topics.len();
        // The remainder is always a valid index.
        let topic = self.topics.get(place).or(self.topics.first()).cloned();
        let topic = topic.map_or_else(|| Topic::new("none"), Ok)?;
        Ok(Counter { topic, item: Item::new(item)?, kind: self.kind.clone() })
    }
}

impl Event {
    /// Takes this event out of the totals and returns how often it was in them. Anything left when all
    /// events are out was never sent.
    pub(in crate::exact) fn take_out(&self, totals: &mut BTreeMap<Counter, i64>) -> u64 {
        let Some(total) = totals.get_mut(&self.counter) else { return 0 };
        let delta = self.delta.get();
        let times = match self.shape {
            Shape::Alone if *total % delta == 0 => (*total / delta).max(0),
            Shape::Digit(digit) if (0..1 << (2 * DIGITS)).contains(total) => *total >> (2 * digit) & 3,
            // No set of events makes this total: it is left over, and reported.
            Shape::Alone | Shape::Digit(_) => 0,
        };
        *total -= times * delta;
        times as u64
    }
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
