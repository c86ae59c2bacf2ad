//! Tracks totals near their limit. A leaf that knows one refuses events that could take it too far, and most such
//! events may come through other leaves: so every leaf gets an alert, before the leaf whose events were merged gets its
//! answer.

use countree_common::cut::{Cut, Outcome};
use countree_common::key::{Counter, Topic};
use countree_common::limits;
use std::collections::BTreeMap;

/// Counters in one message, at most.
const TOLD_AT_ONCE: usize = 1_024;

/// The totals near their limit, as this root's merges left them.
#[derive(Debug, Default)]
pub(in crate::machine) struct NearLimit {
    totals: BTreeMap<Counter, i64>,
}

impl NearLimit {
    /// Takes the outcomes of merges; returns the alerts for leaves.
    pub(in crate::machine) fn learn(
        &mut self,
        cuts: &[Cut],
        outcomes: &[Option<Outcome>],
    ) -> Vec<(Counter, i64)> {
        let mut news = BTreeMap::new();
        for (cut, outcome) in cuts.iter().zip(outcomes) {
            let Some(Outcome::Applied(applied)) = outcome else { continue };
            for (sum, total) in cut.sums.iter().zip(&applied.totals) {
                let is_near = total.unsigned_abs() >= limits::TOTAL_NEAR_LIMIT.unsigned_abs();
                if !is_near && self.totals.is_empty() {
                    continue;
                }
                let (topic, item, kind) = (cut.topic.clone(), sum.item.clone(), sum.kind.clone());
                let counter = Counter { topic, item, kind };
                let was_known = self.totals.remove(&counter).is_some();
                if is_near && self.totals.len() < limits::NEAR_LIMIT_COUNTERS {
                    self.totals.insert(counter.clone(), *total);
                }
                if is_near || was_known {
                    news.insert(counter, *total);
                }
            }
        }
        news.into_iter().collect()
    }

    /// Forgets a topic; returns the alerts for leaves.
    pub(in crate::machine) fn forget(&mut self, topic: &Topic) -> Vec<(Counter, i64)> {
        let gone: Vec<_> = self.totals.keys().filter(|counter| counter.topic == *topic).cloned().collect();
        self.totals.retain(|counter, _| counter.topic != *topic);
        gone.into_iter().map(|counter| (counter, 0)).collect()
    }

    /// The alerts for a leaf that has just connected.
    pub(in crate::machine) fn known(&self) -> Vec<(Counter, i64)> {
        self.totals.iter().map(|(counter, total)| (counter.clone(), *total)).collect()
    }
}

/// Cuts alerts into messages of a bounded size.
pub(in crate::machine) fn messages(totals: &[(Counter, i64)]) -> impl Iterator<Item = Vec<(Counter, i64)>> {
    totals.chunks(TOLD_AT_ONCE).map(<[_]>::to_vec)
}

#[cfg(test)]
#[path = "limit_alerts_tests.rs"]
mod tests;
