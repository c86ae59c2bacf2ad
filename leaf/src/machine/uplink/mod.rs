//! Sending sums up: windows end, cuts go to roots, answers come back.

pub(super) mod echoes;
pub mod progress;
pub mod stream;
pub mod unconfirmed;

use crate::machine::counters::names::Marks;
use crate::machine::counters::table::Table;
use crate::machine::uplink::stream::{NamedSums, NearLimit, Uplink};
use crate::machine::{Found, Frozen, LeafMachine, Output};
use countree_common::cluster::NodeName;
use countree_common::cut::Cut;
use countree_common::key::Counter;
use countree_common::limits;
use countree_common::stream::StreamId;
use countree_common::time::{Now, WallMs};
use countree_common::wire::codec::{self, CodecError};
use countree_common::wire::uplink::{CutOutcome, ToRoot};
use std::collections::BTreeMap;

/// Counters are not looked for to forget before so many may go.
const ABANDONED_MIN: usize = 65_536;
/// Topics that all leaves together ask about in a second, beside those that the store may forget. Each costs roots and
/// store some 30 µs.
const SURVEYED_PER_S: u128 = 200;

impl LeafMachine {
    /// A root is connected: cuts of its topics can go.
    pub fn handle_root_connected(&mut self, now: Now, root: NodeName) {
        self.echoes.forget(&root);
        self.roots.insert(root);
        self.send_up(now);
    }

    /// A root's connection is gone: what it has not answered goes out again.
    pub fn handle_root_lost(&mut self, root: &NodeName) {
        self.roots.remove(root);
        self.echoes.forget(root);
        for uplink in self.uplinks_mut() {
            uplink.root_lost(root);
        }
    }

    /// A root has answered cuts.
    pub fn handle_outcomes(&mut self, now: Now, outcomes: Vec<CutOutcome>) {
        for outcome in outcomes {
            let topic = &outcome.topic;
            let are_totals_wanted = !self.near_limit.is_empty();
            let Some((uplink, table)) = self.uplink(&outcome.stream) else { continue };
            let findings = uplink.handle_outcome(now.mono, table.names(), &outcome, are_totals_wanted);
            if findings.store_went_back {
                let message = format!(
                    "the store has gone back in time for topic '{topic}'; what it forgot is sent again"
                );
                self.context.outputs.push(Output::Alarm(message));
            }
            if findings.overflow {
                let message =
                    format!("a total of topic '{topic}' is at its limit; its events wait in the log");
                self.context.outputs.push(Output::Alarm(message));
            }
            if let Some(message) = findings.imbalance {
                self.imbalances += 1;
                self.context.outputs.push(Output::Alarm(message));
            }
            findings.near_limit.into_iter().for_each(|near| self.note_near_limit(near));
        }
        if !self.flushes.is_empty() {
            self.begin_scans();
            self.settle_flushes();
        }
        self.echo();
        self.send_up(now);
        self.go_on_leaving(now);
    }

    /// A root tells of totals near their limit, whichever leaf took them there.
    pub fn handle_near_limit(&mut self, totals: &[(Counter, i64)]) {
        for (counter, total) in totals {
            if self.table.names().has_room(1) {
                let counter = self.intern([(counter, 0)].into_iter()).into_iter().map(|(counter, _)| counter);
                counter.for_each(|counter| self.note_near_limit(NearLimit { counter, total: *total }));
            }
        }
    }

    fn note_near_limit(&mut self, near: NearLimit) {
        let NearLimit { counter, total } = near;
        let is_near = total.unsigned_abs() >= limits::TOTAL_NEAR_LIMIT.unsigned_abs();
        let has_room = self.near_limit.len() < limits::NEAR_LIMIT_COUNTERS;
        if !is_near {
            self.near_limit.remove(&counter);
        } else if has_room || self.near_limit.contains_key(&counter) {
            self.near_limit.insert(counter, total);
        }
    }

