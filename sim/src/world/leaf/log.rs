//! The leaf's log: its writer, and reading it back.

use crate::disk::Written;
use crate::faults::BackgroundFault;
use crate::flaws::Flaw;
use crate::host::Host;
use crate::model::Promise;
use crate::world::World;
use crate::world::event::SimEvent;
use countree_common::stream::StreamId;
use countree_leaf::log::recut::Recut;
use countree_leaf::machine::{DiskState, Found};
use std::time::Duration;

/// A full disk is tried again after this long.
const FULL_RETRY: Duration = Duration::from_millis(200);

impl World {
    /// Has the log's writer write and fsync.
    pub(super) fn write_log(&mut self, i: usize) {
        let Some(life) = self.cluster.leaves[i].life() else { return };
        let incarnation = self.cluster.leaves[i].process.as_ref().map_or(0, |p| p.incarnation);
        let (report, goes_on) = self.cluster.leaves[i].disk.begin(incarnation, self.queue.now());
        if goes_on {
            let is_full = report == Some(Written::Full);
            let wait = if is_full { FULL_RETRY } else { self.fsync_time() };
            self.queue.after(wait, SimEvent::Disk { leaf: i, life });
        }
        if let Some(report) = report {
            self.log_written(i, report);
        }
    }

    fn fsync_time(&mut self) -> Duration {
        let most = if self.faults.are_over { 1_000 } else { self.plan.cluster.fsync_us };
        self.random.micros(50, most)
    }

    /// Ends an fsync, or tries a full disk again.
    pub(in crate::world) fn disk_done(&mut self, i: usize) {
        if let Some(report) = self.cluster.leaves[i].disk.finish() {
            self.log_written(i, report);
        }
        self.send_delayed_messages(i);
        self.drain_leaf(i);
    }

    fn log_written(&mut self, i: usize, report: Written) {
        let now = self.clocks(Host::Leaf(i));
        let Some(machine) = self.cluster.leaves[i].machine() else { return };
        match report {
            Written::Durable { last, bytes } => machine.handle_durable(now, last, bytes),
            Written::Full => machine.handle_disk(DiskState::Full),
            Written::Failed => {
                machine.handle_disk(DiskState::Failed);
                self.replace_failed_leaf(i);
            }
        }
    }

    pub(in crate::world) fn scanned(&mut self, i: usize, stream: &StreamId, recut: Recut) {
        let now = self.clocks(Host::Leaf(i));
        let fails = !self.faults.are_over && self.plan.faults.has_background && self.random.chance(5);
        let found = self.cluster.leaves[i].disk.scan(stream.incarnation, recut);
        match (found, self.cluster.leaves[i].machine()) {
            (Ok(_), Some(machine)) if fails => {
                machine.handle_scan_failed(stream);
                self.faults.tally.note(BackgroundFault::ScanFailed);
            }
            (Ok(_), Some(machine)) if self.plan.flaw == Some(Flaw::BlindReadBack) => {
                machine.handle_scan(now, stream, Found::default());
            }
            (Ok(found), Some(machine)) => machine.handle_scan(now, stream, found),
            (Err(e), _) => self.violate(Promise::Orderly, format!("leaf-{i} can't read its log back: {e}")),
            (_, None) => {}
        }
        self.drain_leaf(i);
    }
}
