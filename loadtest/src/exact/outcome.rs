//! The result: as JSON for programs, and as a table for people.

use super::run::{Entry, Run};
use super::storm::{Fault, Storm};
use super::verdict::Verdict;
use crate::arguments::ExactArguments;
use crate::cluster::process::{Act, Place};
use crate::load::latency::Percentiles;
use crate::report::number::thousands;
use countree_common::ledger::Ledger;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What the end of a run showed.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    /// From the start of the load to the last process's return.
    pub(super) faults_over: Duration,
    /// From then on until everything was acked, every node ready, everything merged, and shown to all.
    pub(super) acked: Duration,
    pub(super) ready: Duration,
    pub(super) merged: Duration,
    pub(super) seen: Duration,
    pub(super) counters: usize,
    pub(super) ledger: Ledger,
    /// Acked events that lost disks may have taken along.
    pub(super) at_stake: u64,
    pub(super) viewer_updates: u64,
    pub(super) steps_back: u64,
}

/// What is printed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    /// Nothing at all was wrong.
    pub(super) exact: bool,
    #[serde(flatten)]
    pub(super) verdict: Verdict,
    pub(super) counters: usize,
    pub(super) kills: u32,
    pub(super) pauses: u32,
    pub(super) stops: u32,
    /// How often each fault was done to each tier.
    pub(super) faults: BTreeMap<Fault, BTreeMap<Place, u32>>,
    pub(super) seed: u64,
    pub(super) leaves: u16,
    pub(super) roots: u16,
    pub(super) broadcasts: u16,
    pub(super) producers: u16,
    pub(super) http_senders: u16,
    pub(super) viewers: u16,
    /// How long there were faults, in seconds.
    pub(super) elapsed_s: f64,
    /// The longest time without any ack.
    pub(super) longest_ack_stall_s: f64,
    /// From an event's queueing to its ack, for producers over QUIC.
    pub(super) ack_ms: Percentiles,
    /// From the last fault's end until all was acked.
    pub(super) acked_s: f64,
    /// From the last fault's end until every node was ready and knew all others.
    pub(super) ready_s: f64,
    /// From the last fault's end until all was merged.
    pub(super) merged_s: f64,
    /// From the last fault's end until all was merged and every viewer had seen it.
    pub(super) recovery_s: f64,
    pub(super) ledger: Ledger,
    /// Events that lost disks may have taken along.
    pub(super) at_stake: u64,
    /// Times that the ledger could be read, and balanced, while there were faults.
    pub(super) audits: u64,
    pub(super) viewer_updates: u64,
    /// Times that it claimed to balance and lacked events that had been acked before it was asked for.
    pub(super) short_audits: u64,
    /// Versions or totals that viewers saw go back.
    pub(super) viewer_steps_back: u64,
    /// What is wrong.
    pub(super) complaints: Vec<String>,
    /// What is not wrong, and should be known.
    pub(super) remarks: Vec<String>,
}

/// The figures, and what the report shows besides.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) figures: Figures,
    pub(super) entries: Vec<Entry>,
    pub(super) acks_by_stretch: Vec<u64>,
    pub(super) tries: Vec<String>,
}

