//! Converts between the machine's time and the program's instants.

use countree_common::time::Time;
use std::time::{Duration, Instant};

/// The machine's time at the origin, so that instants from shortly before have one too.
const START: Duration = Duration::from_secs(3_600);

/// A clock with a fixed origin; copies share it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeline {
    origin: Instant,
}

impl Timeline {
    pub(super) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub(super) fn now(self) -> Time {
        self.time(Instant::now())
    }

    pub(super) fn time(self, instant: Instant) -> Time {
        let start = Time::default() + START;
        start + instant.saturating_duration_since(self.origin)
            - self.origin.saturating_duration_since(instant)
    }

    pub(super) fn instant(self, time: Time) -> Instant {
        let start = Time::default() + START;
        let before = start.since(time);
        self.origin.checked_sub(before).unwrap_or(self.origin) + time.since(start)
    }
}
