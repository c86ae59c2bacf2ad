//! The leaf streams that may hold what is nowhere else, as the registry knows them. A leaf that starts says what its
//! folder holds: where that is less than what was heard of its streams, the folder was lost or is an older copy.

use countree_common::cluster::NodeName;
use countree_common::ledger::{Ledger, StreamLedger};
use countree_common::stream::StreamId;
use countree_common::time::WallMs;
use countree_common::wire::rpc::{LogEnd, StreamProgress};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Streams of one leaf that are open at once. Each start opens one, and it closes when all of it is merged for good;
/// of more than these the oldest is no longer watched over.
const OPEN_PER_LEAF: usize = 64;
/// Starts of one leaf that have joined and are not in the view yet. Of more than these the oldest one's log is dropped.
const JOINING_PER_LEAF: usize = 8;

/// One stream that is not known to be wholly merged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    /// The last report of its leaf.
    reached: StreamProgress,
    /// The time of that report.
    #[serde(default)]
    heard_at: WallMs,
    /// The events that its log held, if that was not there or ended too early when the leaf last started.
    #[serde(default)]
    missing: Option<u64>,
    /// All of it is merged, and no later start has taken its keys over: they are in its log alone. If that goes
    /// missing, keys and sessions are lost with it, but no events.
    #[serde(default)]
    is_settled: bool,
}

/// The last report on a stream whose log is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) incarnation: u64,
    pub(super) at: WallMs,
    /// Events that were not merged by then count as lost.
    pub(super) ledger: Ledger,
}

/// The open streams of all leaves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct OpenStreams {
    by_leaf: BTreeMap<NodeName, BTreeMap<u64, Open>>,
    /// The logs on which starts have joined that are not in the view yet, by their incarnations. A join that arrives
    /// late is nobody's start: its log counts once its incarnation is in the view, and not before.
    #[serde(default)]
    joining: BTreeMap<NodeName, BTreeMap<u64, Vec<LogEnd>>>,
}

impl OpenStreams {
    /// A start of a leaf has joined on this log. Returns the streams that are missing if it is one that lives.
    pub(super) fn join(&mut self, leaf: &NodeName, incarnation: u64, log: &[LogEnd]) -> Vec<StreamId> {
        let mut ends = log.to_vec();
        ends.sort_by_key(|end| std::cmp::Reverse(end.incarnation));
        ends.truncate(OPEN_PER_LEAF);
        let joining = self.joining.entry(leaf.clone()).or_default();
        joining.insert(incarnation, ends);
        if joining.len() > JOINING_PER_LEAF {
            joining.pop_first();
        }
        let streams = self.by_leaf.get(leaf).into_iter().flatten();
        let missing = streams.filter(|(incarnation, open)| open.lacks(**incarnation, log).is_some());
        missing.map(|(incarnation, _)| StreamId { leaf: leaf.clone(), incarnation: *incarnation }).collect()
    }

    /// A start of a leaf is in the view: it may take events, and it has taken over the keys of those before. Says
    /// whether the log on which it joined lacks what an earlier start has known, and was not found to lack that before.
    pub(super) fn open(&mut self, leaf: &NodeName, incarnation: u64, now: WallMs) -> bool {
        let has_forgotten = self.joined_on(leaf, incarnation).is_some_and(|log| self.compare(leaf, &log));
        let streams = self.by_leaf.entry(leaf.clone()).or_default();
        streams.retain(|of, open| !open.is_settled || *of >= incarnation);
        streams.entry(incarnation).or_insert(Open { heard_at: now, ..Open::default() });
        if streams.len() > OPEN_PER_LEAF {
            streams.pop_first();
        }
        has_forgotten
    }

    /// Takes the log on which a start joined, if it is still to be compared; an empty one if it was dropped.
    fn joined_on(&mut self, leaf: &NodeName, incarnation: u64) -> Option<Vec<LogEnd>> {
        let joining = self.joining.get_mut(leaf)?;
        let is_dropped =
            joining.len() == JOINING_PER_LEAF && joining.keys().all(|joined| *joined > incarnation);
        let is_new = !self.by_leaf.get(leaf).is_some_and(|streams| streams.contains_key(&incarnation));
        let log = joining.remove(&incarnation).or((is_dropped && is_new).then(Vec::new));
        joining.retain(|joined, _| *joined > incarnation);
        if joining.is_empty() {
            self.joining.remove(leaf);
        }
        log
    }

    /// A leaf says how far its live stream has come.
    pub(super) fn reach(&mut self, leaf: &NodeName, incarnation: u64, reached: StreamProgress, now: WallMs) {
        let open = self.by_leaf.get_mut(leaf).and_then(|streams| streams.get_mut(&incarnation));
        if let Some(open) = open.filter(|open| open.reached.last <= reached.last) {
            (open.reached, open.heard_at) = (reached, now);
        }
    }

