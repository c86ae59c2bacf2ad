//! Simulated time: the queue of events, which is the only order that there is.

use countree_common::time::{Now, Time, WallMs};
use std::collections::BTreeMap;
use std::time::Duration;

/// The wall clock when the simulation begins: 2026-01-01, so that nothing mistakes it for "never".
const WALL_ORIGIN: WallMs = WallMs(1_767_225_600_000);

/// The queue of events: by time, and for equal times in the order of queueing.
#[derive(Debug)]
pub(crate) struct EventQueue<T> {
    now: Time,
    planned: u64,
    entries: BTreeMap<(Time, u64), T>,
}

impl<T> Default for EventQueue<T> {
    fn default() -> Self {
        Self { now: Self::BEGINNING, planned: 0, entries: BTreeMap::new() }
    }
}

impl<T> EventQueue<T> {
    /// Machines take time 0 for "never": the simulation begins a day later.
    pub(crate) const BEGINNING: Time = Time(86_400_000_000);

    /// The time.
    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// Queues an event for a time; one in the past comes next.
    pub(crate) fn at(&mut self, time: Time, what: T) {
        self.planned += 1;
        self.entries.insert((time.max(self.now), self.planned), what);
    }

    /// Queues an event for `wait` later.
    pub(crate) fn after(&mut self, wait: Duration, what: T) {
        self.at(self.now + wait, what);
    }

    /// Takes the next event, and advances the time to it.
    pub(crate) fn advance(&mut self) -> Option<T> {
        let ((time, _), what) = self.entries.pop_first()?;
        self.now = time;
        Some(what)
    }

    /// The number of events in the queue.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// A node's clocks. Wall clocks disagree: nothing exact may rest on them.
pub(crate) fn clocks(now: Time, ahead: Duration) -> Now {
    Now { mono: now, wall: wall(now, ahead) }
}

/// The time of a wall clock that is `ahead`.
pub(crate) fn wall(now: Time, ahead: Duration) -> WallMs {
    WALL_ORIGIN + ahead + Duration::from_micros(now.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planned_for_one_time_happens_in_the_order_of_the_planning() {
        let mut queue = EventQueue::default();
        let start = queue.now();
        queue.after(Duration::from_secs(2), 'c');
        queue.after(Duration::from_secs(1), 'a');
        queue.after(Duration::from_secs(1), 'b');
        let order: String = std::iter::from_fn(|| queue.advance()).collect();
        assert_eq!(order, "abc");
        assert_eq!(queue.now().since(start), Duration::from_secs(2));
    }
}
