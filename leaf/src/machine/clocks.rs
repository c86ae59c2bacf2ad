//! Keeps the times that age what a leaf remembers. None of them orders events.

use countree_common::time::{Now, SteadyClock, Time, WallMs};

#[derive(Debug)]
pub(super) struct Clocks {
    began: WallMs,
    /// Ages sessions and keys; it goes on where the log was left.
    steady: SteadyClock,
    /// The latest time in the view's key history.
    registry_time: WallMs,
    /// The registry's time, or less: it ages what the key history says of the past.
    registry: SteadyClock,
}

impl Clocks {
    /// Goes on from the latest time in the log, if there is one.
    pub(super) fn begin(now: Now, latest_in_log: Option<WallMs>) -> Self {
        Self {
            began: now.wall,
            steady: SteadyClock::begin(latest_in_log.unwrap_or(now.wall), now.mono),
            registry_time: WallMs::default(),
            registry: SteadyClock::default(),
        }
    }

    /// The time at which the leaf started, for people.
    pub(super) fn began(&self) -> WallMs {
        self.began
    }

    /// The time that ages sessions and keys.
    pub(super) fn age(&self, now: Now) -> WallMs {
        self.steady.read(now.mono)
    }

    /// Notes the latest time in a new view's key history.
    pub(super) fn note_registry_time(&mut self, latest: WallMs) {
        self.registry_time = latest;
    }

    /// The registry's time, or less: then questions are asked for longer than they have to be.
    pub(super) fn registry_now(&mut self, now: Time) -> WallMs {
        self.registry.catch_up(self.registry_time, now);
        self.registry.read(now)
    }
}
