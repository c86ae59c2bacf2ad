//! The results of a run of resizes.

use crate::load::latency::Percentiles;
use crate::report::Rows;
use crate::report::number::thousands;
use serde::{Deserialize, Serialize};

/// One resize.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Resize {
    /// The sizes that it led to.
    pub(super) to: String,
    /// The time of `countree apply`, with its audit, in seconds.
    pub(super) seconds: f64,
    /// The ack latencies meanwhile.
    pub(super) ack_ms: Percentiles,
    /// The shares that moved.
    pub(super) moves: Moves,
}

/// The shares that move, as `countree plan --json` prints them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Moves {
    pub(super) items: Share,
    pub(super) topics: Share,
    pub(super) keys: Share,
    pub(super) viewers: Share,
}

/// A share that moves, next to the least possible.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Share {
    pub(super) moves: f64,
    pub(super) ideal: f64,
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    pub(super) resizes: Vec<Resize>,
    pub(super) seconds: f64,
    /// Events that were acked, over QUIC and HTTP.
    pub(super) acked: u64,
    /// Events that are missing in the totals, and that are there too often.
    pub(super) lost: u64,
    pub(super) double: u64,
    pub(super) balanced: bool,
    pub(super) ack_ms: Percentiles,
    pub(super) keyed_repeats: u64,
    pub(super) keyed_refusals: u64,
    pub(super) viewer_updates: u64,
    pub(super) viewer_steps_back: u64,
    pub(super) longest_viewer_gap_s: f64,
    pub(super) complaints: Vec<String>,
}

impl Figures {
    fn worst(&self, of: impl Fn(&Resize) -> f64) -> f64 {
        self.resizes.iter().map(of).fold(0.0, f64::max)
    }

    /// The largest excess of what moved over the least possible, in percent of that.
    fn excess(&self, of: impl Fn(&Moves) -> Share) -> f64 {
        self.worst(|resize| {
            let Share { moves, ideal } = of(&resize.moves);
            if ideal > 0.0 { (moves / ideal - 1.0) * 100.0 } else { 0.0 }
        })
    }

    /// Formats it for people.
    pub(super) fn rows(&self) -> Rows {
        let excess = |name: &str, of: fn(&Moves) -> Share| format!("{name} {:+.1} %", self.excess(of));
        let excesses =
            [excess("items", |m| m.items), excess("keys", |m| m.keys), excess("topics", |m| m.topics)];
        vec![
            (
                "resizes",
                format!(
                    "{} in {:.0} s, none longer than {:.1} s",
                    self.resizes.len(),
                    self.seconds,
                    self.worst(|r| r.seconds)
                ),
            ),
            (
                "events",
                format!("{} acked, {} lost, {} double", thousands(self.acked), self.lost, self.double),
            ),
            ("ledger", if self.balanced { "balanced" } else { "OUT OF BALANCE" }.into()),
            ("acks", self.ack_ms.to_string()),
            (
                "worst resize",
                format!(
                    "p99 {:.0} ms, max {:.0} ms",
                    self.worst(|r| r.ack_ms.p99),
                    self.worst(|r| r.ack_ms.max)
                ),
            ),
            ("over ideal", excesses.join(", ")),
            (
                "keyed",
                format!(
                    "{} repeats across resizes, {} refusals before one was taken",
                    self.keyed_repeats, self.keyed_refusals
                ),
            ),
            (
                "viewers",
                format!(
                    "{} updates, {} steps back, longest gap {:.2} s",
                    thousands(self.viewer_updates),
                    self.viewer_steps_back,
                    self.longest_viewer_gap_s
                ),
            ),
        ]
    }
}
