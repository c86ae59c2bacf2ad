//! Keeps the sums of windows that have ended until their last record is on disk.

use super::names::CounterId;
use super::table::Window;
use countree_common::stream::Lsn;
use countree_common::time::{Time, WallMs};
use std::collections::VecDeque;

/// A window that has ended, or one topic's part of the open one.
#[derive(Debug)]
pub(in crate::machine) struct Frozen {
    /// The time at which the window ended; `None` where the window goes on for the other topics.
    pub(in crate::machine) ends: Option<WallMs>,
    /// Its last record.
    pub(in crate::machine) to: Lsn,
    pub(in crate::machine) window: Window,
}

#[derive(Debug)]
pub(in crate::machine) struct Windows {
    /// The end of the open window.
    pub(super) end: Time,
    /// Those that have ended, oldest first. All but one hold events, so the bytes that may wait for the log bound them.
    frozen: VecDeque<Frozen>,
}

impl Windows {
    pub(super) fn new(end: Time) -> Self {
        Self { end, frozen: VecDeque::new() }
    }

    pub(super) fn push(&mut self, frozen: Frozen) {
        self.frozen.push_back(frozen);
    }

    /// Takes the oldest, if all its records are on disk.
    pub(super) fn take_durable(&mut self, durable: Lsn) -> Option<Frozen> {
        self.frozen.front().filter(|frozen| frozen.to <= durable)?;
        self.frozen.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frozen.is_empty()
    }

    /// Whether a whole window waits.
    pub(super) fn has_whole(&self) -> bool {
        self.frozen.iter().any(|frozen| frozen.ends.is_some())
    }

    pub(super) fn events(&self) -> u64 {
        self.frozen.iter().map(|frozen| frozen.window.events).sum()
    }

    /// Σ|δ| of all that wait.
    pub(super) fn volume(&self) -> u64 {
        self.frozen.iter().fold(0, |volume, frozen| volume.saturating_add(frozen.window.volume))
    }

    /// Every counter that has a sum here.
    pub(super) fn counters(&self) -> impl Iterator<Item = CounterId> {
        let topics = self.frozen.iter().flat_map(|frozen| &frozen.window.topics);
        topics.flat_map(|of_topic| &of_topic.sums).map(|sum| sum.counter)
    }

    /// The last record of the newest; 0 for none.
    pub(super) fn last_record(&self) -> Lsn {
        self.frozen.back().map_or(0, |frozen| frozen.to)
    }

    /// Whether all up to this record was taken, each with its window.
    pub(super) fn is_taken(&self, to: Lsn) -> bool {
        self.frozen.front().is_none_or(|waiting| waiting.to > to)
    }
}
