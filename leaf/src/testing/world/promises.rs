//! The leaf's promises: what was acked by when, and the flushes that wait for it.

use crate::machine::FlushId;
use countree_common::key::Topic;
use countree_common::time::WallMs;
use std::collections::{BTreeMap, VecDeque};

#[derive(Default)]
pub(super) struct Promises {
    /// Acked events in the order of their acks, until a watermark has passed them; then `complete` counts them.
    acked: VecDeque<(WallMs, Topic)>,
    complete: BTreeMap<Topic, u64>,
    /// Those who wait for a topic, with the number of its events that had been acked by then.
    flushes: BTreeMap<FlushId, (Topic, u64)>,
    flushed: u64,
}

impl Promises {
    pub(super) fn ack(&mut self, now: WallMs, topics: Vec<Topic>) {
        self.acked.extend(topics.into_iter().map(|topic| (now, topic)));
    }

    /// Numbers the next flush.
    pub(super) fn next_flush(&self) -> FlushId {
        FlushId(self.flushed + self.flushes.len() as u64)
    }

    /// Somebody waits for all that was acked of a topic.
    pub(super) fn open_flush(&mut self, flush: FlushId, topic: Topic) {
        let acked = self.acked.iter().filter(|(_, of)| *of == topic).count() as u64;
        let acked = acked + self.complete.get(&topic).copied().unwrap_or_default();
        self.flushes.insert(flush, (topic, acked));
    }

    /// The flush is answered; returns its topic, and how many events of that are merged at least.
    pub(super) fn end_flush(&mut self, flush: FlushId) -> Option<(Topic, u64)> {
        self.flushed += 1;
        self.flushes.remove(&flush)
    }

    /// Nobody waits any more.
    pub(super) fn lose_flushes(&mut self) {
        self.flushes.clear();
    }

    /// Everything acked before a time is merged; returns the numbers of events by topic.
    pub(super) fn complete(&mut self, at: WallMs) -> &BTreeMap<Topic, u64> {
        while self.acked.front().is_some_and(|(acked, _)| *acked < at) {
            let Some((_, topic)) = self.acked.pop_front() else { break };
            *self.complete.entry(topic).or_default() += 1;
        }
        &self.complete
    }
}
