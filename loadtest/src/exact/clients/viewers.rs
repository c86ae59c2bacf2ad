//! Viewers: what they are shown must never go back, and end at the store's totals.

use crate::exact::run::Run;
use countree_client::{Cluster, Viewer};
use countree_common::document::TopicView;
use countree_common::key::{Counter, Topic};
use countree_common::shell::failure::Failure;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Steps back that are spelled out for one viewer.
const EXAMPLES: usize = 5;

/// The totals that one viewer was shown so far. Copies share them.
#[derive(Debug, Clone, Default)]
pub(in crate::exact) struct Shown {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    versions: BTreeMap<Topic, (u64, u64)>,
    totals: BTreeMap<Counter, i64>,
    updates: u64,
    steps_back: Vec<String>,
    went_back: u64,
}

impl Shown {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up what came. Within an era neither the version nor the size of any total goes back: every
    /// counter here is only ever added to in one direction.
    fn take(&self, view: TopicView) {
        let state = &mut *self.state();
        state.updates += 1;
        let version = (view.era, view.version);
        let before = state.versions.insert(view.topic.clone(), version);
        if before.is_some_and(|before| version < before) {
            state.complain(format!("{} from {before:?} to {version:?}", view.topic));
        }
        let is_same_era = before.is_some_and(|(era, _)| era == view.era);
        if !is_same_era {
            state.totals.retain(|counter, _| counter.topic != view.topic);
        }
        for (item, kinds) in view.counts {
            for (kind, total) in kinds {
                let counter = Counter { topic: view.topic.clone(), item: item.clone(), kind };
                let old = state.totals.insert(counter.clone(), total).unwrap_or(0);
                if total.unsigned_abs() < old.unsigned_abs() || total.signum() * old.signum() < 0 {
                    state.complain(format!("{} {item} from {old} to {total}", view.topic));
                }
            }
        }
    }

    /// The number of counters that differ from these totals, and one of them.
    pub(in crate::exact) fn differences(&self, totals: &BTreeMap<Counter, i64>) -> (usize, Option<String>) {
        let state = self.state();
        let is_shown = |(counter, total): &(&Counter, &i64)| state.totals.get(*counter) == Some(*total);
        let mut missing = totals.iter().filter(|entry| !is_shown(entry));
        let extra = state.totals.keys().filter(|counter| !totals.contains_key(*counter)).count();
        let first = missing.next();
        let example = first.map(|(counter, total)| {
            let shown = state.totals.get(counter);
            format!("{} {} is {total} and shown as {shown:?}", counter.topic, counter.item)
        });
        (usize::from(first.is_some()) + missing.count() + extra, example)
    }

    pub(in crate::exact) fn updates(&self) -> u64 {
        self.state().updates
    }

    /// The number of versions or totals that went back, and the first of them.
    pub(in crate::exact) fn steps_back(&self) -> (u64, Vec<String>) {
        let state = self.state();
        (state.went_back, state.steps_back.clone())
    }
}

impl State {
    fn complain(&mut self, step: String) {
        self.went_back += 1;
        if self.steps_back.len() < EXAMPLES {
            self.steps_back.push(step);
        }
    }
}

/// Watches all topics through a cluster found at `url`, until it is dropped.
pub(in crate::exact) async fn watch(
    run: Arc<Run>,
    number: u16,
    url: String,
    shown: Shown,
) -> Result<(), Failure> {
    let cluster = Cluster::discover(&url, None).await?;
    let mut viewer = Viewer::watch(cluster, run.catalogue.topics().to_vec());
    while let Some(view) = viewer.next().await {
        match view {
            Ok(view) => shown.take(view),
            Err(e) => run.remark(format!("viewer {number}: {e}")),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "viewers_tests.rs"]
mod tests;
