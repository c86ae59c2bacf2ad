//! A bounded map that forgets the entries that were not used for longest, half of them at a time.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

/// Two halves: what was put in lately, and what was put in before that. When the young half is full it becomes the old
/// one, and the old one is forgotten.
#[derive(Debug)]
pub(crate) struct Generations<K, V, S = RandomState> {
    young: HashMap<K, V, S>,
    old: HashMap<K, V, S>,
    weigh: fn(&V) -> usize,
    /// The weight of the young half.
    weight: usize,
    half: usize,
}

impl<K: Hash + Eq, V, S: BuildHasher + Default> Generations<K, V, S> {
    /// Makes a map that holds entries of this weight, in both halves together.
    pub(crate) fn new(weight_max: usize, weigh: fn(&V) -> usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), weigh, weight: 0, half: weight_max / 2 }
    }

    /// Gets an entry, which does not become younger by that.
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Takes an entry out.
    pub(crate) fn take<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        match self.young.remove(key) {
            Some(value) => {
                self.weight -= (self.weigh)(&value);
                Some(value)
            }
            None => self.old.remove(key),
        }
    }

    /// Puts an entry in that is not there, whatever its weight: one that is heavier than a half has it to itself.
    #[cfg(any(test, feature = "shell"))]
    pub(crate) fn put(&mut self, key: K, value: V) {
        self.weight += (self.weigh)(&value);
        self.young.insert(key, value);
        if self.weight > self.half {
            self.age();
        }
    }

    /// Puts an entry in that is not there, unless it is heavier than a half.
    pub(crate) fn put_light(&mut self, key: K, value: V) {
        let weight = (self.weigh)(&value);
        if self.weight + weight > self.half {
            self.age();
        }
        if weight <= self.half {
            self.weight += weight;
            self.young.insert(key, value);
        }
    }

    fn age(&mut self) {
        self.old = std::mem::take(&mut self.young);
        self.weight = 0;
    }

    /// The weight of the young half as it is counted, and what is in each half.
    #[cfg(test)]
    pub(crate) fn halves(&self) -> (usize, Vec<&V>, Vec<&V>) {
        (self.weight, self.young.values().collect(), self.old.values().collect())
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.weight = 0;
    }
}

#[cfg(test)]
#[path = "generations_tests.rs"]
mod tests;
