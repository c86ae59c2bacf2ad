//! The counters that a leaf sums for, by dense ids: the one structure that every event touches.

use countree_common::cut::CounterSum;
use countree_common::key::{Counter, Item, Kind, Topic};
use countree_common::limits;
use hashbrown::HashTable;
use xxhash_rust::xxh3::Xxh3;

/// A counter's place in the table.
pub type CounterId = u32;
/// A topic's place in the table.
type TopicId = u32;

/// What the open window holds for one counter. Small, so that many share the cache.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    sum: i64,
    hits: u32,
    topic: TopicId,
}

#[derive(Debug)]
struct CounterName {
    item: Item,
    kind: Kind,
}

#[derive(Debug)]
struct TopicEntry {
    name: Topic,
    counters: u32,
    changed: u32,
}

/// A topic's sums of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSums {
    /// The topic.
    pub topic: Topic,
    /// Σδ per counter that had events.
    pub sums: Vec<CounterSum>,
    /// How many events.
    pub events: u64,
}

/// An item's events in one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemHits {
    /// The topic.
    pub topic: Topic,
    /// The item.
    pub item: Item,
    /// How many events.
    pub hits: u64,
}

/// How many of a window's busiest items are kept.
const BUSIEST: usize = 10;

/// A window's sums, taken out of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Per topic, in the order of the table.
    pub topics: Vec<TopicSums>,
    /// How many events in all.
    pub events: u64,
    /// Σ|δ| in all, which bounds any sum.
    pub volume: u64,
    /// The items with the most events, busiest first.
    pub busiest: Vec<ItemHits>,
}

/// Interned counters, and their sums over the open window.
#[derive(Debug, Default)]
pub struct Table {
    slots: Vec<Slot>,
    names: Vec<Option<CounterName>>,
    index: HashTable<CounterId>,
    free: Vec<CounterId>,
    topics: Vec<Option<TopicEntry>>,
    topic_index: HashTable<TopicId>,
    free_topics: Vec<TopicId>,
    touched: Vec<CounterId>,
    events: u64,
    volume: u64,
    largest_topic: u32,
    generation: u32,
}

fn topic_hash(topic: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(topic.as_bytes())
}

fn counter_hash(topic: TopicId, item: &str, kind: &str) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&topic.to_le_bytes());
    hash.update(item.as_bytes());
    hash.update(&[0xff]);
    hash.update(kind.as_bytes());
    hash.digest()
}

impl Table {
    /// Changes whenever ids may have changed their meaning: ids from an older generation are to be interned again.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// How many counters it holds.
    pub fn counters(&self) -> usize {
        self.index.len()
    }

    /// Whether another counter fits.
    pub fn has_room(&self, more: usize) -> bool {
        self.index.len() + more <= limits::COUNTERS_PER_LEAF
    }

    /// Events in the open window.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Σ|δ| in the open window.
    pub fn volume(&self) -> u64 {
        self.volume
    }

    /// Whether a topic has changed in so many counters that the window should end.
    pub fn is_window_full(&self) -> bool {
        self.largest_topic as usize >= limits::WINDOW_COUNTERS_PER_TOPIC
    }

    /// The counter's id; it gets one if it has none.
    pub fn intern(&mut self, counter: &Counter) -> CounterId {
        let topic = self.intern_topic(&counter.topic);
        let (item, kind) = (counter.item.as_str(), counter.kind.as_str());
        let hash = counter_hash(topic, item, kind);
        let (slots, names) = (&self.slots, &self.names);
        let is_it = |id: &CounterId| {
            let name = names[*id as usize].as_ref();
            slots[*id as usize].topic == topic
                && name.is_some_and(|n| n.item.as_str() == item && n.kind.as_str() == kind)
        };
        if let Some(id) = self.index.find(hash, is_it) {
            return *id;
        }
        let slot = Slot { topic, ..Slot::default() };
        let name = Some(CounterName { item: counter.item.clone(), kind: counter.kind.clone() });
        let id = if let Some(id) = self.free.pop() {
            self.slots[id as usize] = slot;
            self.names[id as usize] = name;
            id
        } else {
            self.slots.push(slot);
            self.names.push(name);
            (self.slots.len() - 1) as CounterId
        };
        if let Some(entry) = &mut self.topics[topic as usize] {
            entry.counters += 1;
        }
        let (slots, names) = (&self.slots, &self.names);
        self.index.insert_unique(hash, id, |id| {
            let name = names[*id as usize].as_ref();
            name.map_or(0, |n| counter_hash(slots[*id as usize].topic, n.item.as_str(), n.kind.as_str()))
        });
        id
    }

