//! Keeps the log on disk, in files `streams/INCARNATION/FIRST_LSN.log` in the leaf's data folder.

mod deleter;
mod device;
mod writer;

pub(super) use deleter::Deletion;
pub(super) use writer::Written;

use crate::log::record;
use crate::log::recovery::{OldStream, Recovery};
use crate::log::recut::Recut;
use crate::log::segment::{self, End, LogError};
use crate::machine::Found;
use countree_common::cluster::NodeName;
use countree_common::shell::folder::DataFolder;
use countree_common::stream::{Lsn, StreamId};
use device::Device;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The reason why the log can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A segment does not hold what it should.
    #[error("{path}: {source}")]
    Log {
        /// The file.
        path: PathBuf,
        /// The fault.
        source: LogError,
    },
}

impl DiskError {
    /// Whether it passes by itself once there is room.
    fn is_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Io { source, .. } if full.contains(&source.kind()))
    }
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, DiskError> {
    result.map_err(|source| DiskError::Io { path: path.to_owned(), source })
}

/// The leaf's streams on disk. The folder is held until the last copy is gone, the log writer's included:
/// nobody else may read a log as sealed while it is still being written.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    streams: PathBuf,
    leaf: NodeName,
    device: Device,
    _folder: Arc<DataFolder>,
}

/// The name of a stream's folder while it is being deleted.
const DROPPED: &str = "dropped";

impl Disk {
    /// Opens the log in this data folder.
    pub(super) fn open(folder: DataFolder, leaf: &NodeName) -> Result<Self, DiskError> {
        let device = Device::of(folder.path());
        let streams = folder.path().join("streams");
        at(&streams, fs::create_dir_all(&streams))?;
        device.sync_path_to(folder.path())?;
        for entry in at(&streams, fs::read_dir(&streams))? {
            let path = at(&streams, entry)?.path();
            if path.extension().is_some_and(|e| e == DROPPED) {
                at(&path, fs::remove_dir_all(&path))?;
            }
        }
        Ok(Self { streams, leaf: leaf.clone(), device, _folder: Arc::new(folder) })
    }

    fn folder(&self, incarnation: u64) -> PathBuf {
        self.streams.join(incarnation.to_string())
    }

    /// The incarnations that have a stream here, oldest first.
    fn incarnations(&self) -> Result<Vec<u64>, DiskError> {
        let mut incarnations = Vec::new();
        for entry in at(&self.streams, fs::read_dir(&self.streams))? {
            let entry = at(&self.streams, entry)?;
            incarnations.extend(entry.file_name().to_str().and_then(|n| n.parse::<u64>().ok()));
        }
        incarnations.sort_unstable();
        Ok(incarnations)
    }

