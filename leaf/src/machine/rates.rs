//! What a leaf says of its load: events per second, and its busiest items.

use super::table::ItemHits;
use countree_common::key::{Item, Topic};
use countree_common::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(1);
/// Items shown.
const SHOWN: usize = 10;

/// Counts over about a second, and keeps the last whole period's result.
#[derive(Debug, Default)]
pub struct Rates {
    began: Time,
    events: u64,
    items: BTreeMap<(Topic, Item), u64>,
    /// Events per second over the last period.
    pub events_per_s: f64,
    /// The busiest items of the last period, with events per second.
    pub hot_items: Vec<(Topic, Item, f64)>,
}

impl Rates {
    /// Takes a window's counts.
    pub fn note(&mut self, events: u64, busiest: Vec<ItemHits>) {
        self.events += events;
        for ItemHits { topic, item, hits } in busiest {
            *self.items.entry((topic, item)).or_default() += hits;
        }
    }

    /// Ends the period when it is over.
    pub fn handle_time(&mut self, now: Time) {
        let elapsed = now.since(self.began);
        if elapsed < PERIOD {
            return;
        }
        let per_second = |count: u64| count as f64 / elapsed.as_secs_f64();
        self.events_per_s = per_second(self.events);
        let mut items: Vec<_> = std::mem::take(&mut self.items).into_iter().collect();
        items.sort_by_key(|(_, hits)| std::cmp::Reverse(*hits));
        items.truncate(SHOWN);
        self.hot_items =
            items.into_iter().map(|((topic, item), hits)| (topic, item, per_second(hits))).collect();
        self.events = 0;
        self.began = now;
    }
}
