//! One stream's sums on their way to the store: cut, sent, confirmed, and cut again where the store says
//! that it stands elsewhere.
//!
//! At most one cut of a topic is under way, and it is repeated verbatim until it is answered: a repeat
//! that was applied before is told `Have` with its own `to`, and so is never counted twice.

use super::doubt::Doubt;
use super::progress::{Progress, WindowId};
use super::table::TopicSums;
use crate::log::recovery::{OldStream, Piece, Recut, Stretch, TopicInLog};
use countree_common::cluster::NodeName;
use countree_common::cut::{CounterSum, Cut, Outcome};
use countree_common::key::Topic;
use countree_common::ledger::Ledger;
use countree_common::limits;
use countree_common::stream::{Lsn, StreamId};
use countree_common::time::{Time, WallMs};
use countree_common::wire::uplink::CutOutcome;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A cut without an answer is sent again after this long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// A cut that the root could not merge just now is sent again after this long.
const RETRY: Duration = Duration::from_millis(50);
/// A cut whose total does not fit is tried again after this long: a decrement may have made room.
const OVERFLOW_RETRY: Duration = Duration::from_secs(1);

/// Sums that wait to be cut.
#[derive(Debug)]
struct Pending {
    to: Lsn,
    sums: Vec<CounterSum>,
    events: u64,
    volume: u64,
    window: WindowId,
}

impl Pending {
    /// Asks where the store stands, and adds nothing.
    fn probe(at: Lsn) -> Self {
        Self { to: at, sums: Vec::new(), events: 0, volume: 0, window: 0 }
    }
}

#[derive(Debug)]
struct InFlight {
    cut: Cut,
    volume: u64,
    window: WindowId,
    root: Option<NodeName>,
    attempt: u64,
}

/// Where the store's document stands for this stream, as far as the leaf knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Merged up to here.
    Known(Lsn),
    /// To be asked for.
    Unknown,
    /// Events are being read back from the log.
    Scanning,
}

#[derive(Debug)]
struct TopicState {
    position: Position,
    /// The document's era must become at least this.
    era: u64,
    /// Events of this stream and topic in the store's totals, by the store's last word. Unknown before the
    /// first one of a sealed stream.
    confirmed: Option<u64>,
    /// What the store may still forget.
    doubt: Option<Doubt>,
    /// Whether a time to ask about the doubt is set, and whether it has come.
    has_probe: bool,
    is_probe_due: bool,
    in_flight: Option<InFlight>,
    queue: VecDeque<Pending>,
    /// Events that are in the log alone: an old stream's, or dropped to be read back. While there is such
    /// a debt to the log, window 0 is held.
    in_log: Option<InLog>,
    is_ready: bool,
}

#[derive(Debug, Clone, Copy)]
struct InLog {
    events: u64,
    /// The last LSN that may have any.
    last: Lsn,
    /// How many the log has to yield behind the store's position, where that is known.
    expected: Option<u64>,
}

impl TopicState {
    fn new(position: Position, in_log: Option<InLog>) -> Self {
        Self {
            position,
            era: 0,
            confirmed: (position == Position::Known(0)).then_some(0),
            doubt: None,
            has_probe: false,
            is_probe_due: false,
            in_flight: None,
            queue: VecDeque::new(),
            in_log,
            is_ready: false,
        }
    }

    fn in_flight_events(&self) -> u64 {
        let queued: u64 = self.queue.iter().map(|p| p.events).sum();
        queued + self.in_log.map_or(0, |l| l.events) + self.in_flight.as_ref().map_or(0, |f| f.cut.events)
    }

    /// The cut that is under way, or the next one if none is.
    fn next_cut(&mut self, stream: &StreamId, topic: &Topic) -> Option<&mut InFlight> {
        if self.in_flight.is_none() {
            let (from, pending) = match self.position {
                Position::Scanning => return None,
                Position::Unknown => (0, Pending::probe(0)),
                Position::Known(at) => match self.queue.pop_front() {
                    Some(pending) => (at, pending),
                    None if self.is_probe_due => (at, Pending::probe(at)),
                    None => return None,
                },
            };
            self.is_probe_due = false;
            let Pending { to, sums, events, volume, window } = pending;
            let (stream, topic) = (stream.clone(), topic.clone());
            let cut = Cut { stream, topic, from, to, sums, events, era: self.era };
            self.in_flight = Some(InFlight { cut, volume, window, root: None, attempt: 0 });
        }
        self.in_flight.as_mut()
    }
}

/// A total that came close to its limit, or may have left its neighbourhood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearLimit {
    /// The topic.
    pub topic: Topic,
    /// The item and kind, and the total after a merge.
    pub sum: CounterSum,
}

