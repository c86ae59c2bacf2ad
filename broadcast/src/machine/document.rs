//! One topic's latest document, and the version at which each of its counters last changed.

use countree_common::document::{CounterTotal, Snapshot, Update, Version};
use countree_common::key::{Item, Kind};
use countree_common::time::Time;
use std::collections::{HashMap, VecDeque};

/// Number of versions whose arrival times are kept, to tell how stale a delivery is.
const ARRIVALS: usize = 64;

/// The totals of a topic at its newest version known here.
///
/// It lists the changes since any version from `floor` on; a viewer at another version needs a snapshot.
#[derive(Debug)]
pub(super) struct Document {
    version: Version,
    /// The version of the era's first snapshot: changes before it are unknown.
    floor: Version,
    counters: Vec<CounterState>,
    /// Looked up, never iterated: its order is not fixed.
    index: HashMap<(Item, Kind), usize>,
    /// Changes in the order of their versions. An entry counts only while its counter still stands at
    /// that version; the others are swept out once they are the majority.
    recent: VecDeque<(Version, usize)>,
    /// The arrival times of the last few versions.
    arrivals: VecDeque<(Version, Time)>,
}

#[derive(Debug)]
struct CounterState {
    total: CounterTotal,
    changed: Version,
}

/// The relation of an update to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It brings the document forward.
    Next,
    /// The document is as new already.
    Old,
    /// An update between them is missing, or the era is another: only a snapshot helps.
    Gap,
}

impl Document {
    /// Makes a document from this snapshot.
    pub(super) fn new(snapshot: Snapshot, now: Time) -> Self {
        let version = snapshot.version;
        let mut document = Self {
            version,
            floor: version,
            counters: Vec::new(),
            index: HashMap::new(),
            recent: VecDeque::new(),
            arrivals: VecDeque::from([(version, now)]),
        };
        document.write(snapshot.totals);
        document.recent.clear();
        document
    }

    /// Returns the document's version.
    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Returns the number of counters.
    pub(super) fn counters(&self) -> usize {
        self.counters.len()
    }

    /// Whether the update fits. One from an older base fits too, since it holds every total that changed
    /// after that base; but not across eras, where equal numbers may stand for different totals.
    pub(super) fn fit(&self, update: &Update) -> Fit {
        let era = self.version.era;
        if update.version.era != era {
            Fit::Gap
        } else if update.version <= self.version {
            Fit::Old
        } else if update.base.era == era && update.base <= self.version {
            Fit::Next
        } else {
            Fit::Gap
        }
    }

    /// Brings the document forward to a newer version of the same era.
    pub(super) fn advance(&mut self, version: Version, totals: Vec<CounterTotal>, now: Time) {
        debug_assert!(version > self.version && version.era == self.version.era);
        self.version = version;
        if self.arrivals.len() == ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back((version, now));
        self.write(totals);
        self.sweep();
    }

    fn write(&mut self, totals: Vec<CounterTotal>) {
        let version = self.version;
        for total in totals {
            let at =
                *self.index.entry((total.item.clone(), total.kind.clone())).or_insert(self.counters.len());
            match self.counters.get_mut(at) {
                Some(counter) if counter.total.total == total.total => continue,
                Some(counter) => {
                    counter.total.total = total.total;
                    counter.changed = version;
                }
                None => self.counters.push(CounterState { total, changed: version }),
            }
            self.recent.push_back((version, at));
        }
    }

    fn sweep(&mut self) {
        if self.recent.len() > 2 * self.counters.len() + 64 {
            let counters = &self.counters;
            self.recent.retain(|(version, at)| counters.get(*at).is_some_and(|c| c.changed == *version));
        }
    }

    /// Whether the changes since `base` are known.
    pub(super) fn knows_since(&self, base: Version) -> bool {
        self.floor <= base && base <= self.version
    }

    /// Returns the counters that changed after `base`, the latest change first; each once.
    pub(super) fn changed_since(&self, base: Version) -> impl Iterator<Item = &CounterTotal> {
        let newer = self.recent.iter().rev().take_while(move |(version, _)| *version > base);
        newer.filter_map(|(version, at)| {
            let counter = self.counters.get(*at)?;
            (counter.changed == *version).then_some(&counter.total)
        })
    }

    /// Returns every counter, in the order of arrival.
    pub(super) fn totals(&self) -> impl Iterator<Item = &CounterTotal> {
        self.counters.iter().map(|c| &c.total)
    }

    /// Returns the arrival time of the first version after `base`, as far back as times are kept.
    pub(super) fn arrival_after(&self, base: Version) -> Option<Time> {
        self.arrivals.iter().find(|(version, _)| *version > base).map(|(_, at)| *at)
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
