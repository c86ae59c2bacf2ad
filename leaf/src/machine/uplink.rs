//! One stream's sums on their way to the store: cut, sent, confirmed, and cut again where the store says
//! that it stands elsewhere.
//!
//! At most one cut of a topic is under way, and it is repeated verbatim until it is answered: a repeat
//! that was applied before is told `Have` with its own `to`, and so is never counted twice.

mod outcomes;
mod probes;
mod readings;

use super::doubt::Doubt;
use super::progress::{Progress, WindowId};
use super::table::TopicSums;
use crate::log::recovery::{OldStream, Piece, Recut, Stretch, TopicInLog};
use countree_common::cluster::NodeName;
use countree_common::cut::{CounterSum, Cut};
use countree_common::key::Topic;
use countree_common::ledger::Ledger;
use countree_common::limits;
use countree_common::stream::{Lsn, StreamId};
use countree_common::time::{Time, WallMs};
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

    /// How many topics it keeps the position of.
    pub fn topics(&self) -> usize {
        self.topics.len()
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

    fn retry_after(&mut self, topic: &Topic, now: Time, wait: Duration) {
        let Some(in_flight) = self.topics.get_mut(topic).and_then(|s| s.in_flight.as_mut()) else { return };
        self.attempts += 1;
        in_flight.attempt = self.attempts;
        self.timers.insert((now + wait, self.attempts), topic.clone());
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
