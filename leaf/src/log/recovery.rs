//! Recovers a leaf's knowledge from its old streams: the sessions and keys to carry over, and the topics that may have
//! sums which were never merged.

use super::carried::Carried;
use super::record::{Checkpoint, Record};
use super::replay::{KnownCounter, Replay, TopicNumber};
use super::segment::LogError;
use countree_common::cluster::NodeName;
use countree_common::key::Topic;
use countree_common::stream::{Lsn, StreamId};
use countree_common::wire::rpc::LogEnd;
use hashbrown::HashMap;
use std::collections::BTreeMap;

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
    /// Begins to read this leaf's streams.
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

    /// Begins the next stream.
    pub fn begin_stream(&mut self) {
        self.checkpoint = None;
        self.stream = OldStream::default();
        self.topics.clear();
        self.replay = Replay::default();
        self.is_first_record = true;
    }

    /// Begins its next segment.
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
        self.replay.events(lsn, record, |KnownCounter { counter, topic }, _| {
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

    /// Ends the stream; says what its log holds.
    pub fn end_stream(&mut self) -> OldStream {
        let topics = std::mem::take(&mut self.topics).into_values().collect();
        OldStream { topics, ..std::mem::take(&mut self.stream) }
    }
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
