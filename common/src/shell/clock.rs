//! The clocks, read in one place.

use crate::time::{Now, Time, WallMs};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Reads both clocks. Copies share their origin.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose monotonic time begins now, at one second, so that machines may subtract a little.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Both clocks, now.
    pub fn now(&self) -> Now {
        let mono = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { mono: Time(mono.saturating_add(1_000_000)), wall: wall() }
    }
}

/// The wall clock alone.
pub fn wall() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