/// What an outcome brought to light, beyond the merge itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Totals near their limit.
    pub near_limit: Vec<NearLimit>,
    /// The store stood before what it had confirmed.
    pub store_went_back: bool,
    /// The store's count of this stream's events is not the leaf's.
    pub imbalance: Option<String>,
    /// A total does not fit; the cut waits.
    pub overflow: bool,
}

/// One leaf stream's way up.
#[derive(Debug)]
pub struct Uplink {
    stream: StreamId,
    /// The last record, once no more come.
    sealed_at: Option<Lsn>,
    topics: BTreeMap<Topic, TopicState>,
    ready: VecDeque<Topic>,
    timers: BTreeMap<(Time, u64), Topic>,
    attempts: u64,
    retention: Duration,
    probes: BTreeSet<(Time, Topic)>,
    doubtful: usize,
    scans: BTreeMap<Topic, Stretch>,
    scanning: BTreeMap<Topic, Stretch>,
    is_scanning: bool,
    progress: Progress,
    last_window_to: Lsn,
    accepted: u64,
    merged: u64,
    declared_lost: u64,
    volume: u64,
}

impl Uplink {
    /// For the stream that this incarnation writes. What the store confirms without calling it durable, it
    /// may forget for as long as `retention`.
    pub fn live(stream: StreamId, retention: Duration) -> Self {
        Self {
            stream,
            sealed_at: None,
            topics: BTreeMap::new(),
            ready: VecDeque::new(),
            timers: BTreeMap::new(),
            attempts: 0,
            retention,
            probes: BTreeSet::new(),
            doubtful: 0,
            scans: BTreeMap::new(),
            scanning: BTreeMap::new(),
            is_scanning: false,
            progress: Progress::default(),
            last_window_to: 0,
            accepted: 0,
            merged: 0,
            declared_lost: 0,
            volume: 0,
        }
    }

    /// For a stream of an earlier incarnation: every topic in its log is asked about.
    pub fn sealed(stream: StreamId, old: OldStream, retention: Duration) -> Self {
        let live = Self::live(stream, retention);
        let mut uplink = Self { sealed_at: Some(old.end), last_window_to: old.end, ..live };
        uplink.accepted = old.accepted;
        // What is no longer in the log was trimmed, and only merged records are.
        uplink.merged = old.accepted - old.topics.values().map(|t| t.events).sum::<u64>();
        for (topic, TopicInLog { last, events }) in old.topics {
            let state = TopicState::new(Position::Unknown, Some(InLog { events, last, expected: None }));
            uplink.topics.insert(topic.clone(), state);
            uplink.progress.hold(0);
            uplink.make_ready(&topic);
        }
        uplink
    }

    /// The stream.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Whether everything in it is merged and nothing more can come.
    pub fn is_drained(&self) -> bool {
        self.sealed_at.is_some() && self.is_idle()
    }

    /// Whether every sum that it was given is merged.
    pub fn is_idle(&self) -> bool {
        self.progress.is_clear()
    }

    /// Whether the store can't forget any of it either, so that its log can go.
    pub fn is_settled(&self) -> bool {
        self.is_drained() && self.doubtful == 0
    }

    /// Whether the store can't forget anything any more that was merged by `at`.
    pub fn is_proven(&self, now: Time, at: Time) -> bool {
        let spares = |s: &TopicState| s.doubt.is_none_or(|d| d.spares(at, self.retention));
        self.doubtful == 0 || (now >= at + self.retention && self.topics.values().all(spares))
    }

    /// How many topics it keeps the position of.
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// No more records come.
    pub fn seal(&mut self, end: Lsn) {
        self.sealed_at = Some(end);
    }

    /// Notes events that were logged.
    pub fn note_accepted(&mut self, events: u64) {
        self.accepted += events;
    }

    /// Events accepted so far.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Σ|δ| of the sums that wait.
    pub fn volume(&self) -> u64 {
        self.volume
    }

    /// How far its windows are merged.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The ledger; `open_events` are logged and not yet offered here. Its sides are counted apart.
    pub fn ledger(&self, open_events: u64) -> Ledger {
        let in_flight: u64 = self.topics.values().map(TopicState::in_flight_events).sum();
        Ledger {
            accepted: self.accepted,
            merged: self.merged,
            in_flight: in_flight + open_events,
            declared_lost: self.declared_lost,
        }
    }

