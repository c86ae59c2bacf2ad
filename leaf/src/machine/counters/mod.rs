//! Sums events per counter over windows: the open one in a table, those that have ended until they are on disk.

pub mod heavy_hitters;
pub mod names;
pub(super) mod near_limit;
pub mod pending;
pub mod rates;
pub mod table;
pub(super) mod windows;

use countree_common::key::Counter;
use countree_common::limits;
use countree_common::stream::Lsn;
use countree_common::time::{Now, Time};
use names::{CounterId, Marks, Names, TopicId};
use near_limit::NearLimits;
use rates::Rates;
use std::time::Duration;
use table::Table;
use windows::{Frozen, Windows};

/// The fewest abandoned counters that are worth a search for counters to forget.
const ABANDONED_MIN: usize = 65_536;

#[derive(Debug)]
pub(super) struct Counters {
    table: Table,
    windows: Windows,
    near_limit: NearLimits,
    /// Counters that nothing may refer to any more, at most.
    abandoned: usize,
    rates: Rates,
}

impl Counters {
    /// Begins with the names of earlier streams, and a first window that ends at `first_end`.
    pub(super) fn new(table: Table, first_end: Time) -> Self {
        let (near_limit, rates) = (NearLimits::default(), Rates::default());
        Self { table, windows: Windows::new(first_end), near_limit, abandoned: 0, rates }
    }

    /// The open window.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// The open window, to name counters and count events in.
    pub(super) fn table_mut(&mut self) -> &mut Table {
        &mut self.table
    }

    /// All counters' names.
    pub(super) fn names(&self) -> &Names {
        self.table.names()
    }

    /// Totals near their limit.
    pub(super) fn near_limit(&self) -> &NearLimits {
        &self.near_limit
    }

    /// Totals near their limit, to note others.
    pub(super) fn near_limit_mut(&mut self) -> &mut NearLimits {
        &mut self.near_limit
    }

    /// The load over the last period.
    pub(super) fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Numbers counters that no producer's dictionary holds on to.
    pub(super) fn intern<'a>(
        &mut self,
        events: impl Iterator<Item = (&'a Counter, i64)>,
    ) -> Vec<(CounterId, i64)> {
        let before = self.names().counters();
        let events = events.map(|(counter, delta)| (self.table.intern(counter), delta)).collect();
        self.abandoned += self.names().counters() - before;
        events
    }

    /// A dictionary that held on to this many names is gone.
    pub(super) fn note_abandoned(&mut self, names: usize) {
        self.abandoned += names;
    }

    /// Whether no event waits for its window's end or for the disk.
    pub(super) fn is_empty(&self) -> bool {
        self.table.events() == 0 && self.windows.is_empty()
    }

    /// Events in the open window and in those that wait for the disk.
    pub(super) fn events(&self) -> u64 {
        self.table.events() + self.windows.events()
    }

    /// Σ|δ| of those events.
    pub(super) fn volume(&self) -> u64 {
        self.table.volume().saturating_add(self.windows.volume())
    }

    /// The end of the open window.
    pub(super) fn window_end(&self) -> Time {
        self.windows.end
    }

    /// Sets the end of the open window.
    pub(super) fn set_window_end(&mut self, end: Time) {
        self.windows.end = end;
    }

    /// Ends the window, up to this record.
    pub(super) fn freeze(&mut self, now: Now, window: Duration, to: Lsn) {
        self.windows.end = now.mono + window;
        let window = self.table.take_window();
        self.rates.note(&window, self.table.names());
        self.windows.push(Frozen { ends: Some(now.wall), to, window });
    }

    /// Ends the window, unless one before still waits for the disk: then it goes on.
    pub(super) fn freeze_if_free(&mut self, now: Now, window: Duration, to: Lsn) {
        self.windows.end = now.mono + window;
        if !self.windows.has_whole() {
            self.freeze(now, window, to);
        }
    }

    /// Ends the window of one topic alone, up to this record; whether it had any events.
    pub(super) fn freeze_topic(&mut self, topic: TopicId, to: Lsn) -> bool {
        let Some(window) = self.table.take_topic(topic) else { return false };
        self.rates.note(&window, self.table.names());
        self.windows.push(Frozen { ends: None, to, window });
        true
    }

    /// Takes the oldest window that has ended, if all its records are on disk.
    pub(super) fn take_durable(&mut self, durable: Lsn) -> Option<Frozen> {
        self.windows.take_durable(durable)
    }

    /// The last record of the windows that have ended and wait for the disk; 0 for none.
    pub(super) fn last_frozen(&self) -> Lsn {
        self.windows.last_record()
    }

    /// Whether the windows up to this record wait no more.
    pub(super) fn is_taken(&self, to: Lsn) -> bool {
        self.windows.is_taken(to)
    }

    /// Ends the period of the rates when it is over.
    pub(super) fn handle_time(&mut self, now: Time) {
        self.rates.handle_time(now);
    }

    /// Whether it is worth looking for counters to forget. That takes time by all counters, and so is put off until
    /// about a third of them may go.
    pub(super) fn should_forget(&self) -> bool {
        let enough = ABANDONED_MIN.max(self.names().counters() / 2);
        let is_full = !self.names().has_room(limits::BATCH_EVENTS);
        self.abandoned >= if is_full { 1 } else { enough }
    }

    /// Forgets every counter that nothing here refers to, and none of `used`.
    pub(super) fn forget_all_but(&mut self, used: impl IntoIterator<Item = CounterId>) {
        let mut marks = Marks::none(self.names());
        marks.mark(used);
        marks.mark(self.windows.counters());
        marks.mark(self.near_limit.counters());
        self.table.keep(marks);
        self.abandoned = 0;
    }
}
