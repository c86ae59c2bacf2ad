//! Writes appends to the log, and reports when they are on disk.

use super::device::Device;
use super::{Disk, DiskError, segment_path};
use crate::machine::DiskState;
use crate::machine::log_builder::Append;
use countree_common::stream::Lsn;
use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The wait before a full disk is tried again.
const FULL_RETRY: Duration = Duration::from_millis(200);
/// An fsync that takes so long is worth a word: producers notice it.
const SLOW: Duration = Duration::from_secs(1);
/// The most bytes of appends that share one fsync.
const GROUP_BYTES: usize = 8 << 20;

/// A report on appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::shell) enum Written {
    /// They are on disk.
    Durable {
        /// The last record.
        last: Lsn,
        /// Their bytes.
        bytes: u64,
    },
    /// They wait, or never will be.
    State(DiskState),
}

impl Disk {
    /// Puts appends on disk until there are no more, and reports on them to `report`. Appends that
    /// wait together share one fsync. Gives up what still waits for room when nobody appends any more.
    pub(in crate::shell) fn write(
        &self,
        incarnation: u64,
        appends: &Receiver<Append>,
        report: impl Fn(Written),
    ) {
        let mut writer = Writer {
            device: self.device.clone(),
            streams: self.streams.clone(),
            folder: self.folder(incarnation),
            open: None,
            unsynced: None,
            is_full: false,
            report,
        };
        if let Err(e) = writer.run(appends) {
            // A failed fsync may have dropped the pages: what is on disk is unknown from here on.
            tracing::error!("the log could not be written, this leaf acks nothing any more: {e}");
            (writer.report)(Written::State(DiskState::Failed));
        }
    }
}

/// The segment that is written at present.
struct OpenSegment {
    first: Lsn,
    path: PathBuf,
    file: File,
    length: u64,
}

struct Writer<R> {
    device: Device,
    streams: PathBuf,
    folder: PathBuf,
    open: Option<OpenSegment>,
    /// The last record that was appended since the last fsync, and the bytes since then.
    unsynced: Option<(Lsn, u64)>,
    is_full: bool,
    report: R,
}

impl<R: Fn(Written)> Writer<R> {
    /// Any error but a lack of room is the end: in particular, a failed fsync is never tried again.
    fn run(&mut self, appends: &Receiver<Append>) -> Result<(), DiskError> {
        let mut group = VecDeque::new();
        while gather(&mut group, appends) {
            while let Some(append) = group.front() {
                if self.append(append)? {
                    group.pop_front();
                    continue;
                }
                // What got in is not held back by what did not.
                self.sync()?;
                (self.report)(Written::State(DiskState::Full));
                match appends.recv_timeout(FULL_RETRY) {
                    Ok(append) => group.push_back(append),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
            }
            self.sync()?;
        }
        Ok(())
    }

    /// Appends; `false` when there is no room for it.
    fn append(&mut self, append: &Append) -> Result<bool, DiskError> {
        if self.open.as_ref().is_none_or(|open| open.first != append.segment) {
            // Only the newest segment may have a torn end.
            self.sync()?;
            let Some(open) = self.begin_segment(append.segment)? else { return Ok(false) };
            self.open = Some(open);
        }
        let Some(open) = &mut self.open else { return Ok(false) };
        let written = self.device.append(&open.path, &mut open.file, &append.bytes);
        if written.is_err() {
            // Whatever got in is cut off again, so that a retry appends at a record's beginning.
            self.device.truncate(&open.path, &open.file, open.length)?;
        }
        let is_written = self.has_room(written)?.is_some();
        if is_written && let Some(open) = &mut self.open {
            let bytes = append.bytes.len() as u64;
            open.length += bytes;
            let before = self.unsynced.map_or(0, |(_, bytes)| bytes);
            self.unsynced = Some((append.last, before + bytes));
        }
        Ok(is_written)
    }

    /// Makes a segment's file; `None` when there is no room for it.
    fn begin_segment(&mut self, first: Lsn) -> Result<Option<OpenSegment>, DiskError> {
        if !self.folder.is_dir() {
            let created = self.device.create_folder(&self.folder);
            if self.has_room(created)?.is_none() {
                return Ok(None);
            }
            self.device.sync_folder(&self.streams)?;
        }
        let path = segment_path(&self.folder, first);
        let created = self.device.create_file(&path);
        let Some(file) = self.has_room(created)? else { return Ok(None) };
        self.device.sync_folder(&self.folder)?;
        Ok(Some(OpenSegment { first, path, file, length: 0 }))
    }

    /// Tells a lack of room, which passes, from failures, which don't. Not for an fsync: one that lacked
    /// room has lost what it was to write, like any other that failed.
    fn has_room<T>(&mut self, result: Result<T, DiskError>) -> Result<Option<T>, DiskError> {
        match result {
            Err(e) if e.is_full() => {
                if !self.is_full {
                    tracing::warn!("{e}; waiting for room");
                }
                self.is_full = true;
                Ok(None)
            }
            result => {
                self.is_full = false;
                result.map(Some)
            }
        }
    }

    /// Makes durable what was appended, and tells so.
    fn sync(&mut self) -> Result<(), DiskError> {
        if let (Some(open), Some((last, bytes))) = (&self.open, self.unsynced) {
            let begun = Instant::now();
            self.device.sync(&open.path, &open.file)?;
            let took = begun.elapsed();
            if took >= SLOW {
                tracing::warn!(
                    seconds = took.as_secs_f64(),
                    "the disk is slow: acks have waited for it to sync the log"
                );
            }
            self.unsynced = None;
            (self.report)(Written::Durable { last, bytes });
        }
        Ok(())
    }
}

/// Waits for an append, and takes those that wait behind it too; `false` when there are no more.
fn gather(group: &mut VecDeque<Append>, appends: &Receiver<Append>) -> bool {
    let Ok(first) = appends.recv() else { return false };
    let mut bytes = first.bytes.len();
    group.push_back(first);
    while bytes < GROUP_BYTES
        && let Ok(append) = appends.try_recv()
    {
        bytes += append.bytes.len();
        group.push_back(append);
    }
    true
}
