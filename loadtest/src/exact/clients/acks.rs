//! The times of acks: the longest stall, and counts by stretch of time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Acks are counted by stretches of this length.
pub(in crate::exact) const STRETCH: Duration = Duration::from_millis(250);
/// Stretches that are kept: two hours. Later acks count as of the last.
const STRETCHES_MAX: usize = 28_800;

/// All acks of a run, from whichever sender.
#[derive(Debug)]
pub(in crate::exact) struct Acks {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    acked: u64,
    is_over: bool,
    last: Instant,
    longest_stall: Duration,
    by_stretch: Vec<u64>,
}

impl Acks {
    pub(in crate::exact) fn new(start: Instant) -> Self {
        let state = State {
            acked: 0,
            is_over: false,
            last: start,
            longest_stall: Duration::ZERO,
            by_stretch: Vec::new(),
        };
        Self { start, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an ack of this many events.
    pub(in crate::exact) fn record(&self, events: u64, at: Instant) {
        let mut state = self.state();
        state.acked += events;
        if !state.is_over {
            state.longest_stall = state.longest_stall.max(at.saturating_duration_since(state.last));
        }
        state.last = state.last.max(at);
        let stretch = at.saturating_duration_since(self.start).as_millis() / STRETCH.as_millis();
        let stretch = (stretch as usize).min(STRETCHES_MAX - 1);
        if state.by_stretch.len() <= stretch {
            state.by_stretch.resize(stretch + 1, 0);
        }
        if let Some(count) = state.by_stretch.get_mut(stretch) {
            *count += events;
        }
    }

    /// Events acked so far.
    pub(in crate::exact) fn acked(&self) -> u64 {
        self.state().acked
    }

    /// Ends the measurement of stalls: from now on nothing new is sent.
    pub(in crate::exact) fn end(&self, at: Instant) {
        let mut state = self.state();
        state.longest_stall = state.longest_stall.max(at.saturating_duration_since(state.last));
        state.is_over = true;
    }

    /// The longest time without any ack while all senders were sending.
    pub(in crate::exact) fn longest_stall(&self) -> Duration {
        self.state().longest_stall
    }

    /// Events acked since a moment after the start, in whole stretches: at least those.
    pub(in crate::exact) fn acked_since(&self, moment: Duration) -> u64 {
        let first = (moment.as_millis() / STRETCH.as_millis()) as usize;
        self.state().by_stretch.iter().skip(first).sum()
    }

    /// Acked events in each [`STRETCH`] since the start.
    pub(in crate::exact) fn by_stretch(&self) -> Vec<u64> {
        self.state().by_stretch.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now;

    #[test]
    fn the_longest_wait_between_acks_is_kept_and_stretches_are_counted() {
        let start = now();
        let acks = Acks::new(start);
        for (ms, events) in [(100, 2), (200, 3), (900, 5), (950, 7)] {
            acks.record(events, start + Duration::from_millis(ms));
        }
        assert_eq!((acks.acked(), acks.longest_stall()), (17, Duration::from_millis(700)));
        acks.end(start + Duration::from_millis(1_700));
        acks.record(1, start + Duration::from_millis(3_000));
        assert_eq!(acks.longest_stall(), Duration::from_millis(750));
        let since = |ms| acks.acked_since(Duration::from_millis(ms));
        assert_eq!((since(0), since(260), since(990), since(9_000)), (18, 13, 13, 0));
        assert_eq!(acks.by_stretch(), [5, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
