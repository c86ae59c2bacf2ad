//! The results of a fanout run.

use crate::arguments::Show;
use crate::audience::Deliveries;
use crate::cluster::usage::Usage;
use crate::load::latency::{Percentiles, Point};
use crate::report::Rows;
use crate::report::number::{count, thousands};
use serde::Serialize;
use std::time::Duration;

/// Readings during the run.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) elapsed: Duration,
    /// The processor time from the first change until every viewer had seen the last.
    pub(super) used: Usage,
    pub(super) own: f64,
    /// The broadcast node's processor time while viewers connected.
    pub(super) connecting: Option<f64>,
    /// The growth of the broadcast node's memory meanwhile.
    pub(super) bytes: Option<u64>,
    pub(super) datagrams: Option<u64>,
    /// Viewers that never saw the last total.
    pub(super) behind: usize,
    pub(super) wrong_topics: u32,
    /// Whether a viewer saw more than was sent.
    pub(super) beyond: bool,
}

/// The result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figures {
    pub(crate) viewers: u32,
    pub(crate) topics: u32,
    /// The number of counters of each topic.
    pub(crate) counters: u32,
    /// Changes per second asked for.
    pub(crate) rate: f64,
    pub(crate) seconds: f64,
    /// Updates that viewers got.
    pub(crate) deliveries: u64,
    pub(crate) deliveries_per_s: f64,
    /// Deliveries for each change and viewer; below 1 where changes were shown together.
    pub(crate) deliveries_per_change: f64,
    /// Datagrams that the node sent, where it tells.
    pub(crate) datagrams: Option<u64>,
    /// The broadcast node's processor time.
    pub(crate) server_core_s: Option<f64>,
    pub(crate) server_parts_s: Usage,
    pub(crate) server_us_per_delivery: Option<f64>,
    pub(crate) deliveries_per_core_s: Option<f64>,
    /// Counters shown anew, per core-second of the broadcast node.
    pub(crate) counter_updates_per_core_s: Option<f64>,
    /// The time from a change's due time until a viewer saw it, for every change and viewer.
    pub(crate) staleness_ms: Percentiles,
    /// The broadcast node's memory for each viewer.
    pub(crate) bytes_per_viewer: Option<f64>,
    /// The broadcast node's processor time for each viewer that connects.
    pub(crate) connect_us: Option<f64>,
    pub(crate) loadtest_core_s: f64,
    pub(crate) steps_back: u64,
    /// Viewers that never saw the last total.
    pub(crate) viewers_behind: usize,
    /// Every total is what was sent, and every viewer was shown it.
    pub(crate) exact: bool,
    #[serde(skip)]
    pub(crate) curve: Vec<Point>,
}

impl Figures {
    pub(super) fn new(show: &Show, delivered: Deliveries, measured: Measured) -> Self {
        let Deliveries { deliveries, steps_back, staleness_ms, curve } = delivered;
        let Measured { elapsed, used, own, connecting, bytes, datagrams, behind, wrong_topics, beyond } =
            measured;
        let viewers = f64::from(show.viewers);
        let server_core_s = used.of("broadcast");
        let rate = server_core_s.filter(|seconds| *seconds > 0.0).map(|seconds| deliveries as f64 / seconds);
        Self {
            viewers: show.viewers,
            topics: show.topics,
            counters: show.counters,
            rate: show.rate,
            seconds: show.seconds,
            deliveries,
            deliveries_per_s: deliveries as f64 / elapsed.as_secs_f64(),
            deliveries_per_change: deliveries as f64 / (viewers * show.changes() as f64),
            datagrams,
            server_core_s,
            server_parts_s: used,
            server_us_per_delivery: rate.map(|rate| 1e6 / rate),
            deliveries_per_core_s: rate,
            counter_updates_per_core_s: rate.map(|rate| rate * f64::from(show.counters)),
            staleness_ms,
            bytes_per_viewer: bytes.map(|bytes| bytes as f64 / viewers),
            connect_us: connecting.map(|seconds| seconds * 1e6 / viewers),
            loadtest_core_s: own,
            steps_back,
            viewers_behind: behind,
            exact: behind == 0 && wrong_topics == 0 && steps_back == 0 && !beyond,
            curve,
        }
    }

    /// The first error; `None` when all is right.
    pub(crate) fn verdict(&self) -> Option<String> {
        match (self.exact, self.viewers_behind, self.steps_back) {
            (true, ..) => None,
            (_, 0, 0) => Some("the totals are not what was sent".into()),
            (_, 0, steps) => Some(format!("viewers were shown {steps} steps back")),
            (_, behind, _) => Some(format!("{behind} viewers were never shown the last total")),
        }
    }

    /// The figures in words and numbers.
    pub(crate) fn rows(&self) -> Rows {
        let shape = format!(
            "{} viewers of {} topics with {} counters, changed {} times a second for {} s",
            thousands(u64::from(self.viewers)),
            self.topics,
            self.counters,
            self.rate,
            self.seconds
        );
        let shown = format!(
            "{} deliveries, {} a second, {:.2} for each change and viewer",
            thousands(self.deliveries),
            count(self.deliveries_per_s),
            self.deliveries_per_change
        );
        let mut rows = vec![("show", shape), ("shown", shown)];
        if let (Some(seconds), Some(us), Some(rate)) =
            (self.server_core_s, self.server_us_per_delivery, self.deliveries_per_core_s)
        {
            rows.push((
                "server CPU",
                format!("{seconds:.2} core-seconds of the broadcast node, {us:.2} µs a delivery"),
            ));
            let counters = self.counter_updates_per_core_s.unwrap_or(rate);
            let rate = format!("{} deliveries per core-second, {} counters", count(rate), count(counters));
            rows.push(("per core", rate));
        }
        rows.push(("staleness", self.staleness_ms.to_string()));
        if let Some(bytes) = self.bytes_per_viewer {
            rows.push(("memory", format!("{:.1} KB a viewer", bytes / 1e3)));
        }
        if let Some(us) = self.connect_us {
            rows.push(("connecting", format!("{us:.0} µs of server CPU a viewer")));
        }
        rows.push(("loadtest CPU", format!("{:.2} core-seconds", self.loadtest_core_s)));
        let exact = if self.exact { "yes: every viewer was shown every last total" } else { "NO" };
        rows.push(("exact", exact.into()));
        rows
    }
}
