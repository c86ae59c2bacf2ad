//! Sending sums up: windows end, cuts go to roots, answers come back, old streams are retired.

use super::{Found, Frozen, LeafMachine, Output};
use crate::machine::uplink::Uplink;
use countree_common::cluster::NodeName;
use countree_common::cut::Cut;
use countree_common::key::{Counter, Topic};
use countree_common::limits;
use countree_common::stream::StreamId;
use countree_common::time::{Now, WallMs};
use countree_common::wire::uplink::CutOutcome;
use std::collections::BTreeMap;
use std::time::Duration;

impl LeafMachine {
    /// A root is connected: cuts of its topics can go.
    pub fn handle_root_connected(&mut self, now: Now, root: NodeName) {
        self.told_complete.remove(&root);
        self.roots.insert(root);
        self.send_up(now);
    }

    /// A root's connection is gone: what it has not answered goes out again.
    pub fn handle_root_lost(&mut self, root: &NodeName) {
        self.roots.remove(root);
        for uplink in self.old.values_mut().chain([&mut self.live]) {
            uplink.root_lost(root);
        }
    }

    /// A root has answered cuts.
    pub fn handle_outcomes(&mut self, now: Now, outcomes: Vec<CutOutcome>) {
        for outcome in outcomes {
            let topic = outcome.topic.clone();
            let Some(uplink) = self.uplink(&outcome.stream) else { continue };
            let findings = uplink.handle_outcome(now.mono, outcome);
            if let Some(durable) = findings.durable {
                self.store_is_durable = durable;
            }
            if findings.store_went_back {
                let message = format!(
                    "the store has gone back in time for topic '{topic}'; what it forgot is sent again"
                );
                self.outputs.push_back(Output::Alarm(message));
            }
            if findings.overflow {
                let message =
                    format!("a total of topic '{topic}' is at its limit; its events wait in the log");
                self.outputs.push_back(Output::Alarm(message));
            }
            if let Some(message) = findings.imbalance {
                self.imbalances += 1;
                self.outputs.push_back(Output::Alarm(message));
            }
            self.note_near_limit(findings.near_limit);
        }
        self.send_up(now);
    }

    fn note_near_limit(&mut self, totals: Vec<super::uplink::NearLimit>) {
        for near in totals {
            let counter = Counter { topic: near.topic, item: near.sum.item, kind: near.sum.kind };
            if near.sum.delta.unsigned_abs() >= limits::TOTAL_NEAR_LIMIT.unsigned_abs() {
                self.near_limit.insert(counter, near.sum.delta);
            } else {
                self.near_limit.remove(&counter);
            }
        }
    }

    fn uplink(&mut self, stream: &StreamId) -> Option<&mut Uplink> {
        if self.live.stream() == stream { Some(&mut self.live) } else { self.old.get_mut(stream) }
    }

    /// A reading of a stream's log is done.
    pub fn handle_scan(&mut self, now: Now, stream: &StreamId, found: Found) {
        if let Some(uplink) = self.uplink(stream) {
            uplink.handle_scan(found);
        }
        self.send_up(now);
    }

    /// A reading of a stream's log failed; it is tried again with the next window.
    pub fn handle_scan_failed(&mut self, stream: &StreamId) {
        if let Some(uplink) = self.uplink(stream) {
            uplink.handle_scan_failed();
        }
    }

    /// The registry has taken over the ledger of a drained stream: its log can go.
    pub fn handle_retired(&mut self, stream: &StreamId) {
        self.retiring.remove(stream);
        self.drained.remove(stream);
        if self.old.remove(stream).is_some() {
            self.outputs.push_back(Output::DropStream(stream.clone()));
        }
    }

    /// The registry could not be told; it is tried again with the next window.
    pub fn handle_retire_failed(&mut self) {
        self.retiring.clear();
    }

    pub(super) fn end_window_if_full(&mut self, now: Now) {
        if self.table.is_window_full() && self.frozen.is_none() {
            self.end_window(now);
        }
    }

    /// Ends the window, unless the one before still waits for the disk: then both become one.
    pub(super) fn end_window(&mut self, now: Now) {
        self.window_ends = now.mono + self.config.window;
        if self.frozen.is_none() {
            let mut window = self.table.take_window();
            self.rates.note(window.events, std::mem::take(&mut window.busiest));
            self.table.compact_if_full();
            self.frozen = Some(Frozen { at: now.wall, to: self.journal.appended(), window });
            self.offer_frozen();
        }
        self.retire_drained(now.wall);
        self.trim(now.wall);
        self.tell_watermark();
        let uplinks = self.old.values_mut().chain([&mut self.live]);
        for uplink in uplinks {
            if let Some(recut) = uplink.next_scan() {
                self.outputs.push_back(Output::Scan { stream: uplink.stream().clone(), recut });
            }
        }
    }

