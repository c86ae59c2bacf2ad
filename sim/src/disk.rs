//! A leaf's disk: what was written and not fsynced may be lost or torn when the power goes.

use crate::faults::{BackgroundFault, Tally};
use crate::flaws::Flaw;
use crate::random::Random;
use countree_common::cluster::NodeName;
use countree_common::stream::{Lsn, StreamId};
use countree_common::time::Time;
use countree_leaf::log::recovery::{OldStream, Recovery};
use countree_leaf::log::recut::Recut;
use countree_leaf::log::segment::{self, End, LogError};
use countree_leaf::machine::Found;
use countree_leaf::machine::log_builder::Append;
use std::collections::{BTreeMap, VecDeque};

/// One segment's file.
#[derive(Debug, Clone, Default)]
struct File {
    bytes: Vec<u8>,
    /// The number of bytes that survive a power cut.
    synced: usize,
    /// An fsync of it has failed: the system takes what was written for clean, and no later one writes it.
    is_poisoned: bool,
}

impl File {
    /// The power goes. Of what was not fsynced, some pages may have been written, in any order.
    fn lose_power(&mut self, random: &mut Random) -> Option<BackgroundFault> {
        let unsynced = self.bytes.len() - self.synced;
        if unsynced == 0 {
            return None;
        }
        let kept = match random.below(3) {
            0 => 0,
            1 => random.below(unsynced as u64 + 1) as usize,
            _ => unsynced,
        };
        self.bytes.truncate(self.synced + kept);
        let has_hole = kept > 0 && random.chance(50);
        if has_hole {
            let hole = self.synced + random.below(kept as u64) as usize;
            let end = (hole + 1 + random.below(64) as usize).min(self.bytes.len());
            self.bytes[hole..end].fill(0);
        }
        self.synced = self.bytes.len();
        match kept {
            0 => Some(BackgroundFault::WriteDropped),
            kept if kept < unsynced || has_hole => Some(BackgroundFault::WriteTorn),
            _ => None,
        }
    }
}

/// A copy of a leaf's data folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folder(BTreeMap<u64, BTreeMap<Lsn, File>>);

/// The kind of a crash, by what it leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process died: what it wrote is in the system's memory and will be read back.
    Process,
    /// The machine died: what was not fsynced may be gone.
    Power,
}

/// A report of the log's writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// Everything up to this record is on disk.
    Durable { last: Lsn, bytes: u64 },
    /// There is no room; it is tried again.
    Full,
    /// An fsync failed: nothing is written any more.
    Failed,
}

/// An fsync that is under way.
#[derive(Debug, Clone, Copy)]
struct Sync {
    incarnation: u64,
    segment: Lsn,
    /// The length of the file when the fsync began, in bytes.
    length: usize,
    last: Lsn,
    bytes: u64,
}

/// A leaf's streams, and the writer of the live one.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    streams: BTreeMap<u64, BTreeMap<Lsn, File>>,
    queue: VecDeque<Append>,
    syncing: Option<Sync>,
    has_failed: bool,
    waits_for_room: bool,
    /// The time until which there is no room.
    pub(crate) full_until: Time,
    /// The next fsync fails.
    pub(crate) fails_next: bool,
    /// The rule that the disk breaks, if any.
    flaw: Option<Flaw>,
}

impl Disk {
    /// An empty disk; some flaws are a disk's.
    pub(crate) fn new(flaw: Option<Flaw>) -> Self {
        Self { flaw, ..Self::default() }
    }

    /// Whether an fsync has failed since the last crash.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Takes bytes to be written after all others.
    pub(crate) fn append(&mut self, append: Append) {
        self.queue.push_back(append);
    }

    /// Writes what waits for one segment, and begins its fsync. Returns what is to be reported at once, and
    /// whether [`Disk::finish`] is to follow.
    pub(crate) fn begin(&mut self, incarnation: u64, now: Time) -> (Option<Written>, bool) {
        let Some(segment) = self.queue.front().map(|a| a.segment) else { return (None, false) };
        if self.syncing.is_some() || self.has_failed || self.waits_for_room {
            return (None, false);
        }
        if now < self.full_until {
            self.waits_for_room = true;
            return (Some(Written::Full), true);
        }
        let file = self.streams.entry(incarnation).or_default().entry(segment).or_default();
        let mut sync = Sync { incarnation, segment, length: 0, last: 0, bytes: 0 };
        while self.queue.front().is_some_and(|a| a.segment == segment)
            && let Some(append) = self.queue.pop_front()
        {
            file.bytes.extend_from_slice(&append.bytes);
            (sync.last, sync.bytes) = (append.last, sync.bytes + append.bytes.len() as u64);
        }
        sync.length = file.bytes.len();
        self.syncing = Some(sync);
        let early = Written::Durable { last: sync.last, bytes: sync.bytes };
        (self.is_early().then_some(early), true)
    }