    fn intern_topic(&mut self, topic: &Topic) -> TopicId {
        let topics = &self.topics;
        let name = |id: &TopicId| topics[*id as usize].as_ref().map_or("", |t| t.name.as_str());
        let hash = topic_hash(topic.as_str());
        if let Some(id) = self.topic_index.find(hash, |id| name(id) == topic.as_str()) {
            return *id;
        }
        let entry = Some(TopicEntry { name: topic.clone(), counters: 0, changed: 0 });
        let id = if let Some(id) = self.free_topics.pop() {
            self.topics[id as usize] = entry;
            id
        } else {
            self.topics.push(entry);
            (self.topics.len() - 1) as TopicId
        };
        let topics = &self.topics;
        let name = |id: &TopicId| topics[*id as usize].as_ref().map_or("", |t| t.name.as_str());
        self.topic_index.insert_unique(hash, id, |id| topic_hash(name(id)));
        id
    }

    /// Counts one event. The caller has bounded Σ|δ|, so that no sum can overflow.
    #[inline]
    pub fn add(&mut self, id: CounterId, delta: i64) {
        let Some(slot) = self.slots.get_mut(id as usize) else { return };
        slot.sum += delta;
        slot.hits += 1;
        if slot.hits == 1 {
            self.touched.push(id);
            if let Some(Some(topic)) = self.topics.get_mut(slot.topic as usize) {
                topic.changed += 1;
                self.largest_topic = self.largest_topic.max(topic.changed);
            }
        }
    }

    /// Notes how much a batch that was added weighs.
    pub fn note_batch(&mut self, events: u64, volume: u64) {
        self.events += events;
        self.volume += volume;
    }

    /// Ends the window: takes its sums out and leaves zeros.
    pub fn take_window(&mut self) -> Window {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable_by_key(|id| (self.slots[*id as usize].topic, *id));
        let mut window = Window {
            topics: Vec::new(),
            events: std::mem::take(&mut self.events),
            volume: std::mem::take(&mut self.volume),
            busiest: Vec::new(),
        };
        let mut current = None;
        for id in &touched {
            let slot = &mut self.slots[*id as usize];
            let Slot { sum, hits, topic } =
                std::mem::replace(slot, Slot { topic: slot.topic, ..Slot::default() });
            let (Some(name), Some(entry)) = (&self.names[*id as usize], &mut self.topics[topic as usize])
            else {
                continue;
            };
            if current != Some(topic) {
                let sums = Vec::with_capacity(entry.changed as usize);
                entry.changed = 0;
                window.topics.push(TopicSums { topic: entry.name.clone(), sums, events: 0 });
                current = Some(topic);
            }
            let Some(of_topic) = window.topics.last_mut() else { continue };
            of_topic.events += u64::from(hits);
            of_topic.sums.push(CounterSum { item: name.item.clone(), kind: name.kind.clone(), delta: sum });
            keep_busiest(&mut window.busiest, &entry.name, &name.item, u64::from(hits));
        }
        self.largest_topic = 0;
        touched.clear();
        self.touched = touched;
        window
    }

    /// Forgets every counter without events in the open window, if the table is so full that it must.
    /// Meant for the moment right after a window was taken, when that is most of them.
    pub fn compact_if_full(&mut self) -> bool {
        if self.index.len() < limits::COUNTERS_PER_LEAF / 4 * 3 {
            return false;
        }
        self.generation += 1;
        let (slots, names, topics) = (&self.slots, &mut self.names, &mut self.topics);
        let (free, free_topics) = (&mut self.free, &mut self.free_topics);
        self.index.retain(|id| {
            let slot = slots[*id as usize];
            let keep = slot.hits > 0;
            if !keep {
                names[*id as usize] = None;
                free.push(*id);
                if let Some(topic) = &mut topics[slot.topic as usize] {
                    topic.counters -= 1;
                }
            }
            keep
        });
        self.topic_index.retain(|id| {
            let keep = topics[*id as usize].as_ref().is_some_and(|t| t.counters > 0);
            if !keep {
                topics[*id as usize] = None;
                free_topics.push(*id);
            }
            keep
        });
        true
    }
}

/// Keeps the list sorted, busiest first, and short.
fn keep_busiest(busiest: &mut Vec<ItemHits>, topic: &Topic, item: &Item, hits: u64) {
    if busiest.len() == BUSIEST && busiest.last().is_some_and(|b| b.hits >= hits) {
        return;
    }
    busiest.truncate(BUSIEST - 1);
    let at = busiest.partition_point(|b| b.hits >= hits);
    busiest.insert(at, ItemHits { topic: topic.clone(), item: item.clone(), hits });
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
