//! A store that may fall back to what it held a moment ago.

use super::FORGETS;
use crate::testing::{Chance, TestStore};
use countree_common::cut::{Cut, Outcome};
use countree_common::time::Time;
use std::collections::VecDeque;

pub(super) struct ForgetfulStore {
    pub(super) store: TestStore,
    /// The time at which it last merged anything.
    merged: Time,
    /// The store as it was before each of its latest merges.
    past: VecDeque<(Time, TestStore)>,
    pub(super) went_back: u32,
}

impl ForgetfulStore {
    pub(super) fn new(store: TestStore) -> Self {
        Self { store, merged: Time(0), past: VecDeque::new(), went_back: 0 }
    }

    pub(super) fn merge(&mut self, now: Time, cut: &Cut) -> Outcome {
        self.past.push_back((now, self.store.clone()));
        self.age(now);
        let outcome = self.store.merge(cut);
        if matches!(outcome, Outcome::Applied(_)) {
            self.merged = now;
        }
        outcome
    }

    pub(super) fn go_back(&mut self, now: Time, chance: &mut Chance) {
        self.age(now);
        if !self.past.is_empty() {
            let to = chance.below(self.past.len());
            self.store = self.past[to].1.clone();
            self.past.truncate(to);
            self.went_back += 1;
        }
    }

    /// Whether it can't forget anything any more.
    pub(super) fn has_kept_all(&self, now: Time) -> bool {
        self.store.is_durable || self.merged + FORGETS < now
    }

    fn age(&mut self, now: Time) {
        self.past.retain(|(at, _)| *at + FORGETS >= now);
    }
}