    /// The fsync is over, or it is time to look for room again.
    pub(crate) fn finish(&mut self) -> Option<Written> {
        self.waits_for_room = false;
        let Sync { incarnation, segment, length, last, bytes } = self.syncing.take()?;
        let file = self.streams.get_mut(&incarnation).and_then(|s| s.get_mut(&segment));
        let fails = std::mem::take(&mut self.fails_next);
        match file {
            Some(file) if fails => file.is_poisoned = true,
            Some(file) if !file.is_poisoned => file.synced = file.synced.max(length),
            _ => {}
        }
        if fails && self.flaw != Some(Flaw::RetriedFsync) {
            self.has_failed = true;
            return Some(Written::Failed);
        }
        (!self.is_early()).then_some(Written::Durable { last, bytes })
    }

    fn is_early(&self) -> bool {
        matches!(self.flaw, Some(Flaw::EarlyDurable | Flaw::EarlyMerge))
    }

    /// Whether anything that was handed to it is not on disk yet.
    pub(crate) fn is_behind(&self) -> bool {
        self.syncing.is_some() || !self.queue.is_empty()
    }

    /// The leaf's process is gone, and what it had not handed to the system with it.
    pub(crate) fn crash(&mut self, crash: Crash, random: &mut Random, tally: &mut Tally) {
        self.queue.clear();
        (self.syncing, self.waits_for_room) = (None, false);
        // After a failed fsync the system's memory says what the disk does not: only the latter counts.
        let loses = std::mem::take(&mut self.has_failed) || crash == Crash::Power;
        self.fails_next = false;
        for file in self.streams.values_mut().flat_map(|s| s.values_mut()) {
            if loses && let Some(mishap) = file.lose_power(random) {
                tally.note(mishap);
            }
        }
    }

    /// Reads every old stream, cuts torn ends off, and tells what is to be carried over.
    ///
    /// # Errors
    /// When the log is damaged: no crash may do that to it.
    pub(crate) fn recover(
        &mut self,
        leaf: &NodeName,
    ) -> Result<(Recovery, BTreeMap<StreamId, OldStream>), LogError> {
        let (mut recovery, mut old) = (Recovery::new(leaf.clone()), BTreeMap::new());
        for (incarnation, segments) in &mut self.streams {
            recovery.begin_stream();
            let mut next = segments.keys().next().copied().unwrap_or(1);
            let newest = segments.keys().next_back().copied();
            for (first, file) in segments {
                if *first != next {
                    return Err(LogError::Gap { expected: next, found: *first });
                }
                recovery.begin_segment();
                let is_last = Some(*first) == newest;
                let read =
                    segment::read(&file.bytes, *first, is_last, |lsn, record| recovery.record(lsn, &record));
                let (last, end) = read?;
                if let End::Torn { offset } = end {
                    file.bytes.truncate(offset);
                    file.synced = file.synced.min(offset);
                }
                if self.flaw != Some(Flaw::UnsyncedRecovery) {
                    (file.synced, file.is_poisoned) = (file.bytes.len(), false);
                }
                next = last + 1;
            }
            old.insert(StreamId { leaf: leaf.clone(), incarnation: *incarnation }, recovery.end_stream());
        }
        Ok((recovery, old))
    }

    /// A copy of the folder.
    pub(crate) fn copied(&self) -> Folder {
        Folder(self.streams.clone())
    }

    /// The folder is replaced by a copy, or by an empty one. Nobody uses it at the time.
    pub(crate) fn replace(&mut self, folder: Folder) {
        self.streams = folder.0;
    }

    /// Makes the folder of a new stream.
    pub(crate) fn create(&mut self, incarnation: u64) {
        self.streams.entry(incarnation).or_default();
    }

    /// Reads a stretch of a stream again.
    ///
    /// # Errors
    /// When the log is damaged.
    pub(crate) fn scan(&self, incarnation: u64, mut recut: Recut) -> Result<Found, LogError> {
        let Some(segments) = self.streams.get(&incarnation) else { return Ok(recut.finish()) };
        let firsts: Vec<Lsn> = segments.keys().copied().collect();
        for (at, (first, file)) in segments.iter().enumerate() {
            let next = firsts.get(at + 1).copied();
            if *first > recut.last() || next.is_some_and(|next| next <= recut.first()) {
                continue;
            }
            recut.begin_segment();
            segment::read(&file.bytes, *first, next.is_none(), |lsn, record| recut.record(lsn, &record))?;
        }
        Ok(recut.finish())
    }

    /// Deletes a stream.
    pub(crate) fn drop_stream(&mut self, incarnation: u64) {
        self.streams.remove(&incarnation);
    }

    /// Deletes a segment.
    pub(crate) fn drop_segment(&mut self, incarnation: u64, first: Lsn) {
        if let Some(stream) = self.streams.get_mut(&incarnation) {
            stream.remove(&first);
        }
    }
}
