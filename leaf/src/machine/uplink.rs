//! One stream's sums on their way to the store: cut, sent, confirmed, and cut again where the store says
//! that it stands elsewhere.
//!
//! At most one cut of a topic is under way, and it is repeated verbatim until it is answered: a repeat
//! that was applied before is told `Have` with its own `to`, and so is never counted twice.

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
use std::collections::{BTreeMap, VecDeque};
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
    /// Events of this topic that the store has confirmed, where the leaf saw all of them.
    confirmed: Option<u64>,
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
}

impl TopicState {
    fn new(position: Position, in_log: Option<InLog>) -> Self {
        let confirmed = (position == Position::Known(0)).then_some(0);
        Self { position, era: 0, confirmed, in_flight: None, queue: VecDeque::new(), in_log, is_ready: false }
    }

    fn in_flight_events(&self) -> u64 {
        let queued: u64 = self.queue.iter().map(|p| p.events).sum();
        queued + self.in_log.map_or(0, |l| l.events) + self.in_flight.as_ref().map_or(0, |f| f.cut.events)
    }

    fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.queue.is_empty() && self.in_log.is_none()
    }

    /// The cut that is under way, or the next one if none is.
    fn next_cut(&mut self, stream: &StreamId, topic: &Topic) -> Option<&mut InFlight> {
        if self.in_flight.is_none() {
            let (from, pending) = match self.position {
                Position::Scanning => return None,
                Position::Unknown => {
                    (0, Pending { to: 0, sums: Vec::new(), events: 0, volume: 0, window: 0 })
                }
                Position::Known(from) => (from, self.queue.pop_front()?),
            };
            let Pending { to, sums, events, volume, window } = pending;
            let (stream, topic) = (stream.clone(), topic.clone());
            let cut = Cut { stream, topic, from, to, sums, events, era: self.era };
            self.in_flight = Some(InFlight { cut, volume, window, root: None, attempt: 0 });
        }
        self.in_flight.as_mut()
    }
}

/// A total that came close to its limit, or left its neighbourhood.
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
    /// Whether the merge is on stable storage; `None` when nothing was merged.
    pub durable: Option<bool>,
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
    scans: BTreeMap<Topic, Stretch>,
    scanning: BTreeMap<Topic, Stretch>,
    is_scanning: bool,
    progress: Progress,
    last_window_to: Lsn,
    accepted: u64,
    merged: u64,
    volume: u64,
}

impl Uplink {
    /// For the stream that this incarnation writes.
    pub fn live(stream: StreamId) -> Self {
        Self {
            stream,
            sealed_at: None,
            topics: BTreeMap::new(),
            ready: VecDeque::new(),
            timers: BTreeMap::new(),
            attempts: 0,
            scans: BTreeMap::new(),
            scanning: BTreeMap::new(),
            is_scanning: false,
            progress: Progress::default(),
            last_window_to: 0,
            accepted: 0,
            merged: 0,
            volume: 0,
        }
    }

