//! Time as the machines see it: passed in, never asked for.

use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};
use std::time::Duration;

/// A monotonic instant of one process, in microseconds since an arbitrary origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Time(pub u64);

impl Time {
    /// The time from `earlier` to this one; zero when this one is not after it.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, d: Duration) -> Time {
        Time(self.0.saturating_sub(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Milliseconds since the Unix epoch, by a wall clock, for display, or by a [`SteadyClock`], for the ages of
/// sessions and keys. Neither orders events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct WallMs(pub u64);

impl WallMs {
    /// The time from `earlier` to this one, in milliseconds; zero when this one is not after it.
    pub fn since(self, earlier: WallMs) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for WallMs {
    type Output = WallMs;
    fn add(self, d: Duration) -> WallMs {
        WallMs(self.0.saturating_add(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// A clock in milliseconds that only goes forward, as fast as a process's monotonic time; sessions and keys
/// are aged by it. Steps of the wall clock change nothing here. It begins where it was left, so the time
/// between two processes is left out: memory is kept for too long rather than too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SteadyClock {
    at: WallMs,
    since: Time,
}

impl SteadyClock {
    /// Starts a clock that shows `at` now.
    pub fn begin(at: WallMs, now: Time) -> Self {
        Self { at, since: now }
    }

    /// Reads the time.
    pub fn read(&self, now: Time) -> WallMs {
        self.at + now.since(self.since)
    }

    /// Moves the clock forward to `at`, which another clock of the same time has reached.
    pub fn catch_up(&mut self, at: WallMs, now: Time) {
        if at > self.read(now) {
            *self = Self::begin(at, now);
        }
    }
}

/// Both clocks, read together by a shell and handed to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// The monotonic time, for durations.
    pub mono: Time,
    /// The wall clock's time, for people.
    pub wall: WallMs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_clock_goes_forward_with_monotonic_time_from_where_it_was_left() {
        let second = |s: u64| Time(s * 1_000_000);
        let mut clock = SteadyClock::begin(WallMs(500_000), second(10));
        assert_eq!(clock.read(second(12)), WallMs(502_000));
        clock.catch_up(WallMs(400_000), second(12));
        assert_eq!(clock.read(second(13)), WallMs(503_000), "it does not go back");
        clock.catch_up(WallMs(600_000), second(13));
        assert_eq!(clock.read(second(14)), WallMs(601_000));
    }
}
