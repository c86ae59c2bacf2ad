//! What a root counts of itself, for the metrics page, `countree status` and `/readyz`.

use super::health::{StoreHealth, Work};
use crate::store::StoreError;
use countree_common::cut::Outcome;
use countree_common::shell::metrics::Page;
use countree_common::wire::rpc::NodeStats;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counted by the tasks of one root.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    merges: AtomicU64,
    applied: AtomicU64,
    refused: AtomicU64,
    overflows: AtomicU64,
    unknown: AtomicU64,
    events: AtomicU64,
    counters: AtomicU64,
    events_per_s: Mutex<f64>,
    store_errors: AtomicU64,
    store_micros: AtomicU64,
    last_merge_micros: AtomicU64,
    overflowing: AtomicU64,
    pub(super) leaves: AtomicUsize,
    pub(super) broadcasts: AtomicUsize,
    pub(super) queued_cuts: AtomicUsize,
    pub(super) followed_topics: AtomicUsize,
    pub(super) watermark: AtomicU64,
    store_health: StoreHealth,
    standing: Mutex<Option<String>>,
}

impl Gauges {
    /// A merge has come back after `took`; `events` are those of the applied cuts.
    pub(super) fn merged(&self, answers: &[Result<Outcome, StoreError>], events: u64, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.merges.fetch_add(1, Relaxed);
        self.store_micros.fetch_add(micros, Relaxed);
        self.last_merge_micros.store(micros, Relaxed);
        self.events.fetch_add(events, Relaxed);
        for answer in answers {
            let counter = match answer {
                Ok(Outcome::Applied(_)) => &self.applied,
                Ok(Outcome::Have { .. }) => &self.refused,
                Ok(Outcome::Overflow) => &self.overflows,
                Err(_) => &self.unknown,
            };
            counter.fetch_add(1, Relaxed);
            if let Ok(Outcome::Applied(applied)) = answer {
                self.counters.fetch_add(applied.totals.len() as u64, Relaxed);
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

    /// The store has done what it was asked.
    pub(super) fn store_answered(&self, work: Work) {
        self.store_health.note_success(work);
    }

    /// The store has not.
    pub(super) fn store_failed(&self, work: Work, error: &StoreError) {
        self.store_errors.fetch_add(1, Relaxed);
        self.store_health.note_failure(work, error);
    }

    /// A peer was cut off because it did not keep up.
    pub(super) fn cut_off(&self) {
        self.overflowing.fetch_add(1, Relaxed);
    }

    /// Why the root can't do its work, if it can't.
    pub(super) fn trouble(&self) -> Option<String> {
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        standing.or_else(|| self.store_health.failure())
    }

    /// Why the store is not what it was, if so.
    pub(super) fn set_standing(&self, words: Option<String>) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    /// Events merged since the start.
    pub(super) fn events(&self) -> u64 {
        self.events.load(Relaxed)
    }

    /// Takes the rate of the last while.
    pub(super) fn set_rate(&self, events_per_s: f64) {
        *self.events_per_s.lock().unwrap_or_else(PoisonError::into_inner) = events_per_s;
    }

    /// What a heartbeat says.
    pub(super) fn stats(&self) -> NodeStats {
        NodeStats {
            events_per_s: *self.events_per_s.lock().unwrap_or_else(PoisonError::into_inner),
            connections: (self.leaves.load(Relaxed) + self.broadcasts.load(Relaxed)) as u64,
            entries: self.followed_topics.load(Relaxed) as u64,
            trouble: self.trouble(),
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
            self.merges.load(Relaxed),
        );
        let outcomes = [
            ("applied", &self.applied),
            ("have", &self.refused),
            ("overflow", &self.overflows),
            ("unknown", &self.unknown),
        ];
        for (outcome, count) in outcomes {
            let labels = [("node", node), ("outcome", outcome)];
            page.counter(
                "countree_root_cuts_total",
                "Cuts by what became of them",
                &labels,
                count.load(Relaxed),
            );
        }
        page.counter("countree_root_events_total", "Events merged into the store", &own, self.events());
        page.counter(
            "countree_root_counters_total",
            "Sums merged into the store, one for each counter that a cut changed",
            &own,
            self.counters.load(Relaxed),
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
            seconds(&self.store_micros),
        );
        page.gauge(
            "countree_root_store_latency_seconds",
            "Time that the last merge took in the store",
            &own,
            seconds(&self.last_merge_micros),
        );
        page.gauge(
            "countree_root_queued_cuts",
            "Cuts that wait for the store",
            &own,
            self.queued_cuts.load(Relaxed),
        );
        page.gauge(
            "countree_root_store_unsound",
            "1 while the store is not what it was and no operator has acknowledged that: anything but 0 is an alarm",
            &own,
            u8::from(self.standing.lock().unwrap_or_else(PoisonError::into_inner).is_some()),
        );
        page.gauge("countree_root_leaves", "Connected leaves", &own, self.leaves.load(Relaxed));
        page.gauge(
            "countree_root_broadcasts",
            "Connected broadcast nodes",
            &own,
            self.broadcasts.load(Relaxed),
        );
        page.gauge(
            "countree_root_followed_topics",
            "Topics that broadcast nodes follow",
            &own,
            self.followed_topics.load(Relaxed),
        );
        page.gauge(
            "countree_root_watermark_ms",
            "Time up to which every live leaf's events are merged, in milliseconds since 1970; 0 when not known",
            &own,
            self.watermark.load(Relaxed),
        );
        page.counter(
            "countree_root_cut_off_total",
            "Conversations closed because their peer did not keep up",
            &own,
            self.overflowing.load(Relaxed),
        );
    }
}
