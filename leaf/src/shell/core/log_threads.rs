//! Starts the threads that write and delete the log, and hands them their work.

use super::Runs;
use crate::machine::log_builder::Append;
use crate::shell::disk::{Deletion, Disk};
use crate::shell::inputs::Input;
use countree_common::shell::tasks;
use countree_common::stream::Lsn;
use std::io;
use tokio::sync::mpsc;

/// The log's threads. They end with it.
#[derive(Debug)]
pub(super) struct LogThreads {
    disk: Disk,
    incarnation: u64,
    appends: std::sync::mpsc::Sender<Append>,
    /// No more than there are segments.
    deletions: std::sync::mpsc::Sender<Deletion>,
}

impl LogThreads {
    /// Starts them for the stream of this incarnation. Results go to `inputs`.
    pub(super) fn start(
        disk: Disk,
        incarnation: u64,
        inputs: &mpsc::WeakSender<Input>,
        runs: &Runs,
    ) -> io::Result<Self> {
        let (appends, to_write) = std::sync::mpsc::channel();
        let (writer_disk, writer_runs, reports) = (disk.clone(), runs.clone(), inputs.clone());
        tasks::spawn_thread("leaf-log", move || {
            writer_disk.write(incarnation, &to_write, |written| {
                if let Some(reports) = reports.upgrade() {
                    let _ = reports.blocking_send(Input::Written(written));
                }
            });
            drop(writer_disk);
            drop(writer_runs);
        })?;
        let (deletions, to_delete) = std::sync::mpsc::channel();
        let (deleter_disk, deleter_runs) = (disk.clone(), runs.clone());
        tasks::spawn_thread("leaf-delete", move || {
            deleter_disk.delete(&to_delete);
            drop(deleter_disk);
            drop(deleter_runs);
        })?;
        Ok(Self { disk, incarnation, appends, deletions })
    }

    /// The log on disk.
    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Has an append written.
    pub(super) fn append(&self, append: Append) {
        // The writer ends only after a failure, which it has reported to the machine.
        let _ = self.appends.send(append);
    }

    /// Has a segment of the live stream, or all of an old one, deleted.
    pub(super) fn delete(&self, deletion: Deletion) {
        // The deleter ends only with the core; what it has not deleted by then goes after the next start.
        let _ = self.deletions.send(deletion);
    }

    /// Has a segment of the live stream deleted.
    pub(super) fn delete_segment(&self, first: Lsn) {
        self.delete(Deletion::Segment(self.incarnation, first));
    }
}