    /// The store may lack something: every topic is asked about.
    pub fn handle_ask_again(&mut self, now: Now) {
        self.uplinks_mut().for_each(Uplink::ask_again);
        self.send_up(now);
    }

    /// Asks about some topics with each window, all leaves together about no more than roots have time for.
    fn survey(&mut self, now: Now) {
        let leaves = self.context.members.leaves() as u128;
        let most = SURVEYED_PER_S * self.context.config.window.as_millis() / 1_000 / leaves;
        let mut left = usize::try_from(most).unwrap_or(usize::MAX).max(1);
        for uplink in self.uplinks_mut() {
            left -= uplink.survey(now.mono, left);
            if left == 0 {
                return;
            }
        }
    }

    fn uplink(&mut self, stream: &StreamId) -> Option<(&mut Uplink, &mut Table)> {
        let uplink = if self.live.stream() == stream { &mut self.live } else { self.old.get_mut(stream)? };
        Some((uplink, &mut self.table))
    }

    /// A reading of a stream's log is done.
    pub fn handle_scan(&mut self, now: Now, stream: &StreamId, found: Found) {
        let lost = self.uplink(stream).map(|(uplink, table)| uplink.handle_scan(found, table));
        let lost = lost.unwrap_or_default();
        for (topic, events) in lost {
            let message = format!(
                "the store forgot {events} events of topic '{topic}' of {stream} whose log was gone; \
                 they are declared lost: let leaves keep their log for longer than the store may forget"
            );
            self.context.outputs.push(Output::Alarm(message));
        }
        self.settle_flushes();
        self.echo();
        self.send_up(now);
    }

    /// A reading of a stream's log failed; it is tried again with the next window.
    pub fn handle_scan_failed(&mut self, stream: &StreamId) {
        if let Some((uplink, _)) = self.uplink(stream) {
            uplink.handle_scan_failed();
        }
    }

    pub(in crate::machine) fn end_window_if_full(&mut self, now: Now) {
        if self.table.is_window_full() {
            self.freeze(now);
        }
    }

    fn freeze(&mut self, now: Now) {
        self.window_ends = now.mono + self.context.config.window;
        let window = self.table.take_window();
        self.rates.note(&window, self.table.names());
        self.frozen.push_back(Frozen { ends: Some(now.wall), to: self.context.log.appended(), window });
        self.offer_frozen();
    }

    /// Forgets every counter that nothing refers to. That takes time by all counters, and so is put off until
    /// a third of them or so may go.
    fn forget_abandoned(&mut self) {
        let enough = ABANDONED_MIN.max(self.table.names().counters() / 2);
        let is_full = !self.table.names().has_room(limits::BATCH_EVENTS);
        if self.abandoned < if is_full { 1 } else { enough } {
            return;
        }
        let mut used = Marks::none(self.table.names());
        let uplinks = self.old.values().chain([&self.live]);
        used.mark(uplinks.flat_map(Uplink::counters));
        used.mark(self.producers.values().flat_map(|p| p.dictionary().counters()).copied());
        let frozen = self.frozen.iter().flat_map(|frozen| &frozen.window.topics);
        used.mark(frozen.flat_map(|of_topic| &of_topic.sums).map(|sum| sum.counter));
        used.mark(self.near_limit.keys().copied());
        self.table.keep(used);
        self.abandoned = 0;
    }

    /// Ends the window, unless one before still waits for the disk: then it goes on.
    pub(in crate::machine) fn end_window(&mut self, now: Now) {
        self.window_ends = now.mono + self.context.config.window;
        if self.frozen.iter().all(|frozen| frozen.ends.is_none()) {
            self.freeze(now);
        }
        self.forget_abandoned();
        self.ask_again_to_forget();
        self.settle_flushes();
        self.retire_settled(now);
        self.survey(now);
        self.ask_unconfirmed();
        self.trim(now);
        self.echo();
        self.begin_scans();
    }