    /// Takes a window's sums, all of them durable.
    pub fn offer(&mut self, window: WindowId, at: WallMs, to: Lsn, sums: Vec<TopicSums>) {
        for TopicSums { topic, sums, events } in sums {
            let volume = volume(&sums);
            self.volume = self.volume.saturating_add(volume);
            let state =
                self.topics.entry(topic.clone()).or_insert_with(|| TopicState::new(Position::Known(0), None));
            let pending = Pending { to, sums, events, volume, window };
            if let Some(pending) = append(&mut state.queue, pending) {
                state.queue.push_back(pending);
                self.progress.hold(window);
            }
            self.make_ready(&topic);
        }
        self.last_window_to = to;
        self.progress.close(window, at, to);
    }

    fn make_ready(&mut self, topic: &Topic) {
        if let Some(state) = self.topics.get_mut(topic)
            && !state.is_ready
        {
            state.is_ready = true;
            self.ready.push_back(topic.clone());
        }
    }

    /// Takes the cuts that can be sent now, each with the root that it goes to. Topics whose root is not
    /// connected stay where they are.
    pub fn cuts(&mut self, now: Time, root_of: impl Fn(&Topic) -> Option<NodeName>) -> Vec<(NodeName, Cut)> {
        let mut cuts = Vec::new();
        for _ in 0..self.ready.len() {
            let Some(topic) = self.ready.pop_front() else { break };
            let Some(state) = self.topics.get_mut(&topic) else { continue };
            let Some(root) = root_of(&topic) else {
                self.ready.push_back(topic);
                continue;
            };
            state.is_ready = false;
            let Some(in_flight) = state.next_cut(&self.stream, &topic) else { continue };
            if in_flight.root.is_some() {
                continue;
            }
            self.attempts += 1;
            in_flight.attempt = self.attempts;
            in_flight.root = Some(root.clone());
            cuts.push((root, in_flight.cut.clone()));
            self.timers.insert((now + ANSWER_TIMEOUT, self.attempts), topic);
        }
        cuts
    }

    /// Makes ready what a root was asked for and will not answer: its connection is gone.
    pub fn root_lost(&mut self, root: &NodeName) {
        let lost =
            |state: &TopicState| state.in_flight.as_ref().is_some_and(|f| f.root.as_ref() == Some(root));
        let topics: Vec<_> = self.topics.iter().filter(|(_, s)| lost(s)).map(|(t, _)| t.clone()).collect();
        for topic in topics {
            if let Some(in_flight) = self.topics.get_mut(&topic).and_then(|s| s.in_flight.as_mut()) {
                in_flight.root = None;
            }
            self.make_ready(&topic);
        }
    }

    /// Makes ready what has waited long enough.
    pub fn handle_time(&mut self, now: Time) {
        while let Some(entry) = self.timers.first_entry() {
            let (due, attempt) = *entry.key();
            if due > now {
                break;
            }
            let topic = entry.remove();
            let in_flight = self.topics.get_mut(&topic).and_then(|s| s.in_flight.as_mut());
            if let Some(in_flight) = in_flight.filter(|f| f.attempt == attempt) {
                in_flight.root = None;
                self.make_ready(&topic);
            }
        }
        while self.probes.first().is_some_and(|(due, _)| *due <= now) {
            let Some((_, topic)) = self.probes.pop_first() else { break };
            self.probe(now, &topic);
        }
    }

    /// When [`Uplink::handle_time`] has something to do.
    pub fn next_timeout(&self) -> Option<Time> {
        let timer = self.timers.keys().next().map(|(due, _)| *due);
        timer.into_iter().chain(self.probes.first().map(|(due, _)| *due)).min()
    }