impl Outcome {
    pub(super) fn new(
        arguments: &ExactArguments,
        run: &Run,
        storm: &Storm,
        verdict: Verdict,
        measured: Measured,
    ) -> Self {
        let copy = |list: &std::sync::Mutex<Vec<String>>| {
            list.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        let complaints = copy(&run.complaints);
        let mut faults: BTreeMap<Fault, BTreeMap<Place, u32>> = BTreeMap::new();
        for (&(fault, place), &times) in storm.done() {
            faults.entry(fault).or_default().insert(place, times);
        }
        let figures = Figures {
            exact: complaints.is_empty()
                && verdict.is_exact(measured.ledger.declared_lost + measured.at_stake),
            verdict,
            counters: measured.counters,
            kills: storm.kills(),
            pauses: storm.count(Fault::Pause),
            stops: storm.count(Fault::Stop),
            faults,
            seed: arguments.seed,
            leaves: arguments.leaves,
            roots: arguments.roots,
            broadcasts: arguments.broadcasts,
            producers: arguments.producers,
            http_senders: arguments.http_senders,
            viewers: arguments.viewers,
            elapsed_s: seconds(measured.faults_over),
            longest_ack_stall_s: seconds(run.acks.longest_stall()),
            ack_ms: run.latency.percentiles(),
            acked_s: seconds(measured.acked),
            ready_s: seconds(measured.ready),
            merged_s: seconds(measured.merged),
            recovery_s: seconds(measured.seen),
            ledger: measured.ledger,
            at_stake: measured.at_stake,
            audits: run.audits.load(Relaxed),
            short_audits: run.short_audits.load(Relaxed),
            viewer_updates: measured.viewer_updates,
            viewer_steps_back: measured.steps_back,
            complaints,
            remarks: copy(&run.remarks),
        };
        let entries = run.journal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { figures, entries, acks_by_stretch: run.acks.by_stretch(), tries: copy(&run.tries) }
    }

    /// What was done to whom, and when.
    pub(super) fn journal(&self) -> String {
        let mut text = String::new();
        for Entry { after, name, act } in &self.entries {
            let _ = writeln!(text, "{:9.3} {name} {act:?}", after.as_secs_f64());
        }
        text
    }
}

impl Figures {
    /// The figures in words and numbers, one to a line.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let Verdict { sent, acked, rejected, in_doubt, in_doubt_counted, .. } = self.verdict;
        let wrong = format!(
            "{} lost, {} doubled, {} rejected but counted, {} counters with what nobody sent",
            self.verdict.lost, self.verdict.doubled, self.verdict.rejected_counted, self.verdict.strange
        );
        let nodes = format!(
            "{} leaves, {} roots, {} broadcast nodes, 1 Redis, {} producers, {} HTTP senders, {} viewers",
            self.leaves, self.roots, self.broadcasts, self.producers, self.http_senders, self.viewers
        );
        let mut rows = vec![
            ("processes", nodes),
            ("faults", format!("in {:.1} s, from seed {}", self.elapsed_s, self.seed)),
        ];
        rows.extend(self.faults.iter().map(|(fault, places)| (fault.name(), by_place(places))));
        let stall = format!("{:.2} s without any", self.longest_ack_stall_s);
        let Percentiles { p50, p99, max, .. } = self.ack_ms;
        rows.extend([
            ("events", format!("{} on {} counters", thousands(sent), thousands(self.counters as u64))),
            ("acked", thousands(acked)),
            ("rejected", thousands(rejected)),
            (
                "in doubt",
                format!("{} ({} of them counted)", thousands(in_doubt), thousands(in_doubt_counted)),
            ),
            ("longest stall", format!("{stall}; p50 {p50:.0}, p99 {p99:.0}, max {max:.0} ms for one event")),
            (
                "recovery",
                format!(
                    "after the last fault all acked {:.2} s, nodes ready {:.2} s, all merged {:.2} s, seen by all {:.2} s",
                    self.acked_s, self.ready_s, self.merged_s, self.recovery_s
                ),
            ),
            (
                "ledger",
                format!(
                    "{} accepted, {} declared lost, {} at stake when disks were lost; read {} times on the way, {} times in \
                     silence about acked events",
                    self.ledger.accepted,
                    self.ledger.declared_lost,
                    self.at_stake,
                    self.audits,
                    self.short_audits
                ),
            ),
            (
                "viewers",
                format!("{} updates, {} steps back", thousands(self.viewer_updates), self.viewer_steps_back),
            ),
            ("wrong", wrong),
            ("exact", if self.exact { "yes".into() } else { "NO".into() }),
        ]);
        rows
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.rows() {
            let _ = writeln!(text, "{name:<15}{value}");
        }
        for complaint in &self.complaints {
            let _ = writeln!(text, "  wrong: {complaint}");
        }
        text.trim_end().to_owned()
    }
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "  kill -9",
            Self::Pause => "  SIGSTOP",
            Self::Stop => "  SIGTERM",
            Self::Away => "  away",
            Self::Forget => "  rollback",
            Self::Restore => "  older copy",
            Self::Disk => "  disk",
        }
    }
}

impl Act {
    /// Whether it does harm; the others undo it.
    pub(super) fn is_fault(self) -> bool {
        !matches!(self, Self::Resume | Self::Start)
    }
}

fn by_place(places: &BTreeMap<Place, u32>) -> String {
    let total: u32 = places.values().sum();
    let each: Vec<_> =
        places.iter().map(|(place, times)| format!("{place:?} {times}").to_lowercase()).collect();
    format!("{total} times: {}", each.join(", "))
}

/// Without the digits that mean nothing.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}
