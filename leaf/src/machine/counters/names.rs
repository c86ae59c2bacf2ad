//! Keeps the names of all counters that the leaf has to do with, each once, by dense ids. They share one run of text,
//! which is checked to be text once and for all: a counter costs its name, and some twenty bytes more.

use countree_common::indexed::{Indexed, spread};
use countree_common::key::{Counter, CounterName, Topic};
use countree_common::limits;
use countree_common::prefetch::prefetch;
use countree_common::wire::batch;
use hashbrown::HashTable;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// A counter's number.
pub type CounterId = u32;
/// A topic's number.
pub type TopicId = u32;

/// Topics that one leaf knows: it keeps each one's position for as long as it runs.
const TOPICS_PER_LEAF: usize = 4 << 20;
/// Names begin at multiples of this, so that 32 bits reach all of them.
const ALIGN: usize = 4;
/// Names that are prefetched together.
pub const PREFETCHED: usize = 32;
/// The most bytes that are hashed of a counter: its item and kind, with their lengths.
const NAME_BYTES: usize = 2 + limits::ITEM_BYTES + limits::KIND_BYTES;

/// A counter's topic, and the place of its name in the text; takes twelve bytes.
#[derive(Debug, Clone, Copy)]
struct NameEntry {
    /// [`FREE`] while the id is not in use.
    topic: TopicId,
    /// The start of its name, in units of [`ALIGN`].
    at: u32,
    item_bytes: u8,
    kind_bytes: u8,
}

/// The topic of an id that is not in use.
const FREE: TopicId = TopicId::MAX;
const _: () = assert!(TOPICS_PER_LEAF < FREE as usize);
const _: () = assert!(limits::ITEM_BYTES <= u8::MAX as usize);
const _: () = assert!(limits::KIND_BYTES <= u8::MAX as usize);

impl NameEntry {
    fn topic(&self) -> Option<TopicId> {
        (self.topic != FREE).then_some(self.topic)
    }

    /// Its item and kind in the text.
    fn names<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let begin = self.at as usize * ALIGN;
        let middle = begin + usize::from(self.item_bytes);
        Some((text.get(begin..middle)?, text.get(middle..middle + usize::from(self.kind_bytes))?))
    }
}

/// Every name that is in use.
#[derive(Debug, Default)]
pub struct Names {
    counters: Vec<NameEntry>,
    free: Vec<CounterId>,
    index: HashTable<Indexed<CounterId>>,
    /// Each counter's item and kind.
    text: String,
    topics: Vec<Topic>,
    topic_index: HashTable<Indexed<TopicId>>,
}

impl Names {
    /// The number of counters that have a name.
    pub fn counters(&self) -> usize {
        self.index.len()
    }

    /// Ids are below this.
    pub fn ids(&self) -> usize {
        self.counters.len()
    }

    /// Whether `more` counters fit, each perhaps of a new topic.
    pub fn has_room(&self, more: usize) -> bool {
        self.counters() + more <= limits::COUNTERS_PER_LEAF && self.topics.len() + more <= TOPICS_PER_LEAF
    }

