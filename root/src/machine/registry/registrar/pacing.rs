//! Paces what is asked of the store.

use countree_common::time::Time;
use std::time::Duration;

/// The least time between two writes of the registry.
const WRITE_GAP: Duration = Duration::from_millis(100);
/// The least time between two writes that only renew leases.
const RENEWAL_GAP: Duration = Duration::from_millis(500);
/// A store that has failed is asked again this much later.
const RETRY: Duration = Duration::from_millis(200);

/// The times at which the store was asked, and may be asked again.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    /// The time at which the store was asked for what is under way.
    pub(super) asked_at: Time,
    pub(super) idle_until: Time,
    pub(super) written_at: Time,
}

impl Pacing {
    /// Leaves the store alone after a failure.
    pub(super) fn rest(&mut self, now: Time) {
        self.idle_until = now + RETRY;
    }

    /// Whether the last write is long enough ago for what waits.
    pub(super) fn may_write(&self, is_urgent: bool, has_renewals: bool, now: Time) -> bool {
        let gap = now.since(self.written_at);
        (is_urgent && gap >= WRITE_GAP) || (has_renewals && gap >= RENEWAL_GAP)
    }
}
