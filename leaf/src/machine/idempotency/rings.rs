//! Finds the leaf that owns a key by a view, and those that did before.

use countree_common::cluster::{KeyHistory, NodeName};
use countree_common::ring::Ring;
use countree_common::time::WallMs;
use countree_common::wire::keys::IdempotencyKey;
use std::time::Duration;

/// The ring of today's owners, and the rings of those before.
#[derive(Debug)]
pub(super) struct KeyRings {
    present: Ring,
    /// The earlier rings, each with the time until which it held.
    past: Vec<(WallMs, Ring)>,
}

impl KeyRings {
    /// Makes the ring of the present, and those that held after `since`.
    pub(super) fn of(history: &KeyHistory, since: WallMs) -> Self {
        let ring = |owners: &[NodeName]| Ring::new(owners.iter().cloned());
        let past = history.past.iter().filter(|past| past.until >= since);
        let past = past.map(|past| (past.until, ring(&past.owners))).collect();
        Self { present: ring(&history.owners), past }
    }

    /// The leaf that owns a key.
    pub(super) fn owner(&self, key: IdempotencyKey) -> Option<&NodeName> {
        self.present.key_owner(key.hash)
    }

    /// The leaves that owned a key before, no longer ago than keys live, each with the time until which it did.
    pub(super) fn past_owners(
        &self,
        key: IdempotencyKey,
        now: WallMs,
        horizon: Duration,
    ) -> Vec<(WallMs, NodeName)> {
        let past = self.past.iter().filter(|(until, _)| now.since(*until) <= horizon);
        past.filter_map(|(until, ring)| Some((*until, ring.key_owner(key.hash)?.clone()))).collect()
    }
}

/// The time that is `by` before `now`, or the beginning of time.
pub(super) fn earlier(now: WallMs, by: Duration) -> WallMs {
    WallMs(now.0.saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}
