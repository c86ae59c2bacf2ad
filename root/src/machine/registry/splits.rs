//! Decides which hot items are split over several leaves.
//!
//! An item that takes more than a [share](SHARE) of one leaf's capacity is split over as many leaves as it takes to
//! keep each part within that share. Splits grow at once and shrink slowly, one step after another: every change is an
//! epoch, and an item that comes and goes must not cost the cluster one each time.

use countree_common::cluster::{ClusterView, NodeName, Split, Tier};
use countree_common::key::{Item, Topic};
use countree_common::limits::SPLITS_PER_CLUSTER;
use countree_common::time::Time;
use countree_common::wire::rpc::NodeStats;
use std::collections::BTreeMap;
use std::time::Duration;

/// No part of an item is to take more than this share of a leaf's capacity.
pub const SHARE: f64 = 0.2;
/// A split shrinks only when fewer leaves would do with this much to spare …
pub const SLACK: f64 = 0.5;
/// … for this long.
pub const COOLING: Duration = Duration::from_secs(30);

type ItemKey = (Topic, Item);

/// Decides how items are split, from what leaves say of themselves.
#[derive(Debug, Default)]
pub struct Splits {
    /// The time since which fewer ways would do, by item.
    cooling: BTreeMap<ItemKey, Time>,
}

impl Splits {
    /// Takes what the leaves last said, about once a second; returns the splits that are to be, if they are not
    /// those of the view.
    pub fn handle_stats(
        &mut self,
        view: &ClusterView,
        stats: &BTreeMap<NodeName, NodeStats>,
        now: Time,
    ) -> Option<Vec<Split>> {
        let leaves: Vec<_> = view.tier(Tier::Leaf).map(|leaf| stats.get(&leaf.name)).collect();
        let heard: Vec<_> = leaves.iter().copied().flatten().collect();
        // A leaf that has not been heard may carry anything.
        let is_whole = heard.len() == leaves.len();
        let capacity = heard.iter().map(|stats| stats.capacity).filter(|capacity| *capacity > 0.0);
        let share = SHARE * capacity.reduce(f64::min)?;
        let rates = rates(&heard);
        let most = u16::try_from(leaves.len()).unwrap_or(u16::MAX);

        let mut wanted = BTreeMap::new();
        for (key, rate) in &rates {
            let ways = ways_for(*rate, share, most);
            if ways > 1 {
                wanted.insert(key.clone(), ways);
            }
        }
        for split in &view.splits {
            let key = (split.topic.clone(), split.item.clone());
            let rate = rates.get(&key).copied().unwrap_or_default();
            let cooled = if is_whole { ways_for(rate, share * SLACK, most) } else { split.ways };
            let ways = self.shrunk(&key, split.ways.min(most), cooled, now);
            let grown = wanted.remove(&key).unwrap_or(1).max(ways);
            if grown > 1 {
                wanted.insert(key, grown);
            }
        }
        self.cooling.retain(|key, _| wanted.contains_key(key));
        let splits = hottest(wanted, &rates);
        (splits != view.splits).then_some(splits)
    }

    /// The new number of ways, when there are `present` and `enough` would do.
    fn shrunk(&mut self, key: &ItemKey, present: u16, enough: u16, now: Time) -> u16 {
        if enough >= present {
            self.cooling.remove(key);
            return present;
        }
        let since = *self.cooling.entry(key.clone()).or_insert(now);
        if now.since(since) < COOLING {
            return present;
        }
        self.cooling.remove(key);
        enough.max(present / 2)
    }
}

/// Events per second of each item that any leaf finds hot, over all of them.
fn rates(heard: &[&NodeStats]) -> BTreeMap<ItemKey, f64> {
    let mut rates = BTreeMap::new();
    for (topic, item, rate) in heard.iter().flat_map(|stats| &stats.hot_items) {
        *rates.entry((topic.clone(), item.clone())).or_default() += rate;
    }
    rates
}

/// The least power of two, or all leaves, that keeps each part within `share`.
fn ways_for(rate: f64, share: f64, most: u16) -> u16 {
    let mut ways = 1;
    while ways < most && rate > share * f64::from(ways) {
        ways = most.min(ways * 2);
    }
    ways
}

/// The hottest splits, as many as a cluster may have, by topic and item.
fn hottest(wanted: BTreeMap<ItemKey, u16>, rates: &BTreeMap<ItemKey, f64>) -> Vec<Split> {
    let mut wanted: Vec<_> = wanted.into_iter().collect();
    if wanted.len() > SPLITS_PER_CLUSTER {
        let rate = |key: &ItemKey| rates.get(key).copied().unwrap_or_default();
        wanted.sort_by(|(a, _), (b, _)| rate(b).total_cmp(&rate(a)));
        wanted.truncate(SPLITS_PER_CLUSTER);
        wanted.sort();
    }
    wanted.into_iter().map(|((topic, item), ways)| Split { topic, item, ways }).collect()
}

#[cfg(test)]
#[path = "splits_tests.rs"]
mod tests;
