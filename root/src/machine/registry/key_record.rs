//! The leaves that remember idempotency keys, and those that did, as the registry keeps them.
//!
//! A key's owner asks those that owned it before, so what is recorded here has to be whole. Whatever is dropped moves
//! [`KeyHistory::whole_from`]: nobody can judge keys of the time before that.

use countree_common::cluster::{KeyHistory, NodeName, PastOwners};
use countree_common::limits::KEY_HISTORY;
use countree_common::time::WallMs;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The record reaches back at least this far, if there is room: the longest horizon that a leaf may be given.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Says that nothing is known of the time before the next change.
const UNKNOWN: WallMs = WallMs(u64::MAX);

/// The record of keys, beside the leaves that live or are away.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct KeyRecord {
    /// Leaves that have left with their keys, since there was nobody to take them.
    keepers: BTreeMap<NodeName, WallMs>,
    past: Vec<PastOwners>,
    lost: Vec<(NodeName, WallMs)>,
    whole_from: WallMs,
}

impl KeyRecord {
    /// The record of a registry that was saved before there were records.
    pub(super) fn begun_late() -> Self {
        Self { whole_from: UNKNOWN, ..Self::default() }
    }

    /// The leaves that the ring of keys is made of, `present` among them.
    pub(super) fn owners(&self, present: BTreeSet<NodeName>) -> BTreeSet<NodeName> {
        present.into_iter().chain(self.keepers.keys().cloned()).collect()
    }

    /// The latest time that it speaks of.
    pub(super) fn latest(&self) -> WallMs {
        let times = self.past.iter().map(|past| past.until).chain(self.lost.iter().map(|(_, at)| *at));
        let times = times.chain(self.keepers.values().copied()).chain([self.whole_from]);
        times.filter(|at| *at != UNKNOWN).max().unwrap_or_default()
    }

    /// A leaf keeps its keys while it is gone.
    pub(super) fn keep(&mut self, leaf: &NodeName, now: WallMs) {
        self.keepers.insert(leaf.clone(), now);
    }

    /// Whether a leaf is gone and has kept its keys.
    pub(super) fn is_keeper(&self, leaf: &NodeName) -> bool {
        self.keepers.contains_key(leaf)
    }

    /// A leaf is back, or has handed its keys over.
    pub(super) fn release(&mut self, leaf: &NodeName) {
        self.keepers.remove(leaf);
    }

    /// A leaf has lost what it remembered, or is given up with all of it.
    pub(super) fn lose(&mut self, leaf: &NodeName, now: WallMs) {
        self.keepers.remove(leaf);
        self.lost.retain(|(name, _)| name != leaf);
        self.lost.insert(0, (leaf.clone(), now));
    }

    /// From now on the record is whole, if it was not before.
    pub(super) fn begin(&mut self, now: WallMs) {
        if self.whole_from == UNKNOWN {
            self.whole_from = now;
        }
    }

    /// The owners are others than `before`, from now on.
    pub(super) fn succeed(&mut self, before: BTreeSet<NodeName>, now: WallMs) {
        if !before.is_empty() {
            self.past.insert(0, PastOwners { until: now, owners: before.into_iter().collect() });
        }
        self.prune(now);
    }

    fn prune(&mut self, now: WallMs) {
        let is_old = |at: WallMs| now.since(at) > KEPT;
        let past = self.past.iter().take(KEY_HISTORY).take_while(|past| !is_old(past.until)).count();
        let lost = self.lost.iter().take(KEY_HISTORY).take_while(|(_, at)| !is_old(*at)).count();
        let dropped = self.past.drain(past..).map(|past| past.until);
        let whole_from = dropped.chain(self.lost.drain(lost..).map(|(_, at)| at)).max();
        self.whole_from = self.whole_from.max(whole_from.unwrap_or_default());
        self.keepers.retain(|_, since| !is_old(*since));
    }

    /// The record as the view shows it.
    pub(super) fn history(&self, owners: BTreeSet<NodeName>) -> KeyHistory {
        let Self { past, lost, whole_from, .. } = self.clone();
        KeyHistory { owners: owners.into_iter().collect(), past, lost, whole_from }
    }
}
