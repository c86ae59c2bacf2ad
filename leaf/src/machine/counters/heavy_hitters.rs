//! Finds the heaviest of very many keys in little memory: Space-Saving (Metwally, Agrawal and El Abbadi, 2005).

use std::collections::BTreeMap;

/// Keeps a fixed number of keys. One that comes when all places are taken gets the lightest one's place and count, so
/// that a key which really is heavy is there in the end, whatever came before it.
#[derive(Debug)]
pub struct HeavyHitters<K> {
    places: usize,
    counts: BTreeMap<K, Count>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    /// The most that the key may weigh.
    most: u64,
    /// The part of that which may have been other keys'.
    error: u64,
}

impl<K: Ord + Clone> HeavyHitters<K> {
    /// Begins with room for this many keys. A key that weighs more than one part in `places` of the whole is among
    /// them.
    pub fn new(places: usize) -> Self {
        Self { places, counts: BTreeMap::new() }
    }

    /// Adds to a key's weight.
    pub fn add(&mut self, key: K, weight: u64) {
        if let Some(count) = self.counts.get_mut(&key) {
            count.most += weight;
            return;
        }
        let mut error = 0;
        if self.counts.len() >= self.places {
            let lightest = self.counts.iter().min_by_key(|(_, count)| count.most);
            let Some((lightest, most)) = lightest.map(|(key, count)| (key.clone(), count.most)) else {
                return;
            };
            self.counts.remove(&lightest);
            error = most;
        }
        self.counts.insert(key, Count { most: error + weight, error });
    }

    /// Takes out the heaviest keys, heaviest first, each with what it weighs at least; forgets the others.
    pub fn take_heaviest(&mut self, keys: usize) -> Vec<(K, u64)> {
        let counts = std::mem::take(&mut self.counts).into_iter();
        let mut heaviest: Vec<_> = counts.map(|(key, count)| (key, count.most - count.error)).collect();
        heaviest.sort_by_key(|(_, least)| std::cmp::Reverse(*least));
        heaviest.truncate(keys);
        heaviest
    }
}

#[cfg(test)]
#[path = "heavy_hitters_tests.rs"]
mod tests;
