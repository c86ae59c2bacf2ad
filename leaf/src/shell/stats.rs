//! Keeps the latest report of the machine, for heartbeats and metrics.

use super::inputs::{CoreHandle, Input, Latest};
use countree_common::cluster::NodeName;
use countree_common::shell::metrics::Page;
use countree_common::shell::shutdown::Shutdown;
use countree_common::wire::rpc::{NodeStats, StreamProgress};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The interval at which the machine is asked.
const STATS_EVERY: Duration = Duration::from_millis(250);

/// The latest report. Copies are of the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Stats {
    latest: Arc<Mutex<Latest>>,
}

impl Stats {
    fn latest(&self) -> Latest {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The report for a heartbeat.
    pub(super) fn for_heartbeat(&self) -> (NodeStats, StreamProgress) {
        let Latest { stats, reached, .. } = self.latest();
        (stats, reached)
    }

    /// The reason why the leaf can't do its work, if there is one.
    pub(super) fn trouble(&self) -> Option<String> {
        self.latest().stats.trouble
    }

    /// Asks the machine again and again, until `shutdown`.
    pub(super) async fn watch(self, core: CoreHandle, shutdown: Shutdown) {
        while !shutdown.has_begun() {
            let Some(latest) = core.ask(Input::Stats).await else { return };
            *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = latest;
            tokio::select! {
                () = tokio::time::sleep(STATS_EVERY) => {}
                () = shutdown.begun() => {}
            }
        }
    }

    /// Writes the leaf's metrics; `missing` streams should have been in the log when it started.
    pub(super) fn write_metrics(&self, leaf: &NodeName, missing: usize, page: &mut Page) {
        let Latest { stats, imbalances, .. } = self.latest();
        let labels = [("node", leaf.as_str())];
        page.gauge(
            "countree_leaf_events_per_second",
            "Events accepted, over the last second.",
            &labels,
            stats.events_per_s,
        );
        page.gauge("countree_leaf_lag_milliseconds", "Age of what is not merged yet.", &labels, stats.lag_ms);
        page.gauge("countree_leaf_producers", "Connected producers.", &labels, stats.connections);
        page.gauge("countree_leaf_counters", "Counters in memory.", &labels, stats.entries);
        page.gauge("countree_leaf_log_bytes", "Bytes of the live stream's log.", &labels, stats.log_bytes);
        page.gauge(
            "countree_leaf_missing_streams",
            "Streams that should have been in the log when the leaf started, and were not.",
            &labels,
            missing as f64,
        );
        page.counter(
            "countree_leaf_imbalances_total",
            "Merges whose count was not the leaf's own.",
            &labels,
            imbalances,
        );
    }
}
