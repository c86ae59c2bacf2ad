//! The copy of the registry, and how it stands to the one in the store.

use crate::machine::registry::Registry;
use countree_common::time::{Now, Time, WallMs};
use std::time::Duration;

/// The registry as it was last read or written.
#[derive(Debug, Default)]
pub(super) struct StoreCopy {
    pub(super) revision: u64,
    pub(super) registry: Registry,
    /// The store holds a registry that has no clock yet: until it is written with one, no lease in it runs out.
    lacks_time: bool,
    /// The time of the registry that the store was last known to hold.
    held_time: WallMs,
    /// The store held a registry, and holds none any more: what is known of it goes back there.
    is_gone: bool,
    /// The time at which the copy was last known to be what the store holds; `None` when it may not be.
    pub(super) fresh_at: Option<Time>,
    /// The time since which the store has answered every question.
    pub(super) answering_since: Option<Time>,
}

impl StoreCopy {
    /// The registry that was loaded, and its revision. A store that has lost it is given the copy.
    ///
    /// # Errors
    /// When its text can't be used.
    pub(super) fn parse(&self, found: Option<(u64, String)>) -> Result<(u64, Registry), String> {
        match found {
            None if self.revision > 0 || self.is_gone => Ok((0, self.registry.clone())),
            None => Ok((0, Registry::default())),
            Some((revision, text)) => Registry::from_text(&text)
                .map(|registry| (revision, registry))
                .map_err(|e| format!("the registry in the store can't be used: {e}")),
        }
    }

    /// Compares a registry that was loaded with what the store was known to hold; returns by how much it is older, if
    /// it is.
    pub(super) fn compare(&mut self, revision: u64, registry: &Registry) -> Option<Duration> {
        self.is_gone = revision == 0 && (self.revision > 0 || self.is_gone);
        if revision == 0 {
            return None;
        }
        let older = self.held_time.0.saturating_sub(registry.time().0);
        self.held_time = registry.time();
        (older > 0).then_some(Duration::from_millis(older))
    }

    /// The store has taken this registry.
    pub(super) fn note_saved(&mut self, registry: &Registry) {
        self.is_gone = false;
        self.held_time = registry.time();
    }

    /// The store holds this registry now.
    pub(super) fn learn(&mut self, revision: u64, registry: Registry, lease: Duration, now: Now) {
        (self.revision, self.registry) = (revision, registry);
        self.lacks_time = revision > 0 && self.registry.time() == WallMs(0);
        self.registry.begin_time(now.wall, lease);
        self.fresh_at = Some(now.mono);
        self.answering_since.get_or_insert(now.mono);
    }

    /// The store did not answer.
    pub(super) fn note_silence(&mut self) {
        self.fresh_at = None;
        self.answering_since = None;
    }

    /// Whether the store lacks something that only a write can give it.
    pub(super) fn must_be_written(&self) -> bool {
        self.lacks_time || self.is_gone
    }
}
