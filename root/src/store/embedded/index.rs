//! Numbers the counters of a topic. Numbers are given in the order of arrival, so that counters that are busy at the
//! same time lie side by side in the file: a merge touches few pages, however many counters the topic has.

use super::failure::failed;
use super::layout::of_topic;
use super::name::pack;
use crate::machine::documents::generations::Generations;
use crate::store::StoreError;
use countree_common::cut::CounterSum;
use countree_common::indexed::{Indexed, spread};
use countree_common::key::Topic;
use countree_common::prefetch::prefetch;
use hashbrown::{DefaultHashBuilder, HashTable};
use redb::{ReadableTable, Table};
use std::hash::BuildHasher;

/// Counters whose numbers are held, some 50 bytes each. Beyond it the numbers of the topics that were not merged into
/// for longest are dropped, and read again with their next merge.
pub(super) const NUMBERS_HELD: usize = 16 << 20;
/// Counters that are looked for together.
pub(super) const NEAR: usize = 32;
/// The weight of a topic by itself, in counters.
const TOPIC_WEIGHT: usize = 8;

/// One topic's numbers, all of them.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Names, one after another by number.
    names: Vec<u8>,
    /// The end of each.
    ends: Vec<usize>,
    by_name: HashTable<Indexed<u32>>,
    hasher: DefaultHashBuilder,
}

impl Numbers {
    fn hash(&self, name: &[u8]) -> u32 {
        self.hasher.hash_one(name) as u32
    }

    fn name(&self, number: u32) -> Option<&[u8]> {
        let number = number as usize;
        let begin = number.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.names.get(begin..*self.ends.get(number)?)
    }

    /// The number of counters; the next one gets this number.
    pub(super) fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    /// The numbers of these counters, at most [`NEAR`], in their order; `None` for those that have none. Their cache
    /// misses are under way at once: names are looked at only when what is likely to be all of them has been touched.
    pub(super) fn find_all(&self, sums: &[CounterSum], mut each: impl FnMut(Option<u32>)) {
        let (mut names, mut ends, mut hashes) = (Vec::new(), [0; NEAR], [0; NEAR]);
        let mut begin = 0;
        for (sum, (end, hash)) in sums.iter().zip(ends.iter_mut().zip(&mut hashes)) {
            pack(&sum.item, &sum.kind, &mut names);
            *end = names.len();
            *hash = names.get(begin..).map_or(0, |name| self.hash(name));
            begin = *end;
        }
        let likely = hashes.map(|hash| self.by_name.find(spread(hash), |found| found.hash == hash));
        prefetch(likely.iter().flatten().filter_map(|found| Some(u32::from(*self.name(found.id)?.first()?))));
        let mut begin = 0;
        for (end, hash) in ends.into_iter().zip(hashes).take(sums.len()) {
            each(names.get(begin..end).and_then(|name| self.find(name, hash)));
            begin = end;
        }
    }

    fn find(&self, name: &[u8], hash: u32) -> Option<u32> {
        let is_it = |found: &Indexed<u32>| found.hash == hash && self.name(found.id) == Some(name);
        self.by_name.find(spread(hash), is_it).map(|found| found.id)
    }

    /// Gives the next number to a counter that has none.
    pub(super) fn push(&mut self, name: &[u8]) {
        let (hash, id) = (self.hash(name), self.len());
        self.names.extend_from_slice(name);
        self.ends.push(self.names.len());
        self.by_name.insert_unique(spread(hash), Indexed { hash, id }, Indexed::spread);
    }
}

/// The numbers of the topics that were merged into last. It says what is in the file, or will be when the transaction
/// under way commits; when that fails it has to be [cleared](Index::clear).
#[derive(Debug)]
pub(super) struct Index(Generations<Topic, Numbers, DefaultHashBuilder>);

impl Index {
    pub(super) fn new(numbers_held: usize) -> Self {
        Self(Generations::new(numbers_held, weight))
    }

    /// Takes a topic's numbers out; they are read from the file unless they are held.
    pub(super) fn take(
        &mut self,
        topic: &Topic,
        topic_number: u32,
        names: &Table<'_, u64, &'static [u8]>,
    ) -> Result<Numbers, StoreError> {
        if let Some(numbers) = self.0.take(topic) {
            return Ok(numbers);
        }
        let mut numbers = Numbers::default();
        for entry in names.range(of_topic(topic_number)).map_err(failed)? {
            numbers.push(entry.map_err(failed)?.1.value());
        }
        Ok(numbers)
    }

    /// Puts a topic's numbers back.
    pub(super) fn put(&mut self, topic: Topic, numbers: Numbers) {
        self.0.put(topic, numbers);
    }

    /// Forgets a topic's numbers: they are not in the file any more.
    pub(super) fn remove(&mut self, topic: &Topic) {
        self.0.take(topic);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

fn weight(numbers: &Numbers) -> usize {
    TOPIC_WEIGHT + numbers.ends.len()
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
