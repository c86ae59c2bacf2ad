//! A disk, its writer in a thread of its own, and what the two ask of the file system.

use super::device::{Call, faults};
use super::{Disk, Written};
use crate::machine::log_builder::Append;
use crate::testing::leaf_name;
use countree_common::cluster::NodeName;
use countree_common::shell::folder::DataFolder;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(15);

pub(super) fn open(data: &Path) -> Disk {
    Disk::open(DataFolder::claim(data, &NodeName::new("test").unwrap()).unwrap(), &leaf_name()).unwrap()
}

/// Makes a folder in memory where that is possible, since thousands of fsyncs take their time.
pub(super) fn fast_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The calls that were made, as `CALL NAME`.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    /// Notes the calls of a data folder that is opened next, and fails those that `fail` gives an error for.
    pub(super) fn of(
        data: &Path,
        fail: impl Fn(Call, usize) -> Option<io::ErrorKind> + Send + 'static,
    ) -> Self {
        let calls = Self::default();
        let noted = calls.clone();
        faults::install(data, move |call, path| {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let mut calls = noted.0.lock().unwrap();
            let earlier = calls.iter().filter(|c| c.starts_with(&format!("{call:?} "))).count();
            calls.push(format!("{call:?} {name}"));
            fail(call, earlier).map_or(Ok(()), |kind| Err(kind.into()))
        });
        calls
    }

    /// Takes the calls since this was last called.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    pub(super) fn count(&self, call: Call) -> usize {
        self.0.lock().unwrap().iter().filter(|c| c.starts_with(&format!("{call:?} "))).count()
    }
}

pub(super) fn append(segment: u64, last: u64, bytes: &[u8]) -> Append {
    Append { segment, bytes: bytes.to_vec(), last }
}

/// A log writer at work.
pub(super) struct Writing {
    appends: Option<Sender<Append>>,
    reports: Receiver<Written>,
    thread: Option<JoinHandle<()>>,
}

impl Writing {
    pub(super) fn start(disk: &Disk, incarnation: u64, first: Vec<Append>) -> Self {
        let ((appends, to_write), (reporter, reports)) = (channel(), channel());
        first.into_iter().for_each(|append| appends.send(append).unwrap());
        let disk = disk.clone();
        let write = move || {
            disk.write(incarnation, &to_write, |written| {
                let _ = reporter.send(written);
            })
        };
        let thread = std::thread::Builder::new().spawn(write).unwrap();
        Self { appends: Some(appends), reports, thread: Some(thread) }
    }

    /// Whether the writer is there to take it.
    pub(super) fn append(&self, append: Append) -> bool {
        self.appends.as_ref().is_some_and(|appends| appends.send(append).is_ok())
    }

    pub(super) fn report(&self) -> Written {
        self.reports.recv_timeout(TIMEOUT).unwrap()
    }

    /// The next report, except for those that tell of a full disk.
    pub(super) fn outcome(&self) -> Written {
        std::iter::repeat_with(|| self.report())
            .find(|r| *r != Written::State(crate::machine::DiskState::Full))
            .unwrap()
    }

    /// Appends no more, and waits for the end; returns what else was reported.
    pub(super) fn end(mut self) -> Vec<Written> {
        self.appends = None;
        let mut reports = Vec::new();
        loop {
            match self.reports.recv_timeout(TIMEOUT) {
                Ok(report) => reports.push(report),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the writer does not end"),
            }
        }
        self.thread.take().unwrap().join().unwrap();
        reports
    }
}

pub(super) fn segment_file(data: &Path, incarnation: u64, first: u64) -> PathBuf {
    data.join(format!("streams/{incarnation}/{first:020}.log"))
}