    /// A leaf lives on this log. Says whether it lacks what an earlier start of it has known, and has not been found
    /// to lack that before.
    fn compare(&mut self, leaf: &NodeName, log: &[LogEnd]) -> bool {
        let Some(streams) = self.by_leaf.get_mut(leaf) else { return false };
        let mut has_forgotten = false;
        for (incarnation, open) in streams {
            let lacks = open.lacks(*incarnation, log);
            has_forgotten |= lacks.is_some() && open.missing.is_none();
            // A log that was missing may have been found again.
            open.missing = lacks;
        }
        has_forgotten
    }

    /// A stream is wholly merged, by this ledger. Part of a log that is missing does not close it, and the latest log
    /// of a leaf that is leaving still holds its keys.
    pub(super) fn close(&mut self, leaf: &NodeName, incarnation: u64, ledger: &Ledger) {
        let Some(streams) = self.by_leaf.get_mut(leaf) else { return };
        let is_latest = streams.keys().all(|other| *other <= incarnation);
        let Some(open) = streams.get_mut(&incarnation) else { return };
        let is_short = open.missing.is_some() && ledger.accepted < open.reached.ledger.accepted;
        if is_latest && open.missing.is_none() {
            open.is_settled = true;
            open.reached.ledger = *ledger;
        } else if !is_short {
            streams.remove(&incarnation);
        }
    }

    /// A leaf has left, and all that it has a log of is merged. Where it keeps its keys, its log has to be there when
    /// it comes back.
    pub(super) fn settle(&mut self, leaf: &NodeName, incarnation: u64, keeps_keys: bool) {
        let streams = self.by_leaf.entry(leaf.clone()).or_default();
        // One that was never in the view has not been opened.
        let settled = streams.get(&incarnation).copied().unwrap_or_default();
        streams.retain(|_, open| open.may_lack_events());
        if keeps_keys {
            streams.insert(incarnation, Open { is_settled: true, ..settled });
        }
    }

    /// A leaf's logs are given up: all of them, or those that are `missing`. Returns what was last heard of each.
    pub(super) fn give_up(&mut self, leaf: &NodeName, only_missing: bool) -> Vec<Heard> {
        let mut given_up = Vec::new();
        if let Some(streams) = self.by_leaf.get_mut(leaf) {
            streams.retain(|incarnation, open| {
                let goes = !only_missing || open.missing.is_some();
                if goes && (!open.is_settled || open.missing.is_none()) {
                    let (incarnation, at) = (*incarnation, open.heard_at);
                    given_up.push(Heard { incarnation, at, ledger: open.if_given_up() });
                }
                !goes
            });
        }
        given_up
    }

    /// The latest start of a leaf that was in the view and is not closed.
    pub(super) fn latest(&self, leaf: &NodeName) -> Option<u64> {
        self.by_leaf
            .get(leaf)
            .and_then(|streams| streams.last_key_value())
            .map(|(incarnation, _)| *incarnation)
    }

    /// Whether events may be lost with logs of a leaf that are missing.
    pub(super) fn is_forgetful(&self, leaf: &NodeName) -> bool {
        self.by_leaf.get(leaf).is_some_and(|streams| streams.values().any(Open::may_lack_events))
    }

    /// The last reports on streams whose whole logs are missing, for the audit: events that are not known to be merged
    /// may be lost.
    pub(super) fn ledgers(&self) -> impl Iterator<Item = StreamLedger> {
        let streams = self.by_leaf.iter().flat_map(|(leaf, streams)| streams.iter().map(move |s| (leaf, s)));
        let lost = streams.filter(|(_, (_, open))| open.missing == Some(0) && !open.is_settled);
        lost.map(|(leaf, (incarnation, open))| {
            let Ledger { accepted, merged, declared_lost, .. } = open.if_given_up();
            let ledger = Ledger { accepted, merged, in_flight: declared_lost, declared_lost: 0 };
            let stream = StreamId { leaf: leaf.clone(), incarnation: *incarnation };
            StreamLedger { stream, sealed: true, ledger }
        })
    }

    /// The leaves of which logs with events are missing.
    pub(super) fn forgetful(&self) -> impl Iterator<Item = &NodeName> {
        self.by_leaf.keys().filter(|leaf| self.is_forgetful(leaf))
    }
}

impl Open {
    /// The events that a log holds of this stream, if it ends earlier than what was heard of it.
    fn lacks(&self, incarnation: u64, log: &[LogEnd]) -> Option<u64> {
        let found = log.iter().find(|end| end.incarnation == incarnation);
        let is_whole = found.is_some_and(|found| found.last >= self.reached.last);
        (!is_whole).then(|| found.map_or(0, |found| found.accepted))
    }

    fn may_lack_events(&self) -> bool {
        self.missing.is_some() && !self.is_settled
    }

    /// Its ledger by the last report, with everything unmerged counted as lost.
    fn if_given_up(&self) -> Ledger {
        let Ledger { accepted, merged, .. } = self.reached.ledger;
        let merged = merged.min(accepted);
        Ledger { accepted, merged, in_flight: 0, declared_lost: accepted - merged }
    }
}

#[cfg(test)]
#[path = "open_streams_tests.rs"]
mod tests;
