//! The log on disk: `streams/INCARNATION/FIRST_LSN.log` in the leaf's data folder.

use crate::log::recovery::{OldStream, Recovery, Recut};
use crate::log::segment::{self, End, LogError};
use crate::machine::journal::Append;
use crate::machine::{DiskState, Found};
use countree_common::cluster::NodeName;
use countree_common::shell::folder::DataFolder;
use countree_common::stream::{Lsn, StreamId};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// How long the writer waits before it tries a full disk again.
const FULL_RETRY: Duration = Duration::from_millis(200);
/// Appends of at most so many bytes share one fsync.
const GROUP_BYTES: usize = 8 << 20;

/// Why the log can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A segment does not hold what it should.
    #[error("{path}: {source}")]
    Log {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: LogError,
    },
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
    _folder: Arc<DataFolder>,
}

/// What a stream's folder is called while it is being deleted.
const DROPPED: &str = "dropped";

impl Disk {
    /// In this data folder.
    pub(super) fn open(folder: DataFolder, leaf: &NodeName) -> Result<Self, DiskError> {
        let streams = folder.path().join("streams");
        at(&streams, fs::create_dir_all(&streams))?;
        sync_folder(folder.path())?;
        for entry in at(&streams, fs::read_dir(&streams))? {
            let path = at(&streams, entry)?.path();
            if path.extension().is_some_and(|e| e == DROPPED) {
                at(&path, fs::remove_dir_all(&path))?;
            }
        }
        Ok(Self { streams, leaf: leaf.clone(), _folder: Arc::new(folder) })
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

    /// Reads every old stream, cuts torn ends off, and tells what is to be carried over. Also returns the
    /// lowest incarnation that is free.
    pub(super) fn recover(&self) -> Result<(Recovery, BTreeMap<StreamId, OldStream>, u64), DiskError> {
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
                    cut_off(path, offset)?;
                }
                next = last + 1;
            }
            let stream = StreamId { leaf: self.leaf.clone(), incarnation: *incarnation };
            old.insert(stream, recovery.end_stream());
        }
        Ok((recovery, old, incarnations.last().map_or(1, |last| last + 1)))
    }

    /// Makes the folder of a new stream.
    pub(super) fn create(&self, incarnation: u64) -> Result<(), DiskError> {
        let folder = self.folder(incarnation);
        at(&folder, fs::create_dir(&folder))?;
        sync_folder(&self.streams)
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
        sync_folder(&self.streams)?;
        at(&dropped, fs::remove_dir_all(&dropped))
    }

    /// Deletes a segment that nothing needs any more.
    pub(super) fn drop_segment(&self, incarnation: u64, first: Lsn) -> Result<(), DiskError> {
        let path = segment_path(&self.folder(incarnation), first);
        at(&path, fs::remove_file(&path))
    }

    /// Puts appends on disk until there are no more, telling `report` what became of them. Appends that
    /// wait together share one fsync.
    pub(super) fn write(&self, incarnation: u64, appends: &Receiver<Append>, report: impl Fn(Written)) {
        let mut writer = Writer { folder: self.folder(incarnation), open: None };
        while let Ok(append) = appends.recv() {
            let mut group = vec![append];
            let mut bytes = group[0].bytes.len();
            while bytes < GROUP_BYTES
                && let Ok(append) = appends.try_recv()
            {
                bytes += append.bytes.len();
                group.push(append);
            }
            let last = group.last().map_or(0, |a| a.last);
            match writer.write_group(&group, &report) {
                Ok(()) => report(Written::Durable { last, bytes: bytes as u64 }),
                Err(e) => {
                    // A failed fsync may have dropped the pages: what is on disk is unknown from here on.
                    tracing::error!("the log could not be written, this leaf acks nothing any more: {e}");
                    return report(Written::State(DiskState::Failed));
                }
            }
        }
    }
}

/// What became of appends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Written {
    /// They are on disk.
    Durable {
        /// The last record.
        last: Lsn,
        /// How many bytes.
        bytes: u64,
    },
    /// They wait, or never will be.
    State(DiskState),
}

struct Writer {
    folder: PathBuf,
    open: Option<(Lsn, File, u64)>,
}

impl Writer {
    fn write_group(&mut self, group: &[Append], report: &impl Fn(Written)) -> Result<(), DiskError> {
        for append in group {
            while let Err(e) = self.append(append) {
                let DiskError::Io { source, .. } = &e else { return Err(e) };
                if !matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                    return Err(e);
                }
                tracing::warn!("{e}; waiting for room");
                report(Written::State(DiskState::Full));
                std::thread::sleep(FULL_RETRY);
            }
        }
        self.sync()
    }

    fn append(&mut self, append: &Append) -> Result<(), DiskError> {
        let path = segment_path(&self.folder, append.segment);
        if self.open.as_ref().is_none_or(|(segment, ..)| *segment != append.segment) {
            self.sync()?;
            let file = at(&path, OpenOptions::new().append(true).create(true).open(&path))?;
            sync_folder(&self.folder)?;
            self.open = Some((append.segment, file, 0));
        }
        let Some((_, file, length)) = &mut self.open else { return Ok(()) };
        if let Err(source) = file.write_all(&append.bytes) {
            // Whatever got in is cut off again, so that a retry appends at a record's beginning.
            at(&path, file.set_len(*length))?;
            return Err(DiskError::Io { path, source });
        }
        *length += append.bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        match &self.open {
            Some((segment, file, _)) => at(&segment_path(&self.folder, *segment), file.sync_data()),
            None => Ok(()),
        }
    }
}

fn segment_path(folder: &Path, first: Lsn) -> PathBuf {
    folder.join(format!("{first:020}.log"))
}

fn cut_off(path: &Path, length: usize) -> Result<(), DiskError> {
    let file = at(path, OpenOptions::new().write(true).open(path))?;
    at(path, file.set_len(length as u64).and_then(|()| file.sync_all()))
}

/// Makes creations and deletions in a folder durable.
fn sync_folder(folder: &Path) -> Result<(), DiskError> {
    at(folder, File::open(folder).and_then(|f| f.sync_all()))
}
