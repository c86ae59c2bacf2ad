//! Remembers the idempotency keys that are used up, and attempts of other leaves that may have used one.

use crate::log::carried::Carried;
use countree_common::limits;
use countree_common::stream::Lsn;
use countree_common::time::WallMs;
use countree_common::wire::keys::{Attempt, IdempotencyKey, KeyState, KeyUse, Remembered};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A key, as the log knows it.
#[derive(Debug, Clone)]
struct KeyEntry {
    state: KeyState,
    /// The record that says so; 0 for one of an earlier stream.
    lsn: Lsn,
    at: WallMs,
}

/// Every idempotency key that is not forgotten.
#[derive(Debug, Default)]
pub struct Keys {
    entries: BTreeMap<IdempotencyKey, KeyEntry>,
    by_age: VecDeque<(WallMs, IdempotencyKey)>,
}

impl Keys {
    /// The keys of the streams before.
    pub fn carried(carried: &Carried) -> Self {
        let mut keys = Self::default();
        let mut known: Vec<_> = carried.keys.values().collect();
        known.sort_by_key(|of| (of.at, of.key));
        known.into_iter().for_each(|of| keys.put(of.key, of.state.clone(), 0, of.at));
        keys
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there is room for `more` of them.
    pub fn has_room(&self, more: usize) -> bool {
        self.entries.len() + more <= limits::IDEMPOTENCY_KEYS_PER_LEAF
    }

    /// The request that used up the key, and the record that says so (0 for one of an earlier stream). An id that an
    /// earlier build counted has no topic, and is used up in all of them.
    pub fn used(&self, key: IdempotencyKey) -> Option<(Lsn, KeyUse)> {
        let used = |key| match self.entries.get(&key)? {
            KeyEntry { state: KeyState::Used { content }, lsn, .. } => {
                Some((*lsn, KeyUse { key, content: *content }))
            }
            KeyEntry { state: KeyState::Noted(_), .. } => None,
        };
        used(key).or_else(|| used(key.unscoped()))
    }

    /// The attempts that may have used up the key, with the record that says so (0 for one of an earlier stream).
    pub fn notes(&self, key: IdempotencyKey) -> Option<(Lsn, &[Attempt])> {
        match self.entries.get(&key)? {
            KeyEntry { state: KeyState::Noted(attempts), lsn, .. } => Some((*lsn, attempts)),
            KeyEntry { state: KeyState::Used { .. }, .. } => None,
        }
    }

    /// All that is known of the key, with the record that says so.
    pub fn recall(&self, key: IdempotencyKey) -> Option<(Lsn, Remembered)> {
        let key = self.used(key).map_or(key, |(_, used)| used.key);
        let KeyEntry { state, lsn, at } = self.entries.get(&key)?;
        Some((*lsn, Remembered { key, at: *at, state: state.clone() }))
    }

    /// Whether somebody else's memory of a key is news here.
    pub fn news(&self, of: &Remembered) -> bool {
        match self.entries.get(&of.key) {
            None => true,
            Some(known) => known.state.clone().absorb(&of.state),
        }
    }

    /// Notes a use that was logged.
    pub fn note_use(&mut self, used: KeyUse, lsn: Lsn, at: WallMs) {
        self.put(used.key, KeyState::Used { content: used.content }, lsn, at);
    }

    /// Notes an attempt that was logged; those noted before never used the key.
    pub fn note_attempt(&mut self, key: IdempotencyKey, by: Attempt, lsn: Lsn, at: WallMs) {
        self.put(key, KeyState::Noted(vec![by]), lsn, at);
    }

    /// Takes up somebody else's memory that was logged.
    pub fn absorb(&mut self, of: &Remembered, lsn: Lsn) {
        let mut state =
            self.entries.get(&of.key).map_or_else(|| of.state.clone(), |known| known.state.clone());
        state.absorb(&of.state);
        self.put(of.key, state, lsn, of.at);
    }

    /// Forgets the attempts that were noted: none of them used the key.
    pub fn drop_notes(&mut self, key: IdempotencyKey) {
        if self.notes(key).is_some() {
            self.entries.remove(&key);
        }
    }

    fn put(&mut self, key: IdempotencyKey, state: KeyState, lsn: Lsn, at: WallMs) {
        self.entries.insert(key, KeyEntry { state, lsn, at });
        self.by_age.push_back((at, key));
    }

    /// Forgets keys that are older than the horizon.
    pub fn expire(&mut self, now: WallMs, horizon: Duration) {
        while let Some((at, key)) = self.by_age.front().copied()
            && now.since(at) > horizon
        {
            self.by_age.pop_front();
            if self.entries.get(&key).is_some_and(|of| of.at == at) {
                self.entries.remove(&key);
            }
        }
    }

    /// All keys, each with the record that speaks of it.
    pub fn listed(&self) -> impl Iterator<Item = (Lsn, Remembered)> {
        self.entries
            .iter()
            .map(|(key, of)| (of.lsn, Remembered { key: *key, at: of.at, state: of.state.clone() }))
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
