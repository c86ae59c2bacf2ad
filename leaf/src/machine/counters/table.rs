//! Sums every counter's gain in the open window: the one structure that every event touches.

use crate::machine::counters::names::{CounterId, Marks, Names, TopicId};
use crate::machine::counters::pending::Sum;
use countree_common::key::{CounterName, Topic};
use countree_common::limits;
use countree_common::prefetch::prefetch;
use countree_common::wire::batch;

/// The entry of one counter. Small, so that many share the cache.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    sum: i64,
    hits: u32,
    /// The last log segment that says what its id means.
    segment: u32,
}

/// A topic's sums of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSums {
    /// The topic.
    pub topic: TopicId,
    /// Σδ per counter that had events.
    pub sums: Vec<Sum>,
    /// The number of events.
    pub events: u64,
}

/// The most of a window's busiest counters that are kept.
const BUSIEST: usize = 10;

/// A window's sums, taken out of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Per topic that had events.
    pub topics: Vec<TopicSums>,
    /// The number of events in all.
    pub events: u64,
    /// Σ|δ| in all, which bounds any sum.
    pub volume: u64,
    /// The counters with the most events, busiest first, with how many.
    pub busiest: Vec<(CounterId, u64)>,
}

/// All counters' names, and their sums over the open window.
#[derive(Debug, Default)]
pub struct Table {
    names: Names,
    cells: Vec<Cell>,
    /// Counters with their first event of the window, not in their topic's list yet.
    touched: Vec<CounterId>,
    /// Each topic's counters with events in the window.
    changed: Vec<Vec<CounterId>>,
    changed_topics: Vec<TopicId>,
    events: u64,
    volume: u64,
    largest_topic: usize,
}

impl Table {
    /// The names of the counters and topics.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The counter's id; it gets one if it has none.
    pub fn intern<'a>(&mut self, name: impl Into<CounterName<'a>>) -> CounterId {
        let id = self.names.intern(name.into());
        self.grow();
        id
    }

    /// Gives the ids of many counters, in their order; those that have none get one.
    pub fn intern_all(&mut self, names: &[CounterName<'_>], each: impl FnMut(CounterId)) {
        self.names.intern_all(names, each);
        self.grow();
    }

    fn grow(&mut self) {
        if self.cells.len() < self.names.ids() {
            self.cells.resize(self.names.ids(), Cell::default());
        }
    }

    /// The topic's id; it gets one if it has none.
    pub fn intern_topic(&mut self, topic: &Topic) -> TopicId {
        self.names.intern_topic(topic)
    }

    /// Events in the open window.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Σ|δ| in the open window.
    pub fn volume(&self) -> u64 {
        self.volume
    }

    /// Whether a topic has changed in too many counters, and the window should end.
    pub fn is_window_full(&self) -> bool {
        self.largest_topic >= limits::WINDOW_COUNTERS_PER_TOPIC
    }

    /// Brings the cells of these events' counters into the cache.
    pub fn prefetch(&self, words: &[u8]) {
        prefetch(batch::likely_ids(words).filter_map(|id| Some(self.cells.get(id as usize)?.segment)));
    }

    /// Says what these ids mean, where the log segment has not said so yet.
    pub fn define(&mut self, ids: impl Iterator<Item = CounterId>, segment: u32) -> Vec<u8> {
        let mut undefined = Vec::new();
        for id in ids {
            if let Some(cell) = self.cells.get_mut(id as usize)
                && cell.segment != segment
            {
                cell.segment = segment;
                undefined.push(id);
            }
        }
        self.names.define(&undefined)
    }

    /// Counts events that weigh `volume`, which the caller has bounded, so that no sum can overflow.
    pub fn add(&mut self, events: impl Iterator<Item = (CounterId, i64)>, volume: u64) {
        for (id, delta) in events {
            let Some(cell) = self.cells.get_mut(id as usize) else { continue };
            cell.sum += delta;
            cell.hits += 1;
            self.events += 1;
            if cell.hits == 1 {
                self.touched.push(id);
            }
        }
        self.volume += volume;
        self.list_touched();
    }

    fn list_touched(&mut self) {
        prefetch(self.touched.iter().filter_map(|id| self.names.topic_of(*id)));
        for id in self.touched.drain(..) {
            let Some(topic) = self.names.topic_of(id) else { continue };
            if self.changed.len() <= topic as usize {
                self.changed.resize(topic as usize + 1, Vec::new());
            }
            let changed = &mut self.changed[topic as usize];
            if changed.is_empty() {
                self.changed_topics.push(topic);
            }
            changed.push(id);
            self.largest_topic = self.largest_topic.max(changed.len());
        }
    }

    /// Ends the window: takes its sums out and leaves zeros.
    pub fn take_window(&mut self) -> Window {
        let mut window = Window {
            topics: Vec::with_capacity(self.changed_topics.len()),
            events: std::mem::take(&mut self.events),
            volume: std::mem::take(&mut self.volume),
            busiest: Vec::new(),
        };
        for topic in self.changed_topics.drain(..) {
            let changed = &mut self.changed[topic as usize];
            window.topics.push(take_sums(&mut self.cells, topic, changed, &mut window.busiest));
        }
        self.largest_topic = 0;
        window
    }

    /// Takes one topic's sums out of the open window, which goes on without them.
    pub fn take_topic(&mut self, topic: TopicId) -> Option<Window> {
        let changed = self.changed.get_mut(topic as usize).filter(|changed| !changed.is_empty())?;
        self.changed_topics.retain(|other| *other != topic);
        let mut busiest = Vec::new();
        let of_topic = take_sums(&mut self.cells, topic, changed, &mut busiest);
        self.events -= of_topic.events;
        // The window's own volume stays: it bounds its sums all the same.
        let volume = of_topic.sums.iter().fold(0u64, |v, sum| v.saturating_add(sum.delta.unsigned_abs()));
        Some(Window { events: of_topic.events, topics: vec![of_topic], volume, busiest })
    }

    /// Forgets every counter that neither is marked nor has events in the open window.
    pub fn keep(&mut self, mut used: Marks) {
        used.mark(self.changed_topics.iter().flat_map(|topic| &self.changed[*topic as usize]).copied());
        self.names.keep(&used);
        for (id, cell) in (0..).zip(&mut self.cells) {
            if !used.has(id) {
                *cell = Cell::default();
            }
        }
    }
}

/// Takes out a topic's sums, and leaves zeros.
fn take_sums(
    cells: &mut [Cell],
    topic: TopicId,
    changed: &mut Vec<CounterId>,
    busiest: &mut Vec<(CounterId, u64)>,
) -> TopicSums {
    prefetch(changed.iter().map(|counter| cells[*counter as usize].hits));
    let mut of_topic = TopicSums { topic, sums: Vec::with_capacity(changed.len()), events: 0 };
    for counter in changed.drain(..) {
        let cell = &mut cells[counter as usize];
        let Cell { sum, hits, segment } = *cell;
        *cell = Cell { segment, ..Cell::default() };
        of_topic.sums.push(Sum { counter, delta: sum });
        of_topic.events += u64::from(hits);
        keep_busiest(busiest, counter, u64::from(hits));
    }
    of_topic
}

/// Keeps the list sorted, busiest first, and short.
fn keep_busiest(busiest: &mut Vec<(CounterId, u64)>, counter: CounterId, hits: u64) {
    if busiest.len() == BUSIEST && busiest.last().is_some_and(|(_, least)| *least >= hits) {
        return;
    }
    busiest.truncate(BUSIEST - 1);
    let at = busiest.partition_point(|(_, more)| *more >= hits);
    busiest.insert(at, (counter, hits));
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
