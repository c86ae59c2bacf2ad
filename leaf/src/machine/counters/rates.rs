//! Measures a leaf's load: events per second, and its busiest items.

use crate::machine::counters::heavy_hitters::HeavyHitters;
use crate::machine::counters::names::Names;
use crate::machine::counters::table::Window;
use countree_common::key::{Counter, Item, Topic};
use countree_common::time::Time;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(1);
/// Items shown.
const SHOWN: usize = 10;
/// Items watched over a period.
const WATCHED: usize = 256;

/// Counts over about a second, and keeps the last whole period's result.
#[derive(Debug)]
pub struct Rates {
    began: Time,
    events: u64,
    items: HeavyHitters<(Topic, Item)>,
    /// Events per second over the last period.
    pub events_per_s: f64,
    /// The busiest items of the last period, with events per second.
    pub hot_items: Vec<(Topic, Item, f64)>,
}

impl Default for Rates {
    fn default() -> Self {
        let items = HeavyHitters::new(WATCHED);
        Self { began: Time::default(), events: 0, items, events_per_s: 0.0, hot_items: Vec::new() }
    }
}

impl Rates {
    /// Takes a window's counts.
    pub fn note(&mut self, window: &Window, names: &Names) {
        self.events += window.events;
        for (counter, hits) in &window.busiest {
            if let Some(Counter { topic, item, .. }) = names.name(*counter).map(Counter::from) {
                self.items.add((topic, item), *hits);
            }
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
        let heaviest = self.items.take_heaviest(SHOWN).into_iter();
        self.hot_items = heaviest.map(|((topic, item), hits)| (topic, item, per_second(hits))).collect();
        self.events = 0;
        self.began = now;
    }
}
