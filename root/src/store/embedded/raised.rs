//! Totals under way of a cut.

use super::failed;
use super::key::TotalKey;
use crate::store::StoreError;
use countree_common::cut::CounterSum;
use countree_common::key::Topic;
use redb::Table;

/// Totals that one cut has raised so far. They are written when they are looked up: the way down the tree costs more
/// than what is done there.
pub(super) struct Raised<'a, 't> {
    totals: &'a mut Table<'t, &'static [u8], i64>,
    key: TotalKey,
    /// What each of them was, in the order of the cut's sums.
    before: Vec<Option<i64>>,
}

impl<'a, 't> Raised<'a, 't> {
    pub(super) fn new(totals: &'a mut Table<'t, &'static [u8], i64>, topic: &Topic) -> Self {
        Self { totals, key: TotalKey::of_topic(topic), before: Vec::new() }
    }

    /// Adds a sum to its total, unless that is out of range.
    pub(super) fn raise(&mut self, sum: &CounterSum) -> Result<Option<i64>, StoreError> {
        let key = self.key.of(&sum.item, &sum.kind);
        let Some(mut found) = self.totals.get_mut(key).map_err(failed)? else {
            self.totals.insert(key, sum.delta).map_err(failed)?;
            self.before.push(None);
            return Ok(Some(sum.delta));
        };
        let before = found.value();
        let Some(total) = before.checked_add(sum.delta) else { return Ok(None) };
        found.insert(total).map_err(failed)?;
        self.before.push(Some(before));
        Ok(Some(total))
    }

    /// Puts every total back to where it was.
    pub(super) fn take_back(self, sums: &[CounterSum]) -> Result<(), StoreError> {
        let Self { totals, mut key, before } = self;
        for (sum, before) in sums.iter().zip(before) {
            let key = key.of(&sum.item, &sum.kind);
            match before {
                Some(before) => totals.insert(key, before).map_err(failed)?,
                None => totals.remove(key).map_err(failed)?,
            };
        }
        Ok(())
    }
}
