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
    /// Returns the batch that takes events; `new` makes one.
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

    /// Returns the first closed batch.
    pub fn pop(&mut self) -> Option<Batch> {
        let batch = self.closed.pop_front()?;
        self.closed_events -= batch.events as usize;
        Some(batch)
    }

    /// Takes the first batch, if `is_over` says of its first event's time that it has waited too long.
    pub fn pop_if(&mut self, is_over: impl Fn(Time) -> bool) -> Option<Batch> {
        if self.closed.is_empty() && self.filling.as_ref().is_some_and(|f| is_over(f.first_queued())) {
            self.close_filling();
        }
        if is_over(self.closed.front()?.first_queued) { self.pop() } else { None }
    }

    /// Closes all batches and takes them out.
    pub fn take(&mut self) -> VecDeque<Batch> {
        self.close_filling();
        self.closed_events = 0;
        std::mem::take(&mut self.closed)
    }

    /// Returns the time of the filling batch's first event, and the first flush that waits for it.
    pub fn filling_since(&self) -> Option<(Time, FlushId)> {
        self.filling.as_ref().map(|f| (f.first_queued(), f.flush()))
    }

    /// Whether there is a closed batch.
    pub fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.filling.is_none()
    }

    /// Returns the number of events in the queue.
    pub fn events(&self) -> usize {
        self.closed_events + self.filling.as_ref().map_or(0, |f| f.events() as usize)
    }

    /// Returns the time since which the next batch has waited.
    pub fn next_since(&self) -> Option<Time> {
        let closed = self.closed.front().map(|b| b.first_queued);
        closed.or_else(|| self.filling.as_ref().map(FillingBatch::first_queued))
    }

    /// Returns the first flush that waits for any of its batches.
    pub fn first_flush(&self) -> Option<FlushId> {
        let closed = self.closed.iter().map(|b| b.flush);
        closed.chain(self.filling.as_ref().map(FillingBatch::flush)).min()
    }

    /// Returns the oldest generation of names in it.
    pub fn oldest_generation(&self) -> Option<u32> {
        // The filling batch is always of the current generation.
        self.closed.iter().map(|b| b.generation).min()
    }
}