    /// Reads back what has to be, as far as no reading is under way.
    fn begin_scans(&mut self) {
        for uplink in self.old.values_mut().chain([&mut self.live]) {
            if let Some(recut) = uplink.next_scan(self.table.names()) {
                self.context.outputs.push(Output::Scan { stream: uplink.stream().clone(), recut });
            }
        }
    }

    /// Only durable records are cut.
    pub(in crate::machine) fn offer_frozen(&mut self) {
        let durable = self.context.log.durable();
        while self.frozen.front().is_some_and(|frozen| frozen.to <= durable)
            && let Some(Frozen { ends, to, window }) = self.frozen.pop_front()
        {
            match ends {
                Some(at) => {
                    self.windows += 1;
                    self.live.offer(self.windows, at, to, window.topics);
                }
                None => self.live.offer_early(self.windows + 1, to, window.topics),
            }
        }
    }

    /// Sends what can be sent.
    pub(in crate::machine) fn send_up(&mut self, now: Now) {
        if self.roots.is_empty() {
            return;
        }
        let (ring, roots, names) = (&self.root_ring, &self.roots, self.table.names());
        let root_of =
            |topic| ring.topic_owner(names.topic(topic)).filter(|root| roots.contains(*root)).cloned();
        let mut frames: BTreeMap<NodeName, Frames<'_>> = BTreeMap::new();
        for uplink in self.old.values_mut().chain([&mut self.live]) {
            let ready = uplink.ready_cuts(now.mono, root_of);
            let uplink = &*uplink;
            for (root, topic) in ready {
                if let Some(cut) = uplink.cut(topic, names) {
                    frames.entry(root).or_default().push(cut);
                }
            }
        }
        for (root, frames) in frames {
            for frame in frames.finish() {
                match frame {
                    Ok(message) => self.context.outputs.push(Output::Cuts { root: root.clone(), message }),
                    Err(e) => {
                        self.context.outputs.push(Output::Alarm(format!("a cut could not be sent: {e}")))
                    }
                }
            }
        }
    }

    /// Everything acked before this is merged, for people; `None` while an old stream has not drained.
    pub(in crate::machine) fn complete_to(&self) -> Option<WallMs> {
        let is_drained = self.old.values().all(Uplink::is_drained);
        self.live.progress().complete_to().filter(|_| is_drained)
    }

    /// Deletes segments that nothing needs any more.
    fn trim(&mut self, now: Now) {
        let Self { context, live, .. } = self;
        let is_proven = |at| live.is_proven(at);
        for segment in context.log.trim(now.mono, live.progress().merged_to(), is_proven) {
            self.context.outputs.push(Output::DropSegment(segment));
        }
    }
}

/// Cuts in messages that a root takes.
#[derive(Default)]
struct Frames<'a> {
    frames: Vec<Result<Vec<u8>, CodecError>>,
    cuts: Vec<Cut<NamedSums<'a>>>,
    bytes: usize,
}

impl<'a> Frames<'a> {
    /// Little enough that one cut of the largest size still fits behind it.
    const ROOM: usize = limits::NODE_FRAME_BYTES / 16;

    fn push(&mut self, cut: Cut<NamedSums<'a>>) {
        let more = 256 + cut.sums.bytes_at_most();
        if self.bytes + more > Self::ROOM || self.cuts.len() >= limits::CUTS_PER_MERGE {
            self.end_frame();
        }
        self.bytes += more;
        self.cuts.push(cut);
    }

    fn end_frame(&mut self) {
        if !self.cuts.is_empty() {
            self.frames.push(codec::encode(&ToRoot::Cuts(std::mem::take(&mut self.cuts))));
            self.bytes = 0;
        }
    }

    fn finish(mut self) -> Vec<Result<Vec<u8>, CodecError>> {
        self.end_frame();
        self.frames
    }
}