    /// For a stream of an earlier incarnation: every topic in its log is asked about.
    pub fn sealed(stream: StreamId, old: OldStream) -> Self {
        let mut uplink = Self { sealed_at: Some(old.end), last_window_to: old.end, ..Self::live(stream) };
        uplink.accepted = old.accepted;
        // What is no longer in the log was trimmed, and only merged records are.
        uplink.merged = old.accepted - old.topics.values().map(|t| t.events).sum::<u64>();
        for (topic, TopicInLog { last, events }) in old.topics {
            let state = TopicState::new(Position::Unknown, Some(InLog { events, last }));
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
        self.topics.values().all(TopicState::is_idle)
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
            declared_lost: 0,
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
                return;
            }
            let topic = entry.remove();
            let in_flight = self.topics.get_mut(&topic).and_then(|s| s.in_flight.as_mut());
            if let Some(in_flight) = in_flight.filter(|f| f.attempt == attempt) {
                in_flight.root = None;
                self.make_ready(&topic);
            }
        }
    }

    /// When [`Uplink::handle_time`] has something to do.
    pub fn next_timeout(&self) -> Option<Time> {
        self.timers.keys().next().map(|(due, _)| *due)
    }

    fn retry_after(&mut self, topic: &Topic, now: Time, wait: Duration) {
        let Some(in_flight) = self.topics.get_mut(topic).and_then(|s| s.in_flight.as_mut()) else { return };
        self.attempts += 1;
        in_flight.attempt = self.attempts;
        self.timers.insert((now + wait, self.attempts), topic.clone());
    }

    /// Takes the answer to a cut. Answers to anything but the cut under way are from the past and ignored.
    pub fn handle_outcome(&mut self, now: Time, answer: CutOutcome) -> Findings {
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
                findings.durable = Some(applied.durable);
                let totals = in_flight.cut.sums.iter().zip(&applied.totals);
                findings.near_limit = totals
                    .filter(|(_, total)| total.unsigned_abs() >= limits::TOTAL_NEAR_LIMIT.unsigned_abs())
                    .map(|(sum, total)| NearLimit {
                        topic: topic.clone(),
                        sum: CounterSum { delta: *total, ..sum.clone() },
                    })
                    .collect();
                self.confirm(&topic, in_flight, applied.events, &mut findings);
            }
            Some(Outcome::Have { lsn, version, .. }) if from == to => {
                state.era = version.era;
                self.learn_position(&topic, lsn);
            }
            Some(Outcome::Have { lsn, events, version }) if lsn == to => {
                state.era = version.era;
                self.confirm(&topic, in_flight, events, &mut findings);
            }
            Some(Outcome::Have { lsn, version, .. }) => {
                findings.store_went_back = lsn < from;
                // All leaves that notice the same fall back ask for the same era: the one after the last they saw.
                let next = if findings.store_went_back { state.era + 1 } else { 0 };
                state.era = version.era.max(next);
                self.read_back(&topic, in_flight, lsn);
            }
        }
        findings
    }

    /// A probe was answered.
    fn learn_position(&mut self, topic: &Topic, have: Lsn) {
        let Some(state) = self.topics.get_mut(topic) else { return };
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
        if let Some(confirmed) = &mut state.confirmed {
            *confirmed += in_flight.cut.events;
            if *confirmed != store_events {
                let stream = &self.stream;
                findings.imbalance = Some(format!(
                    "topic '{topic}' of {stream}: the store counts {store_events} events, the leaf {confirmed}"
                ));
            }
        } else {
            state.confirmed = Some(store_events);
        }
        self.progress.release(in_flight.window);
        self.make_ready(topic);
    }

    /// Drops a topic's sums, to read them back from the log from where the store stands.
    fn read_back(&mut self, topic: &Topic, in_flight: InFlight, have: Lsn) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        let dropped = std::iter::once((in_flight.cut.events, in_flight.volume, in_flight.window))
            .chain(state.queue.drain(..).map(|p| (p.events, p.volume, p.window)));
        let mut events = 0;
        for (of_one, volume, window) in dropped {
            events += of_one;
            self.volume = self.volume.saturating_sub(volume);
            self.progress.release(window);
        }
        state.position = Position::Scanning;
        state.confirmed = None;
        state.in_log = Some(InLog { events, last: self.last_window_to });
        self.progress.hold(0);
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

    /// Takes what a reading of the log found.
    pub fn handle_scan(&mut self, mut found: BTreeMap<Topic, Vec<Piece>>) {
        self.is_scanning = false;
        for (topic, Stretch { from, .. }) in std::mem::take(&mut self.scanning) {
            let Some(state) = self.topics.get_mut(&topic) else { continue };
            let pieces = found.remove(&topic).unwrap_or_default();
            let events: u64 = pieces.iter().map(|p| p.events).sum();
            let owed = state.in_log.take().map_or(0, |l| l.events);
            // More than was owed: the store had confirmed it and forgot. Less: it had merged some of it.
            self.merged = (self.merged + owed).saturating_sub(events);
            state.position = Position::Known(from);
            for Piece { to, sums, events } in pieces.into_iter().rev() {
                let volume = volume(&sums);
                self.volume = self.volume.saturating_add(volume);
                self.progress.hold(0);
                state.queue.push_front(Pending { to, sums, events, volume, window: 0 });
            }
            self.progress.release(0);
            self.make_ready(&topic);
        }
    }

    /// A reading of the log failed; it is tried again.
    pub fn handle_scan_failed(&mut self) {
        self.is_scanning = false;
        self.scans.append(&mut self.scanning);
    }
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
