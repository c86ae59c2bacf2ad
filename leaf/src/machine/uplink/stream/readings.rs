//! Reads sums back from the log, where the store stands elsewhere than the sums in memory.

use super::StreamUplink;
use super::topics::Position;
use crate::log::recut::{Found, Piece, Recut, Stretch};
use crate::machine::counters::names::{Names, TopicId};
use crate::machine::counters::pending::{Pending, Sum};
use crate::machine::counters::table::Table;
use countree_common::cut::CounterSum;
use countree_common::key::{CounterName, Topic};
use std::collections::BTreeMap;

/// The stretches of the log that have to be read, by topic.
#[derive(Debug, Default)]
pub(super) struct Readings {
    pub(super) wanted: BTreeMap<TopicId, Stretch>,
    under_way: BTreeMap<TopicId, Stretch>,
    is_under_way: bool,
}

impl StreamUplink {
    /// Takes the next reading of the log that is needed, if none is under way.
    pub fn next_scan(&mut self, names: &Names) -> Option<Recut> {
        if self.readings.wanted.is_empty() || self.readings.is_under_way {
            return None;
        }
        self.readings.is_under_way = true;
        self.readings.under_way = std::mem::take(&mut self.readings.wanted);
        let named =
            self.readings.under_way.iter().map(|(topic, stretch)| (names.topic(*topic).clone(), *stretch));
        Some(Recut::new(named.collect()))
    }

    /// Takes what a reading of the log found. Returns, by topic, the number of events that the store forgot after their
    /// log had been trimmed: they are lost, and declared so.
    pub fn handle_scan(&mut self, mut found: Found, table: &mut Table) -> Vec<(Topic, u64)> {
        let mut lost = Vec::new();
        self.readings.is_under_way = false;
        for (topic, Stretch { from, .. }) in std::mem::take(&mut self.readings.under_way) {
            let Some(state) = self.topics.get_mut(topic) else { continue };
            let name = table.names().topic(topic).clone();
            let pieces = found.remove(&name).unwrap_or_default();
            let events: u64 = pieces.iter().map(|p| p.events).sum();
            let in_log = state.in_log.take();
            let owed = in_log.map_or(0, |l| l.events);
            let missing = in_log.and_then(|l| l.expected).map_or(0, |e| e.saturating_sub(events));
            if missing > 0 {
                self.events.declared_lost += missing;
                lost.push((name.clone(), missing));
            }
            // More than was owed: the store had confirmed it and forgot. Less: it had merged some of it.
            self.events.merged = (self.events.merged + owed).saturating_sub(events + missing);
            self.events.in_flight = self.events.in_flight - owed + events;
            state.position = Position::Known(from);
            for Piece { to, sums, events } in pieces.into_iter().rev() {
                let sums = sums.iter().map(|sum| intern(&name, sum, table)).collect();
                let pending = Pending::new(to, sums, events, 0);
                self.events.volume = self.events.volume.saturating_add(pending.volume);
                self.progress.hold(0);
                state.queue.push_front(pending);
            }
            self.progress.release(0);
            self.make_ready(topic);
            self.plan_probe(topic);
        }
        lost
    }

    /// A reading of the log failed; it is tried again.
    pub fn handle_scan_failed(&mut self) {
        self.readings.is_under_way = false;
        self.readings.wanted.append(&mut self.readings.under_way);
    }
}

fn intern(topic: &Topic, sum: &CounterSum, table: &mut Table) -> Sum {
    let CounterSum { item, kind, delta } = sum;
    let name = CounterName { topic: topic.as_str(), item: item.as_str(), kind: kind.as_str() };
    Sum { counter: table.intern(name), delta: *delta }
}
