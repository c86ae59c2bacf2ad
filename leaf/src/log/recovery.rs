//! Recovers a leaf's knowledge from its old streams: the sessions and keys to carry over, and which topics
//! may have sums that were never merged. And the sums themselves, once it is known from where.

use super::record::{Checkpoint, Record, SessionRecord};
use super::replay::{Known, Replay, TopicNumber};
use super::segment::LogError;
use countree_common::cluster::NodeName;
use countree_common::cut::CounterSum;
use countree_common::key::{Counter, Topic};
use countree_common::ledger::Ledger;
use countree_common::limits::WINDOW_COUNTERS_PER_TOPIC;
use countree_common::session::SessionId;
use countree_common::store::{FolderAdmission, StoreMemory};
use countree_common::stream::{Lsn, StreamId};
use countree_common::time::WallMs;
use countree_common::wire::keys::{IdempotencyKey, KeyState, Remembered};
use countree_common::wire::rpc::LogEnd;
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// Sessions and idempotency keys, folded over streams and segments from the oldest on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// The progress of each session.
    pub sessions: BTreeMap<SessionId, SessionRecord>,
    /// The knowledge of each idempotency key.
    pub keys: BTreeMap<IdempotencyKey, Remembered>,
    /// The last ledgers of the streams that retired last, by incarnation.
    pub retired: BTreeMap<u64, Ledger>,
}

impl Carried {
    /// The latest time in it, by the clock that ages it; `None` when there is nothing to age.
    pub fn latest(&self) -> Option<WallMs> {
        let sessions = self.sessions.values().map(|session| session.at);
        sessions.chain(self.keys.values().map(|of| of.at)).max()
    }

    /// The registry knows of streams that should be in this log, and are not. Sessions may have gone further there than
    /// it says: none goes on, or a batch that was counted would be taken once more. The keys were used all the same.
    pub fn note_missing(&mut self, missing: &[StreamId]) {
        if !missing.is_empty() {
            self.sessions.clear();
        }
    }

    /// The folder belongs to this store from now on, and to that of `earlier` until now; gives what it is to remember.
    /// Streams without a log, in a folder of another cluster, are nothing to this store.
    pub fn belong(&mut self, store: &FolderAdmission, earlier: Option<&StoreMemory>) -> StoreMemory {
        let known = earlier.map_or(0, |earlier| earlier.foreign_to);
        let last = self.retired.keys().next_back().copied().unwrap_or_default();
        let foreign_to = if store.is_foreign { last.max(known) } else { known };
        self.retired.retain(|incarnation, _| *incarnation > foreign_to);
        StoreMemory { foreign_to, ..StoreMemory::of(store.id, store.start) }
    }

    /// Takes up a record that is no part of a checkpoint.
    fn record(&mut self, record: &Record<'_>) {
        match record {
            Record::Open { session, at } => {
                let opened = SessionRecord { last: 0, at: *at, is_ended: false };
                self.sessions.entry(*session).or_insert(opened);
            }
            Record::Batch { session, seq, at, .. } => {
                let known = SessionRecord { last: *seq, at: *at, is_ended: false };
                self.sessions.insert(*session, known);
            }
            Record::Submission(submission) => {
                let at = submission.at;
                let used = |key, content| (key, Remembered { key, at, state: KeyState::Used { content } });
                self.keys.extend(submission.keys.iter().map(|of| used(of.key, of.content)));
            }
            Record::Seal => self.sessions.values_mut().for_each(|session| session.is_ended = true),
            Record::Inherited(keys) => {
                for of in keys {
                    let known = self.keys.entry(of.key).or_insert_with(|| of.clone());
                    if known.state.absorb(&of.state) {
                        known.at = of.at;
                    }
                }
            }
            Record::Noted { keys, at, by } => {
                for key in keys.iter().copied() {
                    let state = KeyState::Noted(vec![by.clone()]);
                    self.keys.insert(key, Remembered { key, at: *at, state });
                }
            }
            Record::Retired(ledgers) => self.retired.extend(ledgers.iter().copied()),
            Record::Checkpoint(_) | Record::Keys(_) => {}
        }
    }
}

/// A checkpoint of which more records are to come.
#[derive(Debug)]
struct OpenCheckpoint {
    carried: Carried,
    key_records: u32,
}

