//! The result: as JSON for programs, and as a table for people.

use crate::cluster::usage::Usage;
use crate::load::Round;
use crate::load::exactness::Difference;
use crate::load::latency::Percentiles;
use crate::load::plan::Plan;
use crate::report::Rows;
use crate::report::number::{count, thousands};
use countree_common::key::Counter;
use serde::Serialize;
use std::fmt::Write;

/// Differences that are spelled out; the others are only counted.
const DIFFERENCES_SHOWN: usize = 20;

/// The measurements.
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
    /// The time from the first send to the last ack.
    pub(crate) elapsed_s: f64,
    /// Acked events over `elapsed_s`.
    pub(crate) events_per_s: f64,
    /// The time from the first send until everything was in the store.
    pub(crate) merged_s: f64,
    /// The server's processor time until everything was in the store: the whole work.
    pub(crate) server_core_s: Option<f64>,
    /// The part of it that was used by the last ack.
    pub(crate) server_core_acked_s: Option<f64>,
    /// `server_core_s` by process.
    pub(crate) server_parts_s: Usage,
    /// Acked events over `server_core_s`.
    pub(crate) events_per_core_s: Option<f64>,
    /// Acked events over the leaves' part of `server_core_s`, where they are processes of their own.
    pub(crate) events_per_leaf_core_s: Option<f64>,
    /// Sums that were merged into the store, one for each counter that changed in a window, where the cluster
    /// tells.
    pub(crate) merged_counters: Option<u64>,
    /// Events per core-second of the store alone, where it is a Redis server.
    pub(crate) merged_per_store_core_s: Option<f64>,
    /// This process's processor time until the last ack.
    pub(crate) loadtest_core_s: f64,
    pub(crate) ack_ms: Percentiles,
    /// The growth of the leaves' logs in bytes, where the cluster reports it.
    pub(crate) log_bytes: Option<u64>,
    /// Whether every event was acked and every total is right.
    pub(crate) exact: bool,
    /// Counters with another total than expected.
    pub(crate) different_counters: usize,
    /// The first of them.
    pub(crate) differences: Vec<Difference>,
    /// The reasons that events were not acked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl Figures {
    /// One round's figures; `merged_counters` is what the roots count.
    pub(crate) fn new(
        plan: &Plan,
        round: Round,
        ack_ms: Percentiles,
        merged_counters: Option<u64>,
        mut differences: Vec<Difference>,
    ) -> Self {
        let Round { tally, elapsed, merged, used_acked, used, own, log_bytes } = round;
        let different_counters = differences.len();
        differences.truncate(DIFFERENCES_SHOWN);
        let per = |seconds: f64| tally.acked as f64 / seconds.max(f64::MIN_POSITIVE);
        // Below a tick of the kernel's clock nothing was measured.
        let measured = |seconds: &f64| *seconds > 0.0;
        let known = |usage: &Usage| (!usage.is_unknown()).then(|| usage.total());
        let server_core_s = known(&used);
        let store = used.of("redis").filter(measured);
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
            server_core_acked_s: known(&used_acked),
            events_per_core_s: server_core_s.filter(measured).map(per),
            events_per_leaf_core_s: used.of("leaf").filter(measured).map(per),
            merged_per_store_core_s: merged_counters.zip(store).map(|(counters, s)| counters as f64 / s),
            merged_counters,
            server_parts_s: used,
            loadtest_core_s: own,
            ack_ms,
            log_bytes,
            exact: different_counters == 0 && tally.acked == plan.events,
            different_counters,
            differences,
            error: tally.errors.last().cloned(),
        }
    }

    /// The first error; `None` when all is right.
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
    pub(crate) fn rows(&self) -> Rows {
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
        if let Some(parts) = self.server_parts_s.parts() {
            rows.push(("of which", parts));
        }
        if let Some(rate) = self.events_per_core_s {
            rows.push(("per core", format!("{} events per server core-second", count(rate))));
        }
        if let Some(rate) = self.events_per_leaf_core_s {
            rows.push((
                "per leaf core",
                format!("{} events per core-second of the leaves alone", count(rate)),
            ));
        }
        if let Some(counters) = self.merged_counters {
            let rate = self.merged_per_store_core_s;
            let rate = rate.map_or(String::new(), |rate| format!(", {} per Redis core-second", count(rate)));
            rows.push(("merged", format!("{} counters{rate}", thousands(counters))));
        }
        rows.push(("loadtest CPU", format!("{:.2} core-seconds", self.loadtest_core_s)));
        rows.push(("ack latency", self.ack_ms.to_string()));
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

    /// The differences for people, below the rows.
    pub(crate) fn details(&self) -> String {
        let mut text = String::new();
        for difference in &self.differences {
            let _ = writeln!(text, "  {}", show_difference(difference));
        }
        text
    }
}

/// One difference in words.
pub(crate) fn show_difference(difference: &Difference) -> String {
    let Difference { counter: Counter { topic, item, kind }, expected, counted } = difference;
    format!("{kind} of {item} in {topic}: {expected} sent, {counted} counted")
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
