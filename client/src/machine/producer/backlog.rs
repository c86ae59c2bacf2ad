//! The queue of batches that were never sent: closed ones in order, and the one that takes events.

use super::batch::{Batch, FillingBatch};
use super::ids::FlushId;
use countree_common::time::Time;
use std::collections::VecDeque;

/// Batches that wait to be sent for the first time.
#[derive(Debug, Default)]
pub struct Backlog {
    closed: VecDeque<Batch>,
    filling: Option<FillingBatch>,
    closed_events: usize,
}

impl Backlog {
    /// The batch that takes events; `new` makes one.
    pub fn filling(&mut self, new: impl FnOnce() -> FillingBatch) -> &mut FillingBatch {
        self.filling.get_or_insert_with(new)
    }

    /// Closes the batch that takes events.
    pub fn close_filling(&mut self) {
        if let Some(filling) = self.filling.take() {
            self.push_back(filling.close());
        }
    }

    /// Adds a closed batch behind the others.
    pub fn push_back(&mut self, batch: Batch) {
        self.closed_events += batch.events as usize;
        self.closed.push_back(batch);
    }

    /// Adds a closed batch before the others.
    pub fn push_front(&mut self, batch: Batch) {
        self.closed_events += batch.events as usize;
        self.closed.push_front(batch);
    }

    /// The first closed batch.
    pub fn pop(&mut self) -> Option<Batch> {
        let batch = self.closed.pop_front()?;
        self.closed_events -= batch.events as usize;
        Some(batch)
    }

    /// Takes the first batch, if `is_over` says of its first event that it has waited too long.
    pub fn pop_if(&mut self, is_over: impl Fn(Time) -> bool) -> Option<Batch> {
        if self.closed.is_empty() && self.filling.as_ref().is_some_and(|f| is_over(f.first_queued())) {
            self.close_filling();
        }
        if is_over(self.closed.front()?.first_queued) { self.pop() } else { None }
    }

    /// Everything in it, closed.
    pub fn take(&mut self) -> VecDeque<Batch> {
        self.close_filling();
        self.closed_events = 0;
        std::mem::take(&mut self.closed)
    }

    /// When the batch that takes events got its first, and the flush that it belongs to.
    pub fn filling_since(&self) -> Option<(Time, FlushId)> {
        self.filling.as_ref().map(|f| (f.first_queued(), f.flush()))
    }

    /// Whether a batch is closed.
    pub fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.filling.is_none()
    }

    /// How many events are in it.
    pub fn events(&self) -> usize {
        self.closed_events + self.filling.as_ref().map_or(0, |f| f.events() as usize)
    }

    /// Since when the batch that is next has waited.
    pub fn next_since(&self) -> Option<Time> {
        let closed = self.closed.front().map(|b| b.first_queued);
        closed.or_else(|| self.filling.as_ref().map(FillingBatch::first_queued))
    }

    /// The first flush that waits for any of it.
    pub fn first_flush(&self) -> Option<FlushId> {
        let closed = self.closed.iter().map(|b| b.flush);
        closed.chain(self.filling.as_ref().map(FillingBatch::flush)).min()
    }

    /// The oldest generation of names in it.
    pub fn oldest_generation(&self) -> Option<u32> {
        // The filling batch is always of the current generation.
        self.closed.iter().map(|b| b.generation).min()
    }
}