    /// A stream's segments by their first LSN, oldest first.
    fn segments(&self, incarnation: u64) -> Result<Vec<(Lsn, PathBuf)>, DiskError> {
        let folder = self.folder(incarnation);
        let mut segments = Vec::new();
        for entry in at(&folder, fs::read_dir(&folder))? {
            let path = at(&folder, entry)?.path();
            let first = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok());
            if let (Some(first), Some("log")) = (first, path.extension().and_then(|e| e.to_str())) {
                segments.push((first, path));
            }
        }
        segments.sort_unstable();
        Ok(segments)
    }

    /// Reads every old stream, cuts torn ends off, and tells what is to be carried over. Whatever it
    /// tells of is on disk.
    pub(super) fn recover(&self) -> Result<(Recovery, BTreeMap<StreamId, OldStream>), DiskError> {
        let mut recovery = Recovery::new(self.leaf.clone());
        let mut old = BTreeMap::new();
        let incarnations = self.incarnations()?;
        for incarnation in &incarnations {
            recovery.begin_stream();
            let segments = self.segments(*incarnation)?;
            let mut next = segments.first().map_or(1, |(first, _)| *first);
            for (i, (first, path)) in segments.iter().enumerate() {
                let log_error = |source| DiskError::Log { path: path.clone(), source };
                if *first != next {
                    return Err(log_error(LogError::Gap { expected: next, found: *first }));
                }
                let bytes = at(path, fs::read(path))?;
                recovery.begin_segment();
                let is_last = i + 1 == segments.len();
                let read =
                    segment::read(&bytes, *first, is_last, |lsn, record| recovery.record(lsn, &record));
                let (last, end) = read.map_err(log_error)?;
                if let End::Torn { offset } = end {
                    tracing::warn!(path = %path.display(), offset, "cutting off a torn write; nothing in it was acked");
                    self.device.cut_off(path, offset as u64)?;
                }
                if is_last && Some(incarnation) == incarnations.last() {
                    self.make_durable(path, &bytes)?;
                }
                next = last + 1;
            }
            let stream = StreamId { leaf: self.leaf.clone(), incarnation: *incarnation };
            old.insert(stream, recovery.end_stream());
        }
        Ok((recovery, old))
    }

    /// Puts the newest stream's end on disk before anything is built on it. A process that was killed may
    /// have left it in memory only; and after a failed fsync the system may take for written what is not,
    /// so that another fsync alone would prove nothing: what may not be on disk is written again. The
    /// streams before it went through this before it was begun.
    fn make_durable(&self, newest: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        let doubtful = doubtful(bytes);
        let tail = bytes.get(doubtful.clone()).unwrap_or_default();
        self.device.rewrite(newest, doubtful.start as u64, tail)?;
        newest.parent().map_or(Ok(()), |folder| self.device.sync_folder(folder))?;
        self.device.sync_folder(&self.streams)
    }

    /// Makes the folder of a new stream. On a full disk that is left to the writer: the leaf starts
    /// nevertheless, since draining old streams makes room.
    pub(super) fn create(&self, incarnation: u64) -> Result<(), DiskError> {
        match self.device.create_folder(&self.folder(incarnation)) {
            Err(e) if e.is_full() => {
                tracing::warn!("no room to begin a new stream yet: {e}");
                Ok(())
            }
            result => result.and_then(|()| self.device.sync_folder(&self.streams)),
        }
    }

    /// Reads a stretch of a stream again.
    pub(super) fn scan(&self, stream: &StreamId, mut recut: Recut) -> Result<Found, DiskError> {
        let segments = self.segments(stream.incarnation)?;
        for (i, (first, path)) in segments.iter().enumerate() {
            let next = segments.get(i + 1).map(|(first, _)| *first);
            if *first > recut.last() || next.is_some_and(|next| next <= recut.first()) {
                continue;
            }
            let bytes = at(path, fs::read(path))?;
            recut.begin_segment();
            // The end of the newest segment may be in the middle of being written.
            segment::read(&bytes, *first, next.is_none(), |lsn, record| recut.record(lsn, &record))
                .map_err(|source| DiskError::Log { path: path.clone(), source })?;
        }
        Ok(recut.finish())
    }

    /// Deletes a stream that nothing needs any more. A crash halfway leaves no stream with segments missing.
    pub(super) fn drop_stream(&self, stream: &StreamId) -> Result<(), DiskError> {
        let folder = self.folder(stream.incarnation);
        let dropped = folder.with_extension(DROPPED);
        at(&folder, fs::rename(&folder, &dropped))?;
        self.device.sync_folder(&self.streams)?;
        at(&dropped, fs::remove_dir_all(&dropped))
    }

    /// Deletes a segment that nothing needs any more, for good before the next one can go: a crash that
    /// brought it back without its successor would leave a gap.
    pub(super) fn drop_segment(&self, incarnation: u64, first: Lsn) -> Result<(), DiskError> {
        let folder = self.folder(incarnation);
        let path = segment_path(&folder, first);
        at(&path, fs::remove_file(&path))?;
        self.device.sync_folder(&folder)
    }
}

fn segment_path(folder: &Path, first: Lsn) -> PathBuf {
    folder.join(format!("{first:020}.log"))
}

/// The bytes of the records that no record behind them says to be on disk.
fn doubtful(segment: &[u8]) -> std::ops::Range<usize> {
    let places = || {
        let mut end = 0;
        std::iter::from_fn(move || {
            let (place, _) = record::take(segment.get(end..)?)?;
            end += place.bytes;
            Some((place, end))
        })
    };
    let (durable, end) = places().last().map_or((0, 0), |(place, end)| (place.durable, end));
    let first = places().find(|(place, _)| place.lsn > durable);
    first.map_or(end, |(place, its_end)| its_end - place.bytes)..end
}

#[cfg(test)]
mod testing;

#[cfg(test)]
#[path = "disk/writer_tests.rs"]
mod writer_tests;

#[cfg(test)]
#[path = "disk/folder_tests.rs"]
mod folder_tests;

#[cfg(test)]
#[path = "disk/damage_tests.rs"]
mod damage_tests;

#[cfg(test)]
#[path = "disk/failure_tests.rs"]
mod failure_tests;