    /// Only durable records are cut.
    pub(super) fn offer_frozen(&mut self) {
        let durable = self.journal.durable();
        if let Some(Frozen { at, to, window }) = self.frozen.take_if(|frozen| frozen.to <= durable) {
            self.windows += 1;
            self.live.offer(self.windows, at, to, window.topics);
        }
    }

    /// Sends what can be sent.
    pub(super) fn send_up(&mut self, now: Now) {
        let (ring, roots) = (&self.root_ring, &self.roots);
        let root_of = |topic: &Topic| ring.topic_owner(topic).filter(|root| roots.contains(*root)).cloned();
        let mut batches: BTreeMap<NodeName, Vec<Cut>> = BTreeMap::new();
        for uplink in self.old.values_mut().chain([&mut self.live]) {
            for (root, cut) in uplink.cuts(now.mono, root_of) {
                batches.entry(root).or_default().push(cut);
            }
        }
        for (root, cuts) in batches {
            for cuts in into_frames(cuts) {
                self.outputs.push_back(Output::Cuts { root: root.clone(), cuts });
            }
        }
    }

    /// Everything acked before this is merged; `None` while an old stream has not drained.
    pub(super) fn complete_to(&self) -> Option<WallMs> {
        let is_drained = self.old.values().all(Uplink::is_drained);
        self.live.progress().complete_to().filter(|_| is_drained)
    }

    fn tell_watermark(&mut self) {
        let Some(at) = self.complete_to() else { return };
        for root in &self.roots {
            let told = self.told_complete.entry(root.clone()).or_default();
            if *told < at {
                *told = at;
                self.outputs.push_back(Output::Watermark { root: root.clone(), at });
            }
        }
    }

    /// Hands over old streams that are wholly merged, once the store can't forget that any more.
    fn retire_drained(&mut self, now: WallMs) {
        for uplink in self.old.values() {
            if uplink.is_drained() {
                self.drained.entry(uplink.stream().clone()).or_insert(now);
            } else {
                self.drained.remove(uplink.stream());
            }
        }
        let before = self.trim_before(now);
        let due = self
            .drained
            .iter()
            .filter(|(stream, since)| **since <= before && !self.retiring.contains(*stream));
        let streams: Vec<StreamId> = due.map(|(stream, _)| stream.clone()).collect();
        if streams.is_empty() || self.roots.is_empty() {
            return;
        }
        let ledgers = self.ledgers().into_iter().filter(|l| streams.contains(&l.stream)).collect();
        self.retiring.extend(streams);
        self.outputs.push_back(Output::Retire(ledgers));
    }

    /// Merged records older than this are not needed any more.
    fn trim_before(&self, now: WallMs) -> WallMs {
        let keep = if self.store_is_durable { Duration::ZERO } else { self.config.retention };
        WallMs(now.0.saturating_sub(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Deletes segments that are wholly merged, after a while where the store may forget.
    fn trim(&mut self, now: WallMs) {
        let before = self.trim_before(now);
        for segment in self.journal.trim(self.live.progress().merged_to(), before) {
            self.outputs.push_back(Output::DropSegment(segment));
        }
    }
}

/// Splits cuts over frames that a root takes.
fn into_frames(cuts: Vec<Cut>) -> Vec<Vec<Cut>> {
    // Half a frame leaves room for one cut of the largest size behind it.
    let room = limits::NODE_FRAME_BYTES / 16;
    let size = |cut: &Cut| {
        256 + cut.sums.iter().map(|s| s.item.as_str().len() + s.kind.as_str().len() + 12).sum::<usize>()
    };
    let (mut frames, mut frame, mut bytes) = (Vec::new(), Vec::new(), 0);
    for cut in cuts {
        let more = size(&cut);
        if !frame.is_empty() && (bytes + more > room || frame.len() >= limits::CUTS_PER_MERGE) {
            frames.push(std::mem::take(&mut frame));
            bytes = 0;
        }
        bytes += more;
        frame.push(cut);
    }
    if !frame.is_empty() {
        frames.push(frame);
    }
    frames
}
