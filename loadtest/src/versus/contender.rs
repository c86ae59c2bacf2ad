//! One contender of a comparison, and the results of its rounds.

use crate::report::spread::Spread;
use serde::Serialize;

/// One round of one contender.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Turn {
    /// Events that were counted.
    pub(super) events: u64,
    pub(super) elapsed_s: f64,
    /// Processor seconds of every process of the contender.
    pub(super) core_s: f64,
    /// Processor seconds of the leaf alone, where there is one.
    pub(super) leaf_core_s: Option<f64>,
}

impl Turn {
    pub(super) fn per_core(&self) -> f64 {
        // Below a tick of the kernel's clock nothing was measured.
        self.events as f64 / self.core_s.max(0.01)
    }

    pub(super) fn per_leaf_core(&self) -> Option<f64> {
        self.leaf_core_s.map(|seconds| self.events as f64 / seconds.max(0.01))
    }
}

/// The results of a contender's rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    /// The name of the measurement.
    #[serde(rename = "side")]
    pub(super) contender: String,
    /// The processes whose time is counted.
    pub(super) counted: &'static str,
    /// The point at which an answer means that the event survives a crash.
    pub(super) durable: &'static str,
    pub(super) events_per_s: Option<Spread>,
    pub(super) events_per_core_s: Option<Spread>,
    /// Whether every total was what was sent. `None` where the contender can't tell.
    pub(super) exact: Option<bool>,
    /// The reason that it was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) skipped: Option<String>,
}

impl Row {
    /// Sums up one contender's rounds; `rate` is each round's result per core-second.
    pub(super) fn of(
        contender: &str,
        counted: &'static str,
        durable: &'static str,
        turns: &[Turn],
        rate: impl Fn(&Turn) -> Option<f64>,
        exact: Option<bool>,
    ) -> Self {
        let pace = |turn: &Turn| turn.events as f64 / turn.elapsed_s.max(f64::MIN_POSITIVE);
        Self {
            contender: contender.into(),
            counted,
            durable,
            events_per_s: Spread::of(turns.iter().map(pace)),
            events_per_core_s: Spread::of(turns.iter().filter_map(rate)),
            exact,
            skipped: None,
        }
    }

    /// One that can't be measured here.
    pub(super) fn skipped(contender: &str, why: &str) -> Self {
        Self { skipped: Some(why.into()), ..Self::of(contender, "", "", &[], |_| None, None) }
    }
}
