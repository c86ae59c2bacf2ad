//! Records ack latencies, and sums them up by percentile.

use countree_client::AckedBatch;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Latencies above this are recorded as this, in µs: ten minutes.
const MICROS_MAX: u64 = 600 * 1_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;
/// Points of the curve for each factor of ten in rarity.
const POINTS_PER_DECADE: u32 = 16;

/// Records the acks of all producers.
#[derive(Debug)]
pub(crate) struct AckLatency {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    micros: Histogram<u64>,
    last_ack: Option<Instant>,
}

/// An empty histogram of latencies in µs.
///
/// # Errors
/// Never, for these constants; the histogram can't know.
pub(crate) fn histogram() -> Result<Histogram<u64>, hdrhistogram::CreationError> {
    Histogram::new_with_bounds(1, MICROS_MAX, SIGNIFICANT_DIGITS)
}

/// Latency at some percentiles, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Percentiles {
    /// Reads the percentiles from latencies in µs.
    pub(crate) fn of(micros: &Histogram<u64>) -> Self {
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1e3;
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: micros.max() as f64 / 1e3 }
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p999, max } = self;
        write!(f, "p50 {p50:.1}, p90 {p90:.1}, p99 {p99:.1}, p99.9 {p999:.1}, max {max:.1} ms")
    }
}

/// One point of the percentile curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// The share of events that waited longer, above 0 and at most 1.
    pub(crate) slower: f64,
    /// The longest wait of the other events.
    pub(crate) ms: f64,
}

impl AckLatency {
    /// Starts empty.
    ///
    /// # Errors
    /// Never, for these constants; the histogram can't know.
    pub(crate) fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self { state: Mutex::new(State { micros: histogram()?, last_ack: None }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up a batch. Each of its events is said to have waited as long as the oldest: no event is
    /// shown faster than it was.
    pub(crate) fn record(&self, batch: AckedBatch) {
        let waited = batch.acked.saturating_duration_since(batch.first_queued);
        let mut state = self.state();
        state.micros.saturating_record_n(waited.as_micros().max(1) as u64, batch.events);
        state.last_ack = state.last_ack.max(Some(batch.acked));
    }

    /// Forgets everything so far.
    pub(crate) fn begin(&self) {
        let mut state = self.state();
        state.micros.reset();
        state.last_ack = None;
    }

    /// The number of acked events.
    pub(crate) fn acked(&self) -> u64 {
        self.state().micros.len()
    }

    /// The time of the last ack.
    pub(crate) fn last_ack(&self) -> Option<Instant> {
        self.state().last_ack
    }

    /// The percentiles.
    pub(crate) fn percentiles(&self) -> Percentiles {
        Percentiles::of(&self.state().micros)
    }

    /// The whole curve, from the fastest to the slowest event.
    pub(crate) fn curve(&self) -> Vec<Point> {
        curve(&self.state().micros)
    }
}

/// The curve of latencies in µs, from the fastest to the slowest.
pub(crate) fn curve(micros: &Histogram<u64>) -> Vec<Point> {
    let rarest = 1.0 / micros.len().max(1) as f64;
    let slower = |step: u32| 0.1f64.powf(f64::from(step) / f64::from(POINTS_PER_DECADE));
    let inner = (0..).map(slower).take_while(|&slower| slower > rarest);
    inner
        .chain([rarest])
        .map(|slower| Point { slower, ms: micros.value_at_quantile(1.0 - slower) as f64 / 1e3 })
        .collect()
}

#[cfg(test)]
#[path = "latency_tests.rs"]
mod tests;
