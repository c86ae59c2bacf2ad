//! Caches the documents that a root merged into last, so that it can write totals instead of having the store add them
//! up.
//!
//! Nothing depends on it: a [`Plan`] holds only if the document stands exactly where it is remembered, which the
//! store checks. Within one era a version number is one document: where the version fits, the rest does.

use super::document::{Change, Position, Verdict, judge};
use super::generations::Generations;
use countree_common::cut::{Applied, CounterSum, Cut, Outcome};
use countree_common::document::Version;
use countree_common::key::{Item, Kind, Topic};
use countree_common::stream::StreamId;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

/// Counters that are remembered, over all topics; each takes some 150 bytes.
pub const COUNTERS_REMEMBERED: usize = 1 << 20;
/// Larger deltas are left to the store, which checks for overflow.
const DELTA_MAX: u64 = 1 << 48;

type Counter = (Item, Kind);

#[derive(Debug, Default)]
struct CachedDocument {
    version: Version,
    streams: HashMap<StreamId, Position>,
    totals: HashMap<Counter, i64>,
}

/// The documents that were merged into last. The longer ago that was, the sooner they are forgotten.
#[derive(Debug)]
pub struct DocumentCache {
    documents: Generations<Topic, CachedDocument>,
}

impl Default for DocumentCache {
    fn default() -> Self {
        Self { documents: Generations::new(COUNTERS_REMEMBERED, |known| known.totals.len()) }
    }
}

/// The result of some cuts of one topic, if the document is the cached one.
#[derive(Debug)]
pub struct Plan {
    /// The version that the document must have.
    pub base: Version,
    /// The version after the plan.
    pub version: Version,
    /// Each stream's position before and after.
    pub streams: BTreeMap<StreamId, (Position, Position)>,
    /// Totals that are known.
    pub totals: Vec<(Counter, i64)>,
    /// The sums of counters whose total is not known.
    pub gains: Vec<(Counter, i64)>,
    changes: Vec<Change>,
}

impl DocumentCache {
    /// Plans the merge of cuts of one topic, in their order, in a document that is served in that era. `None` when
    /// the store has to judge them: not all of them fit what is remembered.
    pub fn plan(&self, cuts: &[&Cut], served_in: u64) -> Option<Plan> {
        let topic = &cuts.first()?.topic;
        let known = self.documents.get(topic)?;
        let mut plan = Plan {
            base: known.version,
            version: known.version,
            streams: BTreeMap::new(),
            totals: Vec::new(),
            gains: Vec::new(),
            changes: Vec::with_capacity(cuts.len()),
        };
        // By counter: the total, or the gain of one whose total is not known.
        let mut changed = HashMap::<(&Item, &Kind), (bool, i64)>::new();
        for cut in cuts {
            if cut.sums.iter().any(|sum| sum.delta.unsigned_abs() > DELTA_MAX) {
                return None;
            }
            let position = match plan.streams.get(&cut.stream) {
                Some((_, after)) => *after,
                None => *known.streams.get(&cut.stream)?,
            };
            for sum in &cut.sums {
                changed.entry((&sum.item, &sum.kind)).or_insert_with(|| {
                    let total = known.totals.get(&(sum.item.clone(), sum.kind.clone()));
                    total.map_or((false, 0), |total| (true, *total))
                });
            }
            let raise = |sum: &CounterSum| {
                let value = changed.get(&(&sum.item, &sum.kind)).map(|(_, value)| *value);
                Ok::<_, Infallible>(value.unwrap_or_default().checked_add(sum.delta))
            };
            let Ok(Verdict::Changed(change)) = judge(plan.version, served_in, position, cut, raise) else {
                return None;
            };
            for (sum, total) in cut.sums.iter().zip(&change.totals) {
                if let Some(place) = changed.get_mut(&(&sum.item, &sum.kind)) {
                    place.1 = *total;
                }
            }
            plan.streams.entry(cut.stream.clone()).or_insert((position, position)).1 = change.position;
            plan.version = change.version;
            plan.changes.push(change);
        }
        for ((item, kind), (is_known, value)) in changed {
            let list = if is_known { &mut plan.totals } else { &mut plan.gains };
            list.push(((item.clone(), kind.clone()), value));
        }
        Some(plan)
    }

    /// A cut went in.
    pub fn learn(&mut self, cut: &Cut, applied: &Applied) {
        let mut known =
            self.documents.take(&cut.topic).filter(|known| known.version == applied.base).unwrap_or_default();
        known.version = applied.version;
        known.streams.insert(cut.stream.clone(), Position { lsn: cut.to, events: applied.events });
        for (sum, total) in cut.sums.iter().zip(&applied.totals) {
            known.totals.insert((sum.item.clone(), sum.kind.clone()), *total);
        }
        // A document of more than half of the cache is not kept: all others would be forgotten for it.
        self.documents.put_light(cut.topic.clone(), known);
    }

    /// The topic's document is another than was thought.
    pub fn forget(&mut self, topic: &Topic) {
        self.documents.take(topic);
    }

    /// Every document may be another.
    pub fn clear(&mut self) {
        self.documents.clear();
    }
}

impl Plan {
    /// The answer to each of the cuts, once the plan is carried out; `totals` are those that were not known, in the
    /// order of [`gains`](Self::gains). `None` when they are not as many.
    pub fn into_outcomes(self, cuts: &[&Cut], totals: &[i64], durable: bool) -> Option<Vec<Outcome>> {
        if totals.len() != self.gains.len() {
            return None;
        }
        let before = self
            .gains
            .iter()
            .zip(totals)
            .map(|((counter, gain), total)| Some(((&counter.0, &counter.1), total.checked_sub(*gain)?)));
        let before: HashMap<(&Item, &Kind), i64> = before.collect::<Option<_>>()?;
        let mut outcomes = Vec::with_capacity(cuts.len());
        for (cut, mut change) in cuts.iter().zip(self.changes) {
            for (sum, total) in cut.sums.iter().zip(&mut change.totals) {
                *total =
                    total.checked_add(before.get(&(&sum.item, &sum.kind)).copied().unwrap_or_default())?;
            }
            outcomes.push(change.into_outcome(durable));
        }
        Some(outcomes)
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
