//! Batches of events by the producer's own name numbers. They are encoded for a connection only when they are
//! sent on it, since every connection has a dictionary of its own.

use super::ids::{FlushId, NameId};
use super::options::{BATCH_BYTES_MAX, ProducerOptions};
use countree_common::delta::Delta;
use countree_common::time::Time;
use countree_common::wire::batch::{Events, put_event};

/// A closed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The generation of its names.
    pub generation: u32,
    /// Number of events.
    pub events: u32,
    /// The time at which the first of them was queued.
    pub first_queued: Time,
    /// The number of the first flush that waits for it.
    pub flush: FlushId,
    words: Vec<u8>,
}

impl Batch {
    /// Its events, by the producer's name numbers.
    pub fn iter(&self) -> impl Iterator<Item = (NameId, i64)> + '_ {
        Events::new(&self.words)
    }
}

/// A batch that takes events.
#[derive(Debug)]
pub struct FillingBatch {
    batch: Batch,
    stamp: u32,
    name_bytes: usize,
}

impl FillingBatch {
    /// An empty batch. `stamp` tells it from every other, so that each of its names is sized once.
    pub fn new(stamp: u32, generation: u32, first_queued: Time, flush: FlushId) -> Self {
        let batch = Batch { generation, events: 0, first_queued, flush, words: Vec::new() };
        Self { batch, stamp, name_bytes: 0 }
    }

    /// Returns the number that tells this batch from every other.
    pub fn stamp(&self) -> u32 {
        self.stamp
    }

    /// Returns the time at which its first event was queued.
    pub fn first_queued(&self) -> Time {
        self.batch.first_queued
    }

    /// Returns the number of events that it holds.
    pub fn events(&self) -> u32 {
        self.batch.events
    }

    /// Returns the first flush that waits for it, if any does.
    pub fn flush(&self) -> FlushId {
        self.batch.flush
    }

    /// Notes that an event that was queued at `queued` is about to be added.
    pub fn queued(&mut self, queued: Time) {
        self.batch.first_queued = self.batch.first_queued.min(queued);
    }

    /// Adds an event; `name_bytes` is what its name's definition takes, 0 when the batch holds it already.
    #[inline]
    pub fn add(&mut self, name: NameId, delta: Delta, name_bytes: usize) {
        put_event(name, delta.get(), &mut self.batch.words);
        self.batch.events += 1;
        self.name_bytes += name_bytes;
    }

    /// Whether the batch is full. Even with all its names defined in it, it fits a frame.
    #[inline]
    pub fn is_full(&self, options: &ProducerOptions) -> bool {
        let bytes = self.batch.words.len();
        self.batch.events as usize >= options.batch_events
            || bytes >= options.batch_bytes
            || bytes + self.name_bytes >= BATCH_BYTES_MAX
    }

    /// Closes the batch.
    pub fn close(self) -> Batch {
        self.batch
    }
}
