//! The core's figures, for heartbeats, metrics and readiness.

use crate::machine::{BroadcastMachine, Stats};
use countree_common::shell::metrics::Page;
use countree_common::time::Time;
use countree_common::wire::rpc::NodeStats;
use std::time::Duration;
use tokio::sync::watch;

/// Window of the largest staleness.
const STALENESS_WINDOW: Duration = Duration::from_secs(1);
/// Time for which a starting node waits for a first root; only after it is a lack of roots a problem.
pub(super) const FIRST_ROOT: Duration = Duration::from_secs(5);

/// The core's figures at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Report {
    pub(super) viewers: usize,
    pub(super) topics: usize,
    /// Connected roots.
    pub(super) roots: usize,
    /// Whether a root was connected, or should be by now.
    expects_roots: bool,
    pub(super) stats: Stats,
}

impl Report {
    pub(super) fn trouble(&self) -> Option<String> {
        (self.roots == 0).then(|| "no root sends totals: check that a root runs and can be reached".into())
    }

    pub(super) fn node_stats(&self) -> NodeStats {
        NodeStats {
            connections: self.viewers as u64,
            entries: self.topics as u64,
            trouble: self.trouble().filter(|_| self.expects_roots),
            ..NodeStats::default()
        }
    }

    pub(super) fn write(&self, node: &str, page: &mut Page) {
        let labels = &[("node", node)];
        let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
        let Self { viewers, topics, roots, stats, .. } = self;
        let mut gauge = |name, help, value: f64| page.gauge(name, help, labels, value);
        gauge("countree_broadcast_viewers", "Viewers, over QUIC and HTTP.", *viewers as f64);
        gauge("countree_broadcast_topics", "Topics held.", *topics as f64);
        gauge("countree_broadcast_roots", "Roots that send totals.", *roots as f64);
        gauge(
            "countree_broadcast_staleness_max_seconds",
            "Largest age of a change when it was sent, over the last second.",
            seconds(stats.staleness_max_us),
        );
        let mut counter = |name, help, value: u64| page.counter(name, help, labels, value);
        counter(
            "countree_broadcast_deliveries_total",
            "Changes or snapshots of one topic sent to one viewer.",
            stats.deliveries,
        );
        counter("countree_broadcast_datagrams_total", "Datagrams sent.", stats.datagrams);
        counter("countree_broadcast_stream_writes_total", "Stretches of stream sent.", stats.streams);
        counter("countree_broadcast_bytes_total", "Bytes sent, before QUIC and HTTP.", stats.bytes);
        counter(
            "countree_broadcast_skips_total",
            "How often a viewer had no room for what had changed.",
            stats.skips,
        );
        page.counter(
            "countree_broadcast_staleness_seconds_total",
            "Sum over deliveries of the age of the oldest change in them.",
            labels,
            seconds(stats.staleness_us),
        );
    }
}

/// Keeps the report current.
#[derive(Debug)]
pub(super) struct Reporter {
    reports: watch::Sender<Report>,
    window_began: Time,
    first_report: Option<Time>,
    /// The largest staleness in the present window, in microseconds; the report shows the last whole window.
    staleness_max_us: u64,
}

impl Reporter {
    pub(super) fn new(reports: watch::Sender<Report>) -> Self {
        Self { reports, window_began: Time(0), first_report: None, staleness_max_us: 0 }
    }

    pub(super) fn report(&mut self, machine: &mut BroadcastMachine, now: Time) {
        let mut stats = machine.take_stats();
        self.staleness_max_us = self.staleness_max_us.max(stats.staleness_max_us);
        stats.staleness_max_us = self.reports.borrow().stats.staleness_max_us;
        if now.since(self.window_began) >= STALENESS_WINDOW {
            self.window_began = now;
            stats.staleness_max_us = std::mem::take(&mut self.staleness_max_us);
        }
        let (viewers, topics, roots) = (machine.viewers(), machine.topics(), machine.connected_roots());
        let began = *self.first_report.get_or_insert(now);
        let expects_roots =
            roots > 0 || self.reports.borrow().expects_roots || now.since(began) >= FIRST_ROOT;
        self.reports.send_replace(Report { viewers, topics, roots, expects_roots, stats });
    }
}
