//! Idempotency keys, and the records that leaves keep of them and exchange.

use crate::cluster::NodeName;
use crate::event::Event;
use crate::key::Topic;
use crate::time::WallMs;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// An idempotency key: the `Idempotency-Key` of a request, or the id of an event within its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// Hash of the client's text. It places the key on the ring.
    pub hash: u128,
    /// Hash of the event's topic. 0 for a request's key, and for the id of an event whose topic is not known:
    /// earlier builds did not keep it.
    pub scope: u64,
}

impl IdempotencyKey {
    /// The key of a request.
    pub fn of_request(hash: u128) -> Self {
        Self { hash, scope: 0 }
    }

    /// The key of an event.
    pub fn of_event(hash: u128, topic: &Topic) -> Self {
        Self { hash, scope: xxh3_64(topic.as_str().as_bytes()).max(1) }
    }

    /// The key under which earlier builds remembered the same id.
    pub fn unscoped(self) -> Self {
        Self { scope: 0, ..self }
    }
}

/// Hash of a key's content; never 0, which stands for "not known".
pub fn content<'a>(events: impl IntoIterator<Item = &'a Event>) -> u128 {
    let mut hash = Xxh3::new();
    for Event { counter, delta } in events {
        for name in [counter.topic.as_str(), counter.item.as_str(), counter.kind.as_str()] {
            hash.update(&(name.len() as u32).to_le_bytes());
            hash.update(name.as_bytes());
        }
        hash.update(&delta.get().to_le_bytes());
    }
    hash.digest128().max(1)
}

/// A key with the content that it is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// The key.
    pub key: IdempotencyKey,
    /// Hash of its content; 0 if unknown, which matches any.
    pub content: u128,
}

impl KeyUse {
    /// Whether a request with this content repeats this one.
    pub fn matches(&self, content: u128) -> bool {
        self.content == content || self.content == 0
    }
}

/// A leaf's attempt to take a request some of whose keys other leaves own. It counts if its one log record
/// says so, and never does once its leaf has given it up or has started again without that record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attempt {
    /// The leaf.
    pub leaf: NodeName,
    /// The number of its start.
    pub incarnation: u64,
    /// The number of the attempt within that start.
    pub number: u64,
}

/// The state of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// The key is used.
    Used {
        /// The content's hash, as in [`KeyUse`].
        content: u128,
    },
    /// These attempts wanted to use it. Only the leaf of each knows whether it did.
    Noted(Vec<Attempt>),
}

impl KeyState {
    /// Merges another leaf's state; returns whether that changed anything.
    pub fn absorb(&mut self, other: &KeyState) -> bool {
        match (self, other) {
            (KeyState::Used { .. }, _) => false,
            (mine, KeyState::Used { .. }) => {
                *mine = other.clone();
                true
            }
            (KeyState::Noted(mine), KeyState::Noted(others)) => {
                let before = mine.len();
                mine.extend(others.clone());
                mine.sort_unstable();
                mine.dedup();
                mine.len() > before
            }
        }
    }
}

/// A leaf's record of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The key.
    pub key: IdempotencyKey,
    /// The time of its first use, to age it.
    pub at: WallMs,
    /// The state.
    pub state: KeyState,
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
