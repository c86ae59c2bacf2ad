//! Remembers merges that a store has answered and not called durable, and so may still forget. Their topic is asked
//! about again and again until a retention has passed; only then may the log let go of them.

use countree_common::time::Time;
use std::time::Duration;

/// The wait between a topic's last merge and the first question about it; each further wait is twice as long.
const FIRST_PROBE: Duration = Duration::from_secs(1);

/// A topic whose last merge the store may still forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnconfirmedMerge {
    merged: Time,
    answered: Time,
}

impl UnconfirmedMerge {
    /// The time of the merge.
    pub fn merged_at(self) -> Time {
        self.merged
    }

    /// The time at which the store last stood where it should.
    pub fn answered_at(self) -> Time {
        self.answered
    }

    /// Something was merged just now.
    pub fn merged(now: Time) -> Self {
        Self { merged: now, answered: now }
    }

    /// The store was asked, and stood where it should; `None` when that was late enough to settle it.
    pub fn answered(self, now: Time, retention: Duration) -> Option<Self> {
        let answered = self.answered.max(now);
        (answered < self.merged + retention).then_some(Self { answered, ..self })
    }

    /// The time at which to ask next.
    pub fn next_probe(&self, retention: Duration) -> Time {
        let wait = self.answered.since(self.merged).max(FIRST_PROBE);
        (self.answered + wait).min(self.merged + retention)
    }
}
