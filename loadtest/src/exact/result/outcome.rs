//! The result: as JSON for programs, and as a table for people.

use crate::arguments::ExactArguments;
use crate::cluster::process::{Act, ProcessKind};
use crate::exact::events::verdict::Verdict;
use crate::exact::faults::schedule::{Fault, FaultSchedule};
use crate::exact::run::{Entry, Run};
use crate::load::latency::Percentiles;
use crate::report::number::thousands;
use countree_common::ledger::Ledger;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The findings at the end of a run.
#[derive(Debug, Clone)]
pub(in crate::exact) struct Measured {
    /// The time from the start of the load to the last process's return.
    pub(in crate::exact) faults_over: Duration,
    /// The times from then on until everything was acked, every node ready, everything merged, and shown to
    /// all viewers.
    pub(in crate::exact) acked: Duration,
    pub(in crate::exact) ready: Duration,
    pub(in crate::exact) merged: Duration,
    pub(in crate::exact) seen: Duration,
    pub(in crate::exact) counters: usize,
    pub(in crate::exact) ledger: Ledger,
    /// Acked events that lost disks may have taken along.
    pub(in crate::exact) at_stake: u64,
    pub(in crate::exact) viewer_updates: u64,
    pub(in crate::exact) steps_back: u64,
}

/// The printed result.
#[derive(Debug, Clone, Serialize)]
pub(in crate::exact) struct Figures {
    /// Whether nothing was wrong.
    pub(in crate::exact) exact: bool,
    #[serde(flatten)]
    pub(in crate::exact) verdict: Verdict,
    pub(in crate::exact) counters: usize,
    pub(in crate::exact) kills: u32,
    pub(in crate::exact) pauses: u32,
    pub(in crate::exact) stops: u32,
    /// The number of times that each fault was done to each tier.
    pub(in crate::exact) faults: BTreeMap<Fault, BTreeMap<ProcessKind, u32>>,
    pub(in crate::exact) seed: u64,
    pub(in crate::exact) leaves: u16,
    pub(in crate::exact) roots: u16,
    pub(in crate::exact) broadcasts: u16,
    pub(in crate::exact) producers: u16,
    pub(in crate::exact) http_senders: u16,
    pub(in crate::exact) viewers: u16,
    /// The time with faults, in seconds.
    pub(in crate::exact) elapsed_s: f64,
    /// The longest time without any ack.
    pub(in crate::exact) longest_ack_stall_s: f64,
    /// The time from an event's queueing to its ack, for producers over QUIC.
    pub(in crate::exact) ack_ms: Percentiles,
    /// The time from the last fault's end until all was acked.
    pub(in crate::exact) acked_s: f64,
    /// The time from the last fault's end until every node was ready and knew all others.
    pub(in crate::exact) ready_s: f64,
    /// The time from the last fault's end until all was merged.
    pub(in crate::exact) merged_s: f64,
    /// The time from the last fault's end until all was merged and every viewer had seen it.
    pub(in crate::exact) recovery_s: f64,
    pub(in crate::exact) ledger: Ledger,
    /// Events that lost disks may have taken along.
    pub(in crate::exact) at_stake: u64,
    /// Times that the ledger could be read, and balanced, while there were faults.
    pub(in crate::exact) audits: u64,
    pub(in crate::exact) viewer_updates: u64,
    /// Times that it claimed to balance and lacked events that had been acked before it was asked for.
    pub(in crate::exact) short_audits: u64,
    /// Versions or totals that viewers saw go back.
    pub(in crate::exact) viewer_steps_back: u64,
    /// Everything that is wrong.
    pub(in crate::exact) complaints: Vec<String>,
    /// Notes: not errors, but worth knowing.
    pub(in crate::exact) remarks: Vec<String>,
}

/// The figures, and what the report shows besides.
#[derive(Debug, Clone)]
pub(in crate::exact) struct Outcome {
    pub(in crate::exact) figures: Figures,
    pub(in crate::exact) entries: Vec<Entry>,
    pub(in crate::exact) acks_by_stretch: Vec<u64>,
    pub(in crate::exact) tries: Vec<String>,
}

impl Outcome {
    pub(in crate::exact) fn new(
        arguments: &ExactArguments,
        run: &Run,
        schedule: &FaultSchedule,
        verdict: Verdict,
        measured: Measured,
    ) -> Self {
        let copy = |list: &std::sync::Mutex<Vec<String>>| {
            list.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        let complaints = copy(&run.complaints);
        let mut faults: BTreeMap<Fault, BTreeMap<ProcessKind, u32>> = BTreeMap::new();
        for (&(fault, kind), &times) in schedule.done() {
            faults.entry(fault).or_default().insert(kind, times);
        }
        let figures = Figures {
            exact: complaints.is_empty()
                && verdict.is_exact(measured.ledger.declared_lost + measured.at_stake),
            verdict,
            counters: measured.counters,
            kills: schedule.kills(),
            pauses: schedule.count(Fault::Pause),
            stops: schedule.count(Fault::Stop),
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
            audits: run.counts.audits.load(Relaxed),
            short_audits: run.counts.short_audits.load(Relaxed),
            viewer_updates: measured.viewer_updates,
            viewer_steps_back: measured.steps_back,
            complaints,
            remarks: copy(&run.remarks),
        };
        let entries = run.journal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { figures, entries, acks_by_stretch: run.acks.by_stretch(), tries: copy(&run.tries) }
    }

    /// The faults, their processes and times.
    pub(in crate::exact) fn journal(&self) -> String {
        let mut text = String::new();
        for Entry { after, name, act } in &self.entries {
            let _ = writeln!(text, "{:9.3} {name} {act:?}", after.as_secs_f64());
        }
        text
    }
}

impl Figures {
    /// The figures in words and numbers, one to a line.
    pub(in crate::exact) fn rows(&self) -> Vec<(&'static str, String)> {
        let Verdict { sent, acked, rejected, in_doubt, in_doubt_counted, .. } = self.verdict;
        let wrong = format!(
            "{} lost, {} doubled, {} rejected but counted, {} counters with events that nobody sent",
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
        rows.extend(self.faults.iter().map(|(fault, kinds)| (fault.name(), by_place(kinds))));
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
                    "{} accepted, {} declared lost, {} at loss when disks were lost; read {} times on the way, {} times in \
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

    /// Formats it for people.
    pub(in crate::exact) fn table(&self) -> String {
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
    /// Whether it is a fault; the other acts undo faults.
    pub(in crate::exact) fn is_fault(self) -> bool {
        !matches!(self, Self::Resume | Self::Start)
    }
}

fn by_place(kinds: &BTreeMap<ProcessKind, u32>) -> String {
    let total: u32 = kinds.values().sum();
    let each: Vec<_> = kinds.iter().map(|(kind, times)| format!("{kind:?} {times}").to_lowercase()).collect();
    format!("{total} times: {}", each.join(", "))
}

/// Rounds to milliseconds.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}
