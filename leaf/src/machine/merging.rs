//! Sending sums up: windows end, cuts go to roots, answers come back, old streams are retired.

use super::{Found, Frozen, LeafMachine, NEAR_LIMIT_COUNTERS, Output};
use crate::machine::uplink::Uplink;
use countree_common::cluster::NodeName;
use countree_common::cut::Cut;
use countree_common::key::{Counter, Topic};
use countree_common::limits;
use countree_common::stream::StreamId;
use countree_common::time::{Now, WallMs};
use countree_common::wire::uplink::CutOutcome;
use std::collections::BTreeMap;

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
            let are_totals_wanted = !self.near_limit.is_empty();
            let Some(uplink) = self.uplink(&outcome.stream) else { continue };
            let findings = uplink.handle_outcome(now.mono, outcome, are_totals_wanted);
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
        self.settle_flushes();
        self.send_up(now);
    }

    fn note_near_limit(&mut self, totals: Vec<super::uplink::NearLimit>) {
        for near in totals {
            let counter = Counter { topic: near.topic, item: near.sum.item, kind: near.sum.kind };
            let is_near = near.sum.delta.unsigned_abs() >= limits::TOTAL_NEAR_LIMIT.unsigned_abs();
            if !is_near {
                self.near_limit.remove(&counter);
            } else if self.near_limit.len() < NEAR_LIMIT_COUNTERS || self.near_limit.contains_key(&counter) {
                self.near_limit.insert(counter, near.sum.delta);
            }
        }
    }

    fn uplink(&mut self, stream: &StreamId) -> Option<&mut Uplink> {
        if self.live.stream() == stream { Some(&mut self.live) } else { self.old.get_mut(stream) }
    }

    /// A reading of a stream's log is done.
    pub fn handle_scan(&mut self, now: Now, stream: &StreamId, found: Found) {
        let lost = self.uplink(stream).map(|uplink| uplink.handle_scan(found)).unwrap_or_default();
        for (topic, events) in lost {
            let message = format!(
                "the store forgot {events} events of topic '{topic}' of {stream} whose log was gone; \
                 they are declared lost: let leaves keep their log for longer than the store may forget"
            );
            self.outputs.push_back(Output::Alarm(message));
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
        if self.old.remove(stream).is_some() {
            self.outputs.push_back(Output::DropStream(stream.clone()));
        }
    }

    /// The registry could not be told; it is tried again with the next window.
    pub fn handle_retire_failed(&mut self) {
        self.retiring.clear();
    }

    pub(super) fn end_window_if_full(&mut self, now: Now) {
        if self.table.is_window_full() {
            self.freeze(now);
        }
    }

    fn freeze(&mut self, now: Now) {
        self.window_ends = now.mono + self.config.window;
        let mut window = self.table.take_window();
        self.rates.note(window.events, std::mem::take(&mut window.busiest));
        self.table.compact_if_full();
        self.frozen.push_back(Frozen { at: now.wall, to: self.journal.appended(), window });
        self.offer_frozen();
    }

    /// Ends the window, unless one before still waits for the disk: then it goes on.
    pub(super) fn end_window(&mut self, now: Now) {
        self.window_ends = now.mono + self.config.window;
        if self.frozen.is_empty() {
            self.freeze(now);
        }
        self.settle_flushes();
        self.retire_settled();
        self.trim(now);
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
        while self.frozen.front().is_some_and(|frozen| frozen.to <= durable)
            && let Some(Frozen { at, to, window }) = self.frozen.pop_front()
        {
            self.windows += 1;
            self.live.offer(self.windows, at, to, window.topics);
        }
    }

    /// Sends what can be sent.
    pub(super) fn send_up(&mut self, now: Now) {
        if self.roots.is_empty() {
            return;
        }
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

    /// Hands over old streams that are wholly merged, once the store can't forget that any more and their
    /// sessions and keys are on disk in the live one.
    fn retire_settled(&mut self) {
        if self.journal.durable() < self.carried_at || self.roots.is_empty() {
            return;
        }
        let due = self.old.values().filter(|u| u.is_settled() && !self.retiring.contains(u.stream()));
        let streams: Vec<StreamId> = due.map(|uplink| uplink.stream().clone()).collect();
        if streams.is_empty() {
            return;
        }
        let ledgers = self.ledgers().into_iter().filter(|l| streams.contains(&l.stream)).collect();
        self.retiring.extend(streams);
        self.outputs.push_back(Output::Retire(ledgers));
    }

    /// Deletes segments that nothing needs any more.
    fn trim(&mut self, now: Now) {
        let Self { journal, live, .. } = self;
        let is_proven = |at| live.is_proven(now.mono, at);
        for segment in journal.trim(now.mono, live.progress().merged_to(), is_proven) {
            self.outputs.push_back(Output::DropSegment(segment));
        }
    }
}

/// Splits cuts over frames that a root takes.
fn into_frames(cuts: Vec<Cut>) -> Vec<Vec<Cut>> {
    // Little enough that one cut of the largest size still fits behind it.
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
