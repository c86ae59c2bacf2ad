//! The result: as JSON for programs, and as a table for people.

use crate::latency::Percentiles;
use crate::plan::Plan;
use countree_client::Tally;
use countree_common::key::Counter;
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;

/// Differences that are spelled out; the others are only counted.
const DIFFERENCES_SHOWN: usize = 20;

/// A counter whose total is not what was sent to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Difference {
    #[serde(flatten)]
    pub(crate) counter: Counter,
    pub(crate) expected: i64,
    pub(crate) counted: i64,
}

/// Processor time in seconds, from the first send on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Processors {
    /// The server's until the last ack; none for a cluster that was not started for this.
    pub(crate) server_acked: Option<f64>,
    /// The server's until everything was merged.
    pub(crate) server_merged: Option<f64>,
    /// That of this process until the last ack.
    pub(crate) own: f64,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Asked for.
    pub(crate) events: u64,
    pub(crate) acked: u64,
    pub(crate) rejected: u64,
    pub(crate) in_doubt: u64,
    pub(crate) keys: u32,
    pub(crate) topics: u32,
    pub(crate) zipf: f64,
    pub(crate) producers: u16,
    /// Asked for; none is as fast as possible.
    pub(crate) rate: Option<f64>,
    pub(crate) seed: u64,
    /// From the first send to the last ack.
    pub(crate) elapsed_s: f64,
    /// Acked events over `elapsed_s`.
    pub(crate) events_per_s: f64,
    /// From the first send until everything was in the store.
    pub(crate) merged_s: f64,
    /// The server's processor time until everything was in the store: the whole work.
    pub(crate) server_core_s: Option<f64>,
    /// The part of it that was used by the last ack.
    pub(crate) server_core_acked_s: Option<f64>,
    /// Acked events over `server_core_s`.
    pub(crate) events_per_core_s: Option<f64>,
    /// This process's processor time until the last ack.
    pub(crate) loadtest_core_s: f64,
    pub(crate) ack_ms: Percentiles,
    /// What the leaves' logs grew by, where the cluster tells.
    pub(crate) log_bytes: Option<u64>,
    /// Every event was acked, and every total is what it must be.
    pub(crate) exact: bool,
    /// Counters with another total than expected.
    pub(crate) different_counters: usize,
    /// The first of them.
    pub(crate) differences: Vec<Difference>,
    /// Why events were not acked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl Figures {
    #[allow(clippy::too_many_arguments, reason = "each is one measurement")]
    pub(crate) fn new(
        plan: &Plan,
        tally: &Tally,
        elapsed: Duration,
        merged: Duration,
        processors: Processors,
        ack_ms: Percentiles,
        log_bytes: Option<u64>,
        mut differences: Vec<Difference>,
    ) -> Self {
        let different_counters = differences.len();
        differences.truncate(DIFFERENCES_SHOWN);
        let per = |seconds: f64| tally.acked as f64 / seconds.max(f64::MIN_POSITIVE);
        // Below a tick of the kernel's clock nothing was measured.
        let server_core_s = processors.server_merged;
        Self {
            events: plan.events,
            acked: tally.acked,
            rejected: tally.rejected,
            in_doubt: tally.in_doubt,
            keys: plan.keys,
            topics: plan.topics,
            zipf: plan.exponent,
            producers: plan.producers,
            rate: plan.rate,
            seed: plan.seed,
            elapsed_s: elapsed.as_secs_f64(),
            events_per_s: per(elapsed.as_secs_f64()),
            merged_s: merged.as_secs_f64(),
            server_core_s,
            server_core_acked_s: processors.server_acked,
            events_per_core_s: server_core_s.filter(|&seconds| seconds > 0.0).map(per),
            loadtest_core_s: processors.own,
            ack_ms,
            log_bytes,
            exact: different_counters == 0 && tally.acked == plan.events,
            different_counters,
            differences,
            error: tally.errors.last().cloned(),
        }
    }

    /// What is wrong, if something is.
    pub(crate) fn verdict(&self) -> Option<String> {
        let missing = self.events - self.acked.min(self.events);
        if missing > 0 {
            let why = self.error.as_deref().unwrap_or("no reason is known");
            return Some(format!("{} of {} events were not acked: {why}", missing, self.events));
        }
        let first = self.differences.first()?;
        Some(format!(
            "{} counters are not exact; the first: {}",
            self.different_counters,
            show_difference(first)
        ))
    }

    /// The figures in words and numbers, one to a line.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let pace = self.rate.map_or("as fast as accepted".into(), |rate| format!("{} a second", count(rate)));
        let shape = format!(
            "{} counters in {} topics, Zipf {}, {} producers",
            thousands(u64::from(self.keys)),
            thousands(u64::from(self.topics)),
            self.zipf,
            self.producers
        );
        let mut rows = vec![
            ("events", format!("{}, {pace}", thousands(self.events))),
            ("spread", shape),
            ("acked", format!("{} in {:.2} s", thousands(self.acked), self.elapsed_s)),
            ("rate", format!("{} events/s", count(self.events_per_s))),
            ("all merged", format!("after {:.2} s", self.merged_s)),
        ];
        if let (Some(merged), Some(acked)) = (self.server_core_s, self.server_core_acked_s) {
            rows.push(("server CPU", format!("{merged:.2} core-seconds ({acked:.2} by the last ack)")));
        }
        if let Some(rate) = self.events_per_core_s {
            rows.push(("per core", format!("{} events per server core-second", count(rate))));
        }
        rows.push(("loadtest CPU", format!("{:.2} core-seconds", self.loadtest_core_s)));
        let Percentiles { p50, p90, p99, p999, max } = self.ack_ms;
        let quantiles = format!("p50 {p50:.1}, p90 {p90:.1}, p99 {p99:.1}, p99.9 {p999:.1}, max {max:.1} ms");
        rows.push(("ack latency", quantiles));
        if let Some(bytes) = self.log_bytes {
            let each = bytes as f64 / self.acked.max(1) as f64;
            rows.push(("log", format!("{:.1} MB, {each:.2} bytes an event", bytes as f64 / 1e6)));
        }
        rows.push(("exact", self.exactness()));
        rows
    }

    fn exactness(&self) -> String {
        match (self.exact, self.different_counters) {
            (true, _) => "yes: every counter has the total that was sent".into(),
            (false, 0) => "no: not every event was acked".into(),
            (false, counters) => format!("NO: {counters} counters have other totals"),
        }
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.rows() {
            let _ = writeln!(text, "{name:<13}{value}");
        }
        for difference in &self.differences {
            let _ = writeln!(text, "  {}", show_difference(difference));
        }
        text.trim_end().to_owned()
    }
}

fn show_difference(difference: &Difference) -> String {
    let Difference { counter: Counter { topic, item, kind }, expected, counted } = difference;
    format!("{kind} of {item} in {topic}: {expected} sent, {counted} counted")
}

/// 28013 as people read it: 28,013.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate to three digits or so: nobody needs the others.
fn count(rate: f64) -> String {
    match rate {
        r if r >= 1e6 => format!("{:.2} million", r / 1e6),
        r if r >= 10.0 => thousands(r as u64),
        r => format!("{r:.2}"),
    }
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
