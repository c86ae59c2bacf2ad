//! Counts and gauges of a root, for the metrics page, `countree status` and `/readyz`.

use super::health::{StoreHealth, Work};
use crate::store::StoreError;
use countree_common::cut::Outcome;
use countree_common::shell::metrics::Page;
use countree_common::wire::rpc::NodeStats;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counts of merges and of their outcomes.
#[derive(Debug, Default)]
struct MergeCounts {
    merges: AtomicU64,
    applied: AtomicU64,
    refused: AtomicU64,
    overflows: AtomicU64,
    unknown: AtomicU64,
    events: AtomicU64,
    counters: AtomicU64,
    /// Time that merges took in the store, in microseconds: all of them, and the last one.
    store_micros: AtomicU64,
    last_micros: AtomicU64,
}

/// The core's state after its last input.
#[derive(Debug, Default)]
pub(super) struct CoreGauges {
    pub(super) leaves: AtomicUsize,
    pub(super) broadcasts: AtomicUsize,
    pub(super) queued_cuts: AtomicUsize,
    pub(super) followed_topics: AtomicUsize,
    pub(super) watermark: AtomicU64,
}

/// Counts and gauges of one root, written by its tasks.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    merged: MergeCounts,
    pub(super) core: CoreGauges,
    events_per_s: Mutex<f64>,
    store_errors: AtomicU64,
    overflowing: AtomicU64,
    store_health: StoreHealth,
    /// The reason why the store is not what it was.
    store_problem: Mutex<Option<String>>,
}

impl Gauges {
    /// Notes that a merge came back after `took`; `events` are those of the applied cuts.
    pub(super) fn merged(&self, answers: &[Result<Outcome, StoreError>], events: u64, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.merged.merges.fetch_add(1, Relaxed);
        self.merged.store_micros.fetch_add(micros, Relaxed);
        self.merged.last_micros.store(micros, Relaxed);
        self.merged.events.fetch_add(events, Relaxed);
        for answer in answers {
            let counter = match answer {
                Ok(Outcome::Applied(_)) => &self.merged.applied,
                Ok(Outcome::Have { .. }) => &self.merged.refused,
                Ok(Outcome::Overflow) => &self.merged.overflows,
                Err(_) => &self.merged.unknown,
            };
            counter.fetch_add(1, Relaxed);
            if let Ok(Outcome::Applied(applied)) = answer {
                self.merged.counters.fetch_add(applied.totals.len() as u64, Relaxed);
            }
        }
        let mut errors = answers.iter().filter_map(|a| a.as_ref().err()).peekable();
        if errors.peek().is_none() {
            return self.store_answered(Work::Writing);
        }
        self.store_errors.fetch_add(1, Relaxed);
        for e in errors {
            self.store_health.note_failure(Work::Writing, e);
        }
    }

    /// Notes that a store call succeeded.
    pub(super) fn store_answered(&self, work: Work) {
        self.store_health.note_success(work);
    }

    /// Notes that a store call failed.
    pub(super) fn store_failed(&self, work: Work, error: &StoreError) {
        self.store_errors.fetch_add(1, Relaxed);
        self.store_health.note_failure(work, error);
    }

    /// Notes that a peer was cut off because it did not keep up.
    pub(super) fn cut_off(&self) {
        self.overflowing.fetch_add(1, Relaxed);
    }

    /// The reason why the root can't do its work; `None` while it can.
    pub(super) fn problem(&self) -> Option<String> {
        let unsound = self.store_problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        unsound.or_else(|| self.store_health.failure())
    }

    /// Sets the reason why the store is not what it was.
    pub(super) fn set_store_problem(&self, problem: Option<String>) {
        *self.store_problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// Events merged since the start.
    pub(super) fn events(&self) -> u64 {
        self.merged.events.load(Relaxed)
    }

    /// Sets the rate of events, as measured between two heartbeats.
    pub(super) fn set_rate(&self, events_per_s: f64) {
        *self.events_per_s.lock().unwrap_or_else(PoisonError::into_inner) = events_per_s;
    }

    /// The figures that a heartbeat carries.
    pub(super) fn stats(&self) -> NodeStats {
        NodeStats {
            events_per_s: *self.events_per_s.lock().unwrap_or_else(PoisonError::into_inner),
            connections: (self.core.leaves.load(Relaxed) + self.core.broadcasts.load(Relaxed)) as u64,
            entries: self.core.followed_topics.load(Relaxed) as u64,
            trouble: self.problem(),
            ..NodeStats::default()
        }
    }

    /// Writes everything to a metrics page.
    pub(super) fn write(&self, node: &str, page: &mut Page) {
        let own = [("node", node)];
        let seconds = |micros: &AtomicU64| micros.load(Relaxed) as f64 / 1e6;
        page.counter(
            "countree_root_merges_total",
            "Batches merged into the store",
            &own,
            self.merged.merges.load(Relaxed),
        );
        let outcomes = [
            ("applied", &self.merged.applied),
            ("have", &self.merged.refused),
            ("overflow", &self.merged.overflows),
            ("unknown", &self.merged.unknown),
        ];
        for (outcome, count) in outcomes {
            let labels = [("node", node), ("outcome", outcome)];
            page.counter("countree_root_cuts_total", "Cuts by outcome", &labels, count.load(Relaxed));
        }
        page.counter("countree_root_events_total", "Events merged into the store", &own, self.events());
        page.counter(
            "countree_root_counters_total",
            "Sums merged into the store, one for each counter that a cut changed",
            &own,
            self.merged.counters.load(Relaxed),
        );
        page.counter(
            "countree_root_store_errors_total",
            "Store calls that failed",
            &own,
            self.store_errors.load(Relaxed),
        );
        page.counter(
            "countree_root_store_seconds_total",
            "Time that merges took in the store",
            &own,
            seconds(&self.merged.store_micros),
        );
        page.gauge(
            "countree_root_store_latency_seconds",
            "Time that the last merge took in the store",
            &own,
            seconds(&self.merged.last_micros),
        );
        page.gauge(
            "countree_root_queued_cuts",
            "Cuts that wait for the store",
            &own,
            self.core.queued_cuts.load(Relaxed),
        );
        page.gauge(
            "countree_root_store_unsound",
            "1 while the store is not what it was and no operator has acknowledged that: anything but 0 is an alarm",
            &own,
            u8::from(self.store_problem.lock().unwrap_or_else(PoisonError::into_inner).is_some()),
        );
        page.gauge("countree_root_leaves", "Connected leaves", &own, self.core.leaves.load(Relaxed));
        page.gauge(
            "countree_root_broadcasts",
            "Connected broadcast nodes",
            &own,
            self.core.broadcasts.load(Relaxed),
        );
        page.gauge(
            "countree_root_followed_topics",
            "Topics that broadcast nodes follow",
            &own,
            self.core.followed_topics.load(Relaxed),
        );
        page.gauge(
            "countree_root_watermark_ms",
            "Time up to which every live leaf's events are merged, in milliseconds since 1970; 0 when not known",
            &own,
            self.core.watermark.load(Relaxed),
        );
        page.counter(
            "countree_root_cut_off_total",
            "Conversations closed because their peer did not keep up",
            &own,
            self.overflowing.load(Relaxed),
        );
    }
}