    /// Asks about a topic, unless the store has answered for it of late.
    fn probe(&mut self, now: Time, topic: &Topic) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        state.has_probe = false;
        state.is_probe_due = state.doubt.is_some_and(|d| d.next_probe(self.retention) <= now);
        if state.is_probe_due {
            self.make_ready(topic);
        } else {
            self.plan_probe(topic);
        }
    }

    fn plan_probe(&mut self, topic: &Topic) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        if let Some(doubt) = state.doubt
            && !state.has_probe
        {
            state.has_probe = true;
            self.probes.insert((doubt.next_probe(self.retention), topic.clone()));
        }
    }

    fn set_doubt(&mut self, topic: &Topic, doubt: impl FnOnce(Option<Doubt>) -> Option<Doubt>) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        self.doubtful -= usize::from(state.doubt.is_some());
        state.doubt = doubt(state.doubt);
        self.doubtful += usize::from(state.doubt.is_some());
        self.plan_probe(topic);
    }

    /// The store stands where it should.
    fn note_answered(&mut self, now: Time, topic: &Topic) {
        let retention = self.retention;
        self.set_doubt(topic, |doubt| doubt?.answered(now, retention));
    }

    /// The store has merged more, which it may forget unless it is durable. Durable is then all of the topic.
    fn note_merged(&mut self, now: Time, topic: &Topic, is_durable: bool) {
        self.set_doubt(topic, |_| (!is_durable).then_some(Doubt::merged(now)));
        self.note_answered(now, topic);
    }

    fn retry_after(&mut self, topic: &Topic, now: Time, wait: Duration) {
        let Some(in_flight) = self.topics.get_mut(topic).and_then(|s| s.in_flight.as_mut()) else { return };
        self.attempts += 1;
        in_flight.attempt = self.attempts;
        self.timers.insert((now + wait, self.attempts), topic.clone());
    }

    /// Takes the answer to a cut. Answers to anything but the cut under way are from the past and ignored.
    /// `are_totals_wanted` asks for all totals, those far from their limit too.
    pub fn handle_outcome(&mut self, now: Time, answer: CutOutcome, are_totals_wanted: bool) -> Findings {
        let mut findings = Findings::default();
        let CutOutcome { topic, from, to, outcome, .. } = answer;
        let Some(state) = self.topics.get_mut(&topic) else { return findings };
        let Some(in_flight) = state.in_flight.take_if(|f| f.cut.from == from && f.cut.to == to) else {
            return findings;
        };
        match outcome {
            None => {
                state.in_flight = Some(in_flight);
                self.retry_after(&topic, now, RETRY);
            }
            Some(Outcome::Overflow) => {
                findings.overflow = true;
                state.in_flight = Some(in_flight);
                self.retry_after(&topic, now, OVERFLOW_RETRY);
            }
            Some(Outcome::Applied(applied)) => {
                state.era = applied.version.era;
                findings.near_limit = near_limit(&in_flight.cut, &applied.totals, are_totals_wanted);
                self.confirm(&topic, in_flight, applied.events, &mut findings);
                self.note_merged(now, &topic, applied.durable);
            }
            Some(Outcome::Have { lsn, events, version }) if state.position == Position::Unknown => {
                state.era = version.era;
                self.learn_position(&topic, lsn, events);
                self.note_merged(now, &topic, lsn == 0);
            }
            Some(Outcome::Have { lsn, events, version }) if lsn == to => {
                state.era = version.era;
                if from == to {
                    self.note_answered(now, &topic);
                    self.make_ready(&topic);
                } else {
                    self.confirm(&topic, in_flight, events, &mut findings);
                    self.note_merged(now, &topic, false);
                }
            }
            Some(Outcome::Have { lsn, events, version }) => {
                findings.store_went_back = lsn < from;
                // All leaves that notice the same fall back ask for the same era: the one after the last they saw.
                let next = if findings.store_went_back { state.era + 1 } else { 0 };
                state.era = version.era.max(next);
                self.read_back(&topic, in_flight, lsn, events);
                self.note_merged(now, &topic, lsn == 0);
            }
        }
        findings
    }

    /// The store was asked where it stands in a sealed stream.
    fn learn_position(&mut self, topic: &Topic, have: Lsn, events: u64) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        state.confirmed = Some(events);
        match state.in_log {
            Some(InLog { last, .. }) if last > have => {
                state.position = Position::Scanning;
                self.scans.insert(topic.clone(), Stretch { from: have, to: last });
            }
            settled => {
                state.position = Position::Known(have);
                if let Some(InLog { events, .. }) = settled {
                    state.in_log = None;
                    self.merged += events;
                    self.progress.release(0);
                }
                self.make_ready(topic);
            }
        }
    }

    /// The cut is in the totals.
    fn confirm(&mut self, topic: &Topic, in_flight: InFlight, store_events: u64, findings: &mut Findings) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        state.position = Position::Known(in_flight.cut.to);
        self.merged += in_flight.cut.events;
        self.volume = self.volume.saturating_sub(in_flight.volume);
        let expected = state.confirmed.map_or(store_events, |before| before + in_flight.cut.events);
        if expected != store_events {
            let stream = &self.stream;
            findings.imbalance = Some(format!(
                "topic '{topic}' of {stream}: the store counts {store_events} events, the leaf {expected}"
            ));
        }
        state.confirmed = Some(store_events);
        self.progress.release(in_flight.window);
        self.make_ready(topic);
    }

    /// Drops a topic's sums, to read them back from the log from where the store stands.
    fn read_back(&mut self, topic: &Topic, in_flight: InFlight, have: Lsn, store_events: u64) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        let dropped = std::iter::once((in_flight.cut.events, in_flight.volume, in_flight.window))
            // A probe was never held.
            .filter(|_| in_flight.cut.from < in_flight.cut.to)
            .chain(state.queue.drain(..).map(|p| (p.events, p.volume, p.window)));
        let mut events = 0;
        self.progress.hold(0);
        for (of_one, volume, window) in dropped {
            events += of_one;
            self.volume = self.volume.saturating_sub(volume);
            self.progress.release(window);
        }
        let expected = state.confirmed.map(|before| (before + events).saturating_sub(store_events));
        state.position = Position::Scanning;
        state.confirmed = Some(store_events);
        state.in_log = Some(InLog { events, last: self.last_window_to, expected });
        self.scans.insert(topic.clone(), Stretch { from: have, to: self.last_window_to });
    }

    /// Takes the next reading of the log that is needed, if none is under way.
    pub fn next_scan(&mut self) -> Option<Recut> {
        if self.scans.is_empty() || self.is_scanning {
            return None;
        }
        self.is_scanning = true;
        self.scanning = std::mem::take(&mut self.scans);
        Some(Recut::new(self.scanning.clone()))
    }

    /// Takes what a reading of the log found. Returns, by topic, how many events the store forgot when their
    /// log had been trimmed: they are lost, and declared so.
    pub fn handle_scan(&mut self, mut found: BTreeMap<Topic, Vec<Piece>>) -> Vec<(Topic, u64)> {
        let mut lost = Vec::new();
        self.is_scanning = false;
        for (topic, Stretch { from, .. }) in std::mem::take(&mut self.scanning) {
            let Some(state) = self.topics.get_mut(&topic) else { continue };
            let pieces = found.remove(&topic).unwrap_or_default();
            let events: u64 = pieces.iter().map(|p| p.events).sum();
            let in_log = state.in_log.take();
            let owed = in_log.map_or(0, |l| l.events);
            let missing = in_log.and_then(|l| l.expected).map_or(0, |e| e.saturating_sub(events));
            if missing > 0 {
                self.declared_lost += missing;
                lost.push((topic.clone(), missing));
            }
            // More than was owed: the store had confirmed it and forgot. Less: it had merged some of it.
            self.merged = (self.merged + owed).saturating_sub(events + missing);
            state.position = Position::Known(from);
            for Piece { to, sums, events } in pieces.into_iter().rev() {
                let volume = volume(&sums);
                self.volume = self.volume.saturating_add(volume);
                self.progress.hold(0);
                state.queue.push_front(Pending { to, sums, events, volume, window: 0 });
            }
            self.progress.release(0);
            self.make_ready(&topic);
            self.plan_probe(&topic);
        }
        lost
    }

    /// A reading of the log failed; it is tried again.
    pub fn handle_scan_failed(&mut self) {
        self.is_scanning = false;
        self.scans.append(&mut self.scanning);
    }
}