/// An old stream, as far as its log is still there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldStream {
    /// Its last record.
    pub end: Lsn,
    /// Events accepted into it, those whose records are gone included.
    pub accepted: u64,
    /// The topics with events in the records that are still there.
    pub topics: BTreeMap<Topic, TopicInLog>,
}

/// The ends of old streams, for the registry to compare.
pub fn ends(old: &BTreeMap<StreamId, OldStream>) -> Vec<LogEnd> {
    let end = |(stream, old): (&StreamId, &OldStream)| LogEnd {
        incarnation: stream.incarnation,
        last: old.end,
        accepted: old.accepted,
    };
    old.iter().map(end).collect()
}

/// A topic's events in an old stream's log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicInLog {
    /// Its last record.
    pub last: Lsn,
    /// The number of events.
    pub events: u64,
}

/// Reads old streams, record by record, from the oldest stream to the newest.
#[derive(Debug)]
pub struct Recovery {
    leaf: NodeName,
    /// The knowledge to be carried over into the next stream.
    pub carried: Carried,
    checkpoint: Option<OpenCheckpoint>,
    stream: OldStream,
    topics: HashMap<TopicNumber, (Topic, TopicInLog)>,
    replay: Replay,
    is_first_record: bool,
}

impl Recovery {
    /// Of this leaf's streams.
    pub fn new(leaf: NodeName) -> Self {
        Self {
            leaf,
            carried: Carried::default(),
            checkpoint: None,
            stream: OldStream::default(),
            topics: HashMap::new(),
            replay: Replay::default(),
            is_first_record: true,
        }
    }

    /// The next stream begins.
    pub fn begin_stream(&mut self) {
        self.checkpoint = None;
        self.stream = OldStream::default();
        self.topics.clear();
        self.replay = Replay::default();
        self.is_first_record = true;
    }

    /// Its next segment begins.
    pub fn begin_segment(&mut self) {
        self.replay.begin_segment();
    }

    /// Takes up its next record.
    ///
    /// # Errors
    /// When the record contradicts those before it, or is another leaf's.
    pub fn record(&mut self, lsn: Lsn, record: &Record<'_>) -> Result<(), LogError> {
        if let Record::Checkpoint(Checkpoint { leaf: Some(found), .. }) = record
            && *found != self.leaf
        {
            return Err(LogError::WrongLeaf { found: found.clone(), expected: self.leaf.clone() });
        }
        if let (true, Record::Checkpoint(checkpoint)) = (self.is_first_record, record) {
            self.stream.accepted = checkpoint.accepted;
        }
        self.is_first_record = false;
        self.take_up(record);
        self.stream.end = lsn;
        let (accepted, topics) = (&mut self.stream.accepted, &mut self.topics);
        self.replay.events(lsn, record, |Known { counter, topic }, _| {
            *accepted += 1;
            let first = || (counter.topic.clone(), TopicInLog::default());
            let (_, in_log) = topics.entry(*topic).or_insert_with(first);
            in_log.last = lsn;
            in_log.events += 1;
        })
    }

    /// A checkpoint replaces what was known once it is whole. A torn one leaves it as it was, which loses
    /// nothing: no other record can have followed it.
    fn take_up(&mut self, record: &Record<'_>) {
        match record {
            Record::Checkpoint(Checkpoint { sessions, key_records, .. }) => {
                let carried = Carried { sessions: sessions.iter().copied().collect(), ..Carried::default() };
                self.checkpoint = Some(OpenCheckpoint { carried, key_records: *key_records });
            }
            Record::Keys(keys) => {
                if let Some(open) = &mut self.checkpoint {
                    open.carried.keys.extend(keys.iter().map(|of| (of.key, of.clone())));
                    open.key_records = open.key_records.saturating_sub(1);
                }
            }
            other => self.carried.record(other),
        }
        if let Some(open) = self.checkpoint.take_if(|open| open.key_records == 0) {
            // No checkpoint says what retired: those ledgers are records of their own.
            let retired = std::mem::take(&mut self.carried.retired);
            self.carried = Carried { retired, ..open.carried };
        }
    }

