//! Names the requests that use up idempotency keys.

use super::keyed_events::KeyedEvents;
use super::keys::Keys;
use countree_common::wire::keys::{Attempt, IdempotencyKey};
use countree_common::wire::rpc::Reset;
use std::collections::BTreeSet;

/// A request that is taken only if its keys are new, or were used for the same.
#[derive(Debug, Clone)]
pub(in crate::machine) enum KeyedRequest {
    /// Count events.
    Events(KeyedEvents),
    /// Set counters to 0.
    Reset(Reset),
    /// Note another leaf's attempt to take a request.
    Note {
        /// The request's keys that this leaf owns.
        keys: Vec<IdempotencyKey>,
        /// The attempt.
        by: Attempt,
    },
}

impl KeyedRequest {
    /// Its keys that are not used up.
    pub(super) fn fresh(&self, known: &Keys) -> BTreeSet<IdempotencyKey> {
        let is_fresh = |key: &IdempotencyKey| known.used(*key).is_none();
        match self {
            Self::Events(events) if events.is_repeated_by(known) => BTreeSet::new(),
            Self::Events(events) => events.keys().filter(is_fresh).collect(),
            Self::Reset(Reset { key: 0, .. }) => BTreeSet::new(),
            Self::Reset(reset) => {
                Some(IdempotencyKey::of_request(reset.key)).into_iter().filter(is_fresh).collect()
            }
            Self::Note { keys, .. } => keys.iter().copied().filter(is_fresh).collect(),
        }
    }
}