    /// The ids of these counters, in their order; those that have none get one.
    pub fn intern_all(&mut self, names: &[CounterName<'_>], mut each: impl FnMut(CounterId)) {
        for names in names.chunks(PREFETCHED) {
            let mut slots = [(0, 0); PREFETCHED];
            for (slot, name) in slots.iter_mut().zip(names) {
                *slot = self.place(*name);
            }
            let likely = |(_, hash): &(TopicId, u32)| self.index.find(spread(*hash), |i| i.hash == *hash);
            self.prefetch(slots.iter().take(names.len()).filter_map(likely).map(|i| i.id));
            names.iter().zip(slots).for_each(|(name, slot)| each(self.intern_at(*name, slot)));
        }
    }

    /// The counter's id; it gets one if it has none.
    pub fn intern(&mut self, name: CounterName<'_>) -> CounterId {
        let place = self.place(name);
        self.intern_at(name, place)
    }

    /// The counter's topic, and the hash that the index has it under.
    fn place(&mut self, name: CounterName<'_>) -> (TopicId, u32) {
        let topic = self.number_topic(name.topic, || Counter::from(name).topic);
        let mut buffer = [0; NAME_BYTES];
        (topic, xxh3_64_with_seed(pack(name, &mut buffer), u64::from(topic)) as u32)
    }

    fn intern_at(&mut self, name: CounterName<'_>, (topic, hash): (TopicId, u32)) -> CounterId {
        let (counters, text) = (&self.counters, &self.text);
        let is_it = |found: &Indexed<CounterId>| {
            let entry = counters[found.id as usize];
            found.hash == hash && entry.topic == topic && entry.names(text) == Some((name.item, name.kind))
        };
        if let Some(found) = self.index.find(spread(hash), is_it) {
            return found.id;
        }
        let CounterName { item, kind, .. } = name;
        let at = append(&mut self.text, &[item, kind]);
        let entry = NameEntry { topic, at, item_bytes: item.len() as u8, kind_bytes: kind.len() as u8 };
        let id = if let Some(id) = self.free.pop() {
            self.counters[id as usize] = entry;
            id
        } else {
            self.counters.push(entry);
            (self.counters.len() - 1) as CounterId
        };
        self.index.insert_unique(spread(hash), Indexed { hash, id }, Indexed::spread);
        id
    }

    /// The topic's id; it gets one if it has none.
    pub fn intern_topic(&mut self, topic: &Topic) -> TopicId {
        self.number_topic(topic.as_str(), || topic.clone())
    }

    fn number_topic(&mut self, name: &str, topic: impl FnOnce() -> Topic) -> TopicId {
        let hash = topic_hash(name);
        if let Some(id) = self.find_topic(hash, name) {
            return id;
        }
        let id = self.topics.len() as TopicId;
        self.topics.push(topic());
        self.topic_index.insert_unique(spread(hash), Indexed { hash, id }, Indexed::spread);
        id
    }

    fn find_topic(&self, hash: u32, topic: &str) -> Option<TopicId> {
        let is_it =
            |found: &Indexed<TopicId>| found.hash == hash && self.topics[found.id as usize].as_str() == topic;
        self.topic_index.find(spread(hash), is_it).map(|found| found.id)
    }

    /// The topic's id, if it has one.
    pub fn topic_id(&self, topic: &Topic) -> Option<TopicId> {
        self.find_topic(topic_hash(topic.as_str()), topic.as_str())
    }

    /// A topic by its id.
    pub fn topic(&self, id: TopicId) -> &Topic {
        &self.topics[id as usize]
    }

    /// The topic of a counter.
    pub fn topic_of(&self, id: CounterId) -> Option<TopicId> {
        self.counters.get(id as usize)?.topic()
    }

    /// A counter's item and kind.
    pub fn item_and_kind(&self, id: CounterId) -> Option<(&str, &str)> {
        self.counters.get(id as usize)?.names(&self.text)
    }

    /// Prefetches the names of these counters.
    pub fn prefetch(&self, ids: impl Iterator<Item = CounterId> + Clone) {
        let text = self.text.as_bytes();
        let begins = ids.filter_map(|id| Some(self.counters.get(id as usize)?.at));
        prefetch(begins.clone());
        prefetch(begins.filter_map(|at| Some(u32::from(*text.get(at as usize * ALIGN)?))));
    }

    /// A counter's whole name.
    pub fn name(&self, id: CounterId) -> Option<CounterName<'_>> {
        let (item, kind) = self.item_and_kind(id)?;
        Some(CounterName { topic: self.topic(self.topic_of(id)?).as_str(), item, kind })
    }

    /// Defines these ids, in the form of [`crate::log::record::Record::Batch`].
    pub fn define(&self, ids: &[CounterId]) -> Vec<u8> {
        let mut definitions = Vec::new();
        for ids in ids.chunks(PREFETCHED) {
            self.prefetch(ids.iter().copied());
            for (id, name) in ids.iter().filter_map(|id| Some((id, self.name(*id)?))) {
                definitions.extend_from_slice(&id.to_le_bytes());
                batch::put_name(name, &mut definitions);
            }
        }
        definitions
    }

    /// Forgets every counter that is not marked; its id may come to mean another.
    pub fn keep(&mut self, used: &Marks) {
        let (counters, free) = (&mut self.counters, &mut self.free);
        self.index.retain(|indexed| {
            let stays = used.has(indexed.id);
            if !stays {
                counters[indexed.id as usize].topic = FREE;
                free.push(indexed.id);
            }
            stays
        });
        let mut text = String::with_capacity(self.text.len() / 2);
        for entry in counters.iter_mut().filter(|entry| entry.topic != FREE) {
            let (item, kind) = entry.names(&self.text).unwrap_or_default();
            entry.at = append(&mut text, &[item, kind]);
        }
        self.text = text;
    }
}

fn topic_hash(topic: &str) -> u32 {
    xxh3_64(topic.as_bytes()) as u32
}

/// Appends a name, and says where it begins in units of [`ALIGN`].
fn append(text: &mut String, name: &[&str]) -> u32 {
    while !text.len().is_multiple_of(ALIGN) {
        text.push(' ');
    }
    let at = (text.len() / ALIGN) as u32;
    text.extend(name.iter().copied());
    at
}

fn pack<'a>(name: CounterName<'_>, buffer: &'a mut [u8; NAME_BYTES]) -> &'a [u8] {
    let (item, kind) = (name.item.as_bytes(), name.kind.as_bytes());
    let end = 2 + item.len();
    buffer[..2].copy_from_slice(&[item.len() as u8, kind.len() as u8]);
    buffer[2..end].copy_from_slice(item);
    buffer[end..end + kind.len()].copy_from_slice(kind);
    &buffer[..end + kind.len()]
}

/// Marks the counters that are in use.
#[derive(Debug)]
pub struct Marks(Vec<bool>);

impl Marks {
    /// Marks nothing yet.
    pub fn none(names: &Names) -> Self {
        Self(vec![false; names.ids()])
    }

    /// Marks these counters.
    pub fn mark(&mut self, counters: impl IntoIterator<Item = CounterId>) {
        for id in counters {
            if let Some(mark) = self.0.get_mut(id as usize) {
                *mark = true;
            }
        }
    }

    /// Whether this counter is marked.
    pub fn has(&self, id: CounterId) -> bool {
        self.0.get(id as usize).is_some_and(|mark| *mark)
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