    /// The stream is read.
    pub fn end_stream(&mut self) -> OldStream {
        let topics = std::mem::take(&mut self.topics).into_values().collect();
        OldStream { topics, ..std::mem::take(&mut self.stream) }
    }
}

/// A part of a topic's sum over a stretch of log, small enough for one cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The last LSN that it holds.
    pub to: Lsn,
    /// Σδ per counter.
    pub sums: Vec<CounterSum>,
    /// The number of events.
    pub events: u64,
}

/// A stretch of log: the records after `from`, up to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The last LSN that is not in it.
    pub from: Lsn,
    /// The last LSN that is.
    pub to: Lsn,
}

/// Topics with the pieces that a reading of the log found for them.
pub type Found = BTreeMap<Topic, Vec<Piece>>;

/// Sums some topics over a stream's log again, each from where the store says that it stands.
#[derive(Debug)]
pub struct Recut {
    stretches: BTreeMap<Topic, Stretch>,
    open: HashMap<TopicNumber, OpenPiece>,
    done: BTreeMap<Topic, Vec<Piece>>,
    replay: Replay,
}

#[derive(Debug)]
struct OpenPiece {
    topic: Topic,
    /// `None` for a topic of which nothing is wanted.
    stretch: Option<Stretch>,
    sums: HashMap<Counter, i64>,
    events: u64,
    last: Lsn,
}

impl Recut {
    /// Each topic over its own stretch.
    pub fn new(stretches: BTreeMap<Topic, Stretch>) -> Self {
        Self { stretches, open: HashMap::new(), done: BTreeMap::new(), replay: Replay::default() }
    }

    /// The first LSN that any topic needs.
    pub fn first(&self) -> Lsn {
        self.stretches.values().map(|s| s.from + 1).min().unwrap_or(Lsn::MAX)
    }

    /// The last LSN that any topic needs.
    pub fn last(&self) -> Lsn {
        self.stretches.values().map(|s| s.to).max().unwrap_or(0)
    }

    /// The next segment begins.
    pub fn begin_segment(&mut self) {
        self.replay.begin_segment();
    }

    /// Takes up the next record.
    ///
    /// # Errors
    /// When the record contradicts those before it.
    pub fn record(&mut self, lsn: Lsn, record: &Record<'_>) -> Result<(), LogError> {
        let Self { stretches, open, done, replay } = self;
        replay.events(lsn, record, |Known { counter, topic }, delta| {
            let begin = || OpenPiece::new(&counter.topic, stretches.get(&counter.topic).copied());
            let piece = open.entry(*topic).or_insert_with(begin);
            if piece.stretch.is_none_or(|s| lsn <= s.from || lsn > s.to) {
                return;
            }
            // A cut ends between records, and well before its counters outgrow a frame.
            if piece.last < lsn && piece.sums.len() >= WINDOW_COUNTERS_PER_TOPIC {
                let full = std::mem::replace(piece, OpenPiece::new(&counter.topic, piece.stretch));
                done.entry(counter.topic.clone()).or_default().push(full.close());
            }
            piece.last = lsn;
            piece.events += 1;
            // Modulo 2^64, as the totals are: the sum is in range whenever they are.
            match piece.sums.get_mut(counter) {
                Some(sum) => *sum = sum.wrapping_add(delta),
                None => drop(piece.sums.insert(counter.clone(), delta)),
            }
        })
    }

    /// The pieces of each topic, in order; a topic without events has none.
    pub fn finish(mut self) -> Found {
        for piece in self.open.into_values().filter(|piece| piece.events > 0) {
            self.done.entry(piece.topic.clone()).or_default().push(piece.close());
        }
        self.done
    }
}

impl OpenPiece {
    fn new(topic: &Topic, stretch: Option<Stretch>) -> Self {
        Self { topic: topic.clone(), stretch, sums: HashMap::new(), events: 0, last: 0 }
    }

    fn close(self) -> Piece {
        let mut sums: Vec<_> = self
            .sums
            .into_iter()
            .map(|(counter, delta)| CounterSum { item: counter.item, kind: counter.kind, delta })
            .collect();
        sums.sort_unstable_by(|a, b| (&a.item, &a.kind).cmp(&(&b.item, &b.kind)));
        Piece { to: self.last, sums, events: self.events }
    }
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
