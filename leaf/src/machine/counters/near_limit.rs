//! Keeps the totals that are near their limit, so that events which could take one past it are refused.

use super::names::CounterId;
use countree_common::limits;
use std::collections::BTreeMap;

/// Totals near their limit, as the store reported them last.
#[derive(Debug, Default)]
pub(in crate::machine) struct NearLimits(BTreeMap<CounterId, i64>);

impl NearLimits {
    /// Notes a total; one that is no longer near its limit is forgotten.
    pub(in crate::machine) fn note(&mut self, counter: CounterId, total: i64) {
        if total.unsigned_abs() < limits::TOTAL_NEAR_LIMIT.unsigned_abs() {
            self.0.remove(&counter);
        } else if self.0.len() < limits::NEAR_LIMIT_COUNTERS || self.0.contains_key(&counter) {
            self.0.insert(counter, total);
        }
    }

    /// Whether no total is near its limit.
    pub(in crate::machine) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The counter's total, if it is near its limit.
    pub(in crate::machine) fn total(&self, counter: CounterId) -> Option<i64> {
        self.0.get(&counter).copied()
    }

    pub(super) fn counters(&self) -> impl Iterator<Item = CounterId> {
        self.0.keys().copied()
    }
}
