//! Latency at shares of the capacity.

use crate::load::latency::{Percentiles, Point as CurvePoint};
use crate::report::Rows;
use crate::report::number::count;
use serde::Serialize;
use std::time::Duration;

/// The manifest's, for windows and ticks.
const USUAL: Duration = Duration::from_millis(100);

/// The figures at one share.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Point {
    /// The share of the capacity, in percent.
    pub(super) share: u32,
    /// Events per second, as they were due.
    pub(super) rate: f64,
    pub(super) events: u64,
    /// Events per second, as they were acked.
    pub(super) reached: f64,
    /// The time from a change's due time until a viewer was shown it.
    pub(super) screen_ms: Percentiles,
    /// The time from a load event's due time to its ack.
    pub(super) ack_ms: Percentiles,
    /// The ack latency of the changes that viewers wait for, which share a batch with few others.
    pub(super) pulse_ack_ms: Percentiles,
    #[serde(skip)]
    pub(super) screen_curve: Vec<CurvePoint>,
    #[serde(skip)]
    pub(super) ack_curve: Vec<CurvePoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) complaint: Option<String>,
}

/// The result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figures {
    /// Events per second that the cluster takes and merges.
    pub(super) capacity: f64,
    pub(super) window_ms: f64,
    pub(super) tick_ms: f64,
    pub(super) points: Vec<Point>,
    /// Every total is what was sent, and every viewer was shown the last one.
    pub(super) exact: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) complaint: Option<String>,
}

impl Figures {
    pub(super) fn new(
        capacity: f64,
        window: Option<Duration>,
        tick: Option<Duration>,
        points: Vec<Point>,
        complaint: Option<String>,
    ) -> Self {
        let ms = |length: Option<Duration>| length.unwrap_or(USUAL).as_secs_f64() * 1e3;
        let exact = complaint.is_none();
        Self { capacity, window_ms: ms(window), tick_ms: ms(tick), points, exact, complaint }
    }

    /// The first error; `None` when all is right.
    pub(super) fn verdict(&self) -> Option<String> {
        self.complaint.clone()
    }

    /// A curve for each share.
    pub(super) fn curves(&self, of: impl Fn(&Point) -> &Vec<CurvePoint>) -> Vec<(String, Vec<CurvePoint>)> {
        self.points.iter().map(|point| (format!("{} %", point.share), of(point).clone())).collect()
    }

    /// The figures in words and numbers.
    pub(super) fn rows(&self) -> Rows {
        let mut rows = vec![("capacity", format!("{} events/s, acked and merged", count(self.capacity)))];
        for point in &self.points {
            let Point { share, rate, reached, screen_ms, ack_ms, pulse_ack_ms, .. } = point;
            rows.push((
                "load",
                format!("{share} %: {} events/s due, {} acked", count(*rate), count(*reached)),
            ));
            rows.push(("to a screen", screen_ms.to_string()));
            rows.push(("to the ack", ack_ms.to_string()));
            // On the way to a screen a change waits for its ack, then on average half a window and half a tick.
            let (window, tick, ack) = (self.window_ms / 2.0, self.tick_ms / 2.0, pulse_ack_ms.p50);
            let rest = screen_ms.p50 - window - tick - ack;
            rows.push((
                "of the p50",
                format!(
                    "{window:.0} ms half a window, {tick:.0} ms half a tick, {ack:.1} ms batching, network and group \
                     commit, {rest:.1} ms all else"
                ),
            ));
        }
        let exact = if self.exact { "yes: every total, and every viewer's last sight" } else { "NO" };
        rows.push(("exact", exact.into()));
        rows
    }
}
