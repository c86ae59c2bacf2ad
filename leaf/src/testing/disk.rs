//! A disk in memory: what was fsynced stays, what was not may be torn at any byte by a crash.

use super::Chance;
use crate::log::carried::Carried;
use crate::log::recovery::{OldStream, Recovery};
use crate::log::recut::Recut;
use crate::log::segment::{self, End, LogError};
use crate::machine::Found;
use crate::machine::log_builder::Append;
use countree_common::cluster::NodeName;
use countree_common::stream::{Lsn, StreamId};
use std::collections::{BTreeMap, VecDeque};

type Segments = BTreeMap<Lsn, Vec<u8>>;

#[derive(Debug, Default)]
pub(crate) struct TestDisk {
    pub(crate) streams: BTreeMap<u64, Segments>,
    /// Written, and not on disk yet.
    pub(crate) pending: VecDeque<Append>,
    /// The live stream's last record on disk.
    pub(crate) durable: Lsn,
}

impl TestDisk {
    /// Puts the oldest append on disk; returns its last record and its bytes.
    pub(crate) fn sync_one(&mut self, incarnation: u64) -> Option<(Lsn, u64)> {
        let Append { segment, bytes, last } = self.pending.pop_front()?;
        let (length, segments) = (bytes.len() as u64, self.streams.entry(incarnation).or_default());
        segments.entry(segment).or_default().extend(bytes);
        self.durable = last;
        Some((last, length))
    }

    /// Loses what was not fsynced, but for some of its first bytes.
    pub(crate) fn crash(&mut self, incarnation: u64, chance: &mut Chance) {
        let segments = self.streams.entry(incarnation).or_default();
        for Append { segment, bytes, .. } in self.pending.drain(..) {
            let kept = if chance.percent(50) { bytes.len() } else { chance.below(bytes.len()) };
            segments.entry(segment).or_default().extend(&bytes[..kept]);
            if kept < bytes.len() {
                break;
            }
        }
        self.pending.clear();
        self.durable = 0;
    }

    /// Reads every stream, and cuts torn ends off.
    pub(crate) fn recover(
        &mut self,
        leaf: &NodeName,
    ) -> Result<(Recovery, BTreeMap<StreamId, OldStream>), LogError> {
        let mut recovery = Recovery::new(leaf.clone());
        let mut old = BTreeMap::new();
        for (incarnation, segments) in &mut self.streams {
            recovery.begin_stream();
            let newest = segments.keys().last().copied();
            let mut next = segments.keys().next().copied().unwrap_or(1);
            for (first, bytes) in segments {
                if *first != next {
                    return Err(LogError::Gap { expected: next, found: *first });
                }
                recovery.begin_segment();
                let is_last = Some(*first) == newest;
                let (last, end) =
                    segment::read(bytes, *first, is_last, |lsn, record| recovery.record(lsn, &record))?;
                if let End::Torn { offset } = end {
                    bytes.truncate(offset);
                }
                next = last + 1;
            }
            let stream = StreamId { leaf: leaf.clone(), incarnation: *incarnation };
            old.insert(stream, recovery.end_stream());
        }
        Ok((recovery, old))
    }

    /// The knowledge of sessions and keys that a restart would take from the disk.
    pub(crate) fn carried(&self, leaf: &NodeName) -> Carried {
        let mut copy = Self { streams: self.streams.clone(), ..Self::default() };
        copy.recover(leaf).unwrap().0.carried
    }

    pub(crate) fn scan(&self, stream: &StreamId, mut recut: Recut) -> Found {
        let Some(segments) = self.streams.get(&stream.incarnation) else { return recut.finish() };
        for (first, bytes) in segments {
            recut.begin_segment();
            segment::read(bytes, *first, true, |lsn, record| recut.record(lsn, &record)).unwrap();
        }
        recut.finish()
    }
}