/// The totals of a merge that are near their limit, or all of them.
fn near_limit(cut: &Cut, totals: &[i64], are_all_wanted: bool) -> Vec<NearLimit> {
    let near = |total: i64| total.unsigned_abs() >= limits::TOTAL_NEAR_LIMIT.unsigned_abs();
    let totals = cut.sums.iter().zip(totals).filter(|(_, total)| are_all_wanted || near(**total));
    let found = |(sum, total): (&CounterSum, &i64)| NearLimit {
        topic: cut.topic.clone(),
        sum: CounterSum { delta: *total, ..sum.clone() },
    };
    totals.map(found).collect()
}

fn volume(sums: &[CounterSum]) -> u64 {
    sums.iter().map(|s| s.delta.unsigned_abs()).fold(0, u64::saturating_add)
}

/// Adds a window's sums to those that wait already, so that a slow root costs memory by counters and not
/// by windows. Gives them back when they have to wait apart.
fn append(queue: &mut VecDeque<Pending>, new: Pending) -> Option<Pending> {
    let Some(last) = queue.back_mut() else { return Some(new) };
    let counters = last.sums.len() + new.sums.len();
    if counters > limits::COUNTERS_PER_CUT
        || last.volume.saturating_add(new.volume) > limits::UNMERGED_MAX.unsigned_abs()
    {
        return Some(new);
    }
    let mut sums: BTreeMap<_, i64> = BTreeMap::new();
    for CounterSum { item, kind, delta } in std::mem::take(&mut last.sums).into_iter().chain(new.sums) {
        *sums.entry((item, kind)).or_default() += delta;
    }
    last.sums = sums.into_iter().map(|((item, kind), delta)| CounterSum { item, kind, delta }).collect();
    last.to = new.to;
    last.events += new.events;
    last.volume += new.volume;
    None
}

#[cfg(test)]
#[path = "uplink_tests.rs"]
mod tests;
