//! Sums topics over a stretch of a log again, once the store has said where it stands.

use super::record::Record;
use super::replay::{KnownCounter, Replay, TopicNumber};
use super::segment::LogError;
use countree_common::cut::CounterSum;
use countree_common::key::{Counter, Topic};
use countree_common::limits::WINDOW_COUNTERS_PER_TOPIC;
use countree_common::stream::Lsn;
use hashbrown::HashMap;
use std::collections::BTreeMap;

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
    /// Sums each topic over its own stretch.
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

    /// Begins the next segment.
    pub fn begin_segment(&mut self) {
        self.replay.begin_segment();
    }

    /// Takes up the next record.
    ///
    /// # Errors
    /// When the record contradicts those before it.
    pub fn record(&mut self, lsn: Lsn, record: &Record<'_>) -> Result<(), LogError> {
        let Self { stretches, open, done, replay } = self;
        replay.events(lsn, record, |KnownCounter { counter, topic }, delta| {
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
