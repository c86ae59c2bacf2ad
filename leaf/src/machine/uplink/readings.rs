//! Reading sums back from the log, where the store stands elsewhere than the sums in memory.

use super::{Pending, Piece, Position, Recut, Stretch, Uplink, volume};
use countree_common::key::Topic;
use std::collections::BTreeMap;

impl Uplink {
    /// Takes the next reading of the log that is needed, if none is under way.
    pub fn next_scan(&mut self) -> Option<Recut> {
        if self.scans.is_empty() || self.is_scanning {
            return None;
        }
        self.is_scanning = true;
        self.scanning = std::mem::take(&mut self.scans);
        Some(Recut::new(self.scanning.clone()))
    }

    /// Takes what a reading of the log found. Returns, by topic, how many events the store forgot when their
    /// log had been trimmed: they are lost, and declared so.
    pub fn handle_scan(&mut self, mut found: BTreeMap<Topic, Vec<Piece>>) -> Vec<(Topic, u64)> {
        let mut lost = Vec::new();
        self.is_scanning = false;
        for (topic, Stretch { from, .. }) in std::mem::take(&mut self.scanning) {
            let Some(state) = self.topics.get_mut(&topic) else { continue };
            let pieces = found.remove(&topic).unwrap_or_default();
            let events: u64 = pieces.iter().map(|p| p.events).sum();
            let in_log = state.in_log.take();
            let owed = in_log.map_or(0, |l| l.events);
            let missing = in_log.and_then(|l| l.expected).map_or(0, |e| e.saturating_sub(events));
            if missing > 0 {
                self.declared_lost += missing;
                lost.push((topic.clone(), missing));
            }
            // More than was owed: the store had confirmed it and forgot. Less: it had merged some of it.
            self.merged = (self.merged + owed).saturating_sub(events + missing);
            state.position = Position::Known(from);
            for Piece { to, sums, events } in pieces.into_iter().rev() {
                let volume = volume(&sums);
                self.volume = self.volume.saturating_add(volume);
                self.progress.hold(0);
                state.queue.push_front(Pending { to, sums, events, volume, window: 0 });
            }
            self.progress.release(0);
            self.make_ready(&topic);
            self.plan_probe(&topic);
        }
        lost
    }

    /// A reading of the log failed; it is tried again.
    pub fn handle_scan_failed(&mut self) {
        self.is_scanning = false;
        self.scans.append(&mut self.scanning);
    }
}
