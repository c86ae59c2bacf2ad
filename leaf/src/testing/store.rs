//! A store in memory that keeps to the merge rule, and can be sent back in time.

use countree_common::cut::{Applied, Cut, Outcome};
use countree_common::document::Version;
use countree_common::key::{Counter, Topic};
use countree_common::stream::{Lsn, StreamId};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default)]
struct Document {
    version: Version,
    /// Each stream's last merged LSN, and its merged events.
    streams: BTreeMap<StreamId, (Lsn, u64)>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct TestStore {
    documents: BTreeMap<Topic, Document>,
    totals: BTreeMap<Counter, i64>,
    pub(crate) is_durable: bool,
    /// The era of its process; 0 where that does not matter.
    served_in: u64,
}

impl TestStore {
    pub(crate) fn new(is_durable: bool) -> Self {
        Self { is_durable, ..Self::default() }
    }

    pub(crate) fn serving_in(era: u64) -> Self {
        Self { is_durable: true, served_in: era, ..Self::default() }
    }

    pub(crate) fn merge(&mut self, cut: &Cut) -> Outcome {
        let document = self.documents.entry(cut.topic.clone()).or_default();
        let (lsn, events) = document.streams.get(&cut.stream).copied().unwrap_or_default();
        let base = document.version;
        if lsn != cut.from || cut.from == cut.to {
            return Outcome::Have { lsn, events, version: base };
        }
        let counter = |i: usize| {
            let sum = &cut.sums[i];
            Counter { topic: cut.topic.clone(), item: sum.item.clone(), kind: sum.kind.clone() }
        };
        let mut totals = Vec::new();
        for (i, sum) in cut.sums.iter().enumerate() {
            let before = self.totals.get(&counter(i)).copied().unwrap_or_default();
            let Some(total) = before.checked_add(sum.delta) else { return Outcome::Overflow };
            totals.push(total);
        }
        self.totals.extend(totals.iter().enumerate().map(|(i, total)| (counter(i), *total)));
        let events = events + cut.events;
        document.streams.insert(cut.stream.clone(), (cut.to, events));
        document.version =
            Version { era: base.era.max(cut.era).max(self.served_in), number: base.number + 1 };
        let version = document.version;
        Outcome::Applied(Applied { version, base, totals, events, durable: self.is_durable })
    }

    pub(crate) fn total(&self, counter: &Counter) -> i64 {
        self.totals.get(counter).copied().unwrap_or_default()
    }

    pub(crate) fn totals(&self) -> &BTreeMap<Counter, i64> {
        &self.totals
    }

    pub(crate) fn set_total(&mut self, counter: Counter, total: i64) {
        self.totals.insert(counter, total);
    }

    pub(crate) fn version(&self, topic: &Topic) -> Version {
        self.documents.get(topic).map(|d| d.version).unwrap_or_default()
    }

    pub(crate) fn events_of_topic(&self, topic: &Topic) -> u64 {
        self.documents.get(topic).map_or(0, |d| d.streams.values().map(|(_, events)| events).sum())
    }

    pub(crate) fn events_of_stream(&self, stream: &StreamId) -> u64 {
        self.documents.values().filter_map(|d| d.streams.get(stream)).map(|(_, events)| events).sum()
    }
}
