//! Sends sums to the store through the roots: those of the stream that this start writes, and of each earlier one that
//! is not wholly merged.

pub(super) mod echoes;
mod frames;
mod inputs;
pub mod progress;
pub mod stream;
pub mod unconfirmed;

use super::context::Context;
use super::counters::Counters;
use super::counters::names::{CounterId, Names};
use super::counters::windows::Frozen;
use super::output::{Output, Outputs};
use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::ring::Ring;
use countree_common::stream::{Lsn, StreamId};
use countree_common::time::{Time, WallMs};
use countree_common::wire::uplink::CutOutcome;
use echoes::Echoes;
use frames::Frames;
use std::collections::{BTreeMap, BTreeSet};
use stream::StreamUplink;

/// Topics that all leaves together ask about in a second, beside those that the store may forget. Each costs roots and
/// store some 30 µs.
const SURVEYED_PER_S: u128 = 200;

#[derive(Debug)]
pub(super) struct Uplink {
    live: StreamUplink,
    old: BTreeMap<StreamId, StreamUplink>,
    /// Windows that have ended and whose records are on disk.
    windows: u64,
    ring: Ring,
    roots: BTreeSet<NodeName>,
    echoes: Echoes,
    imbalances: u64,
}

impl Uplink {
    pub(super) fn new(live: StreamUplink, old: BTreeMap<StreamId, StreamUplink>) -> Self {
        let (ring, roots, echoes) = (Ring::new([]), BTreeSet::new(), Echoes::default());
        Self { live, old, windows: 0, ring, roots, echoes, imbalances: 0 }
    }

    /// The stream that this start writes.
    pub(super) fn live(&self) -> &StreamUplink {
        &self.live
    }

    /// Notes events that were logged.
    pub(super) fn note_accepted(&mut self, events: u64) {
        self.live.note_accepted(events);
    }

    /// The streams of earlier starts that still have a log.
    pub(super) fn old(&self) -> &BTreeMap<StreamId, StreamUplink> {
        &self.old
    }

    /// Forgets one of those; `false` when there is none of that name.
    pub(super) fn remove_old(&mut self, stream: &StreamId) -> bool {
        self.old.remove(stream).is_some()
    }

    /// All streams, oldest first.
    pub(super) fn streams(&self) -> impl Iterator<Item = &StreamUplink> {
        self.old.values().chain([&self.live])
    }

    pub(super) fn streams_mut(&mut self) -> impl Iterator<Item = &mut StreamUplink> {
        self.old.values_mut().chain([&mut self.live])
    }

    fn stream_mut(&mut self, stream: &StreamId) -> Option<&mut StreamUplink> {
        if self.live.stream() == stream { Some(&mut self.live) } else { self.old.get_mut(stream) }
    }

    /// The number of merges after which the store's count of this leaf's events was not the leaf's own.
    pub(super) fn imbalances(&self) -> u64 {
        self.imbalances
    }

    /// Whether a root is connected.
    pub(super) fn has_root(&self) -> bool {
        !self.roots.is_empty()
    }

    /// Whether every sum that was handed in is merged.
    pub(super) fn is_idle(&self) -> bool {
        self.streams().all(StreamUplink::is_idle)
    }

    /// Σ|δ| of the sums that wait.
    pub(super) fn volume(&self) -> u64 {
        self.streams().map(StreamUplink::volume).fold(0, u64::saturating_add)
    }

    /// Every counter that has a sum here.
    pub(super) fn counters(&self) -> impl Iterator<Item = CounterId> {
        self.streams().flat_map(StreamUplink::counters)
    }

    /// The time at which [`Uplink::handle_time`] has something to do.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.streams().filter_map(StreamUplink::next_timeout).min()
    }

    /// Makes ready what has waited long enough.
    pub(super) fn handle_time(&mut self, now: Time) {
        self.streams_mut().for_each(|stream| stream.handle_time(now));
    }

    /// The nodes have changed.
    pub(super) fn handle_view(&mut self, view: &ClusterView) {
        self.ring = Ring::of(view, Tier::Root);
    }

    fn root_connected(&mut self, root: NodeName) {
        self.echoes.forget(&root);
        self.roots.insert(root);
    }

    fn root_lost(&mut self, root: &NodeName) {
        self.roots.remove(root);
        self.echoes.forget(root);
        self.streams_mut().for_each(|stream| stream.root_lost(root));
    }

    /// Takes a window whose records are all on disk.
    pub(super) fn offer(&mut self, frozen: Frozen) {
        let Frozen { ends, to, window } = frozen;
        match ends {
            Some(at) => {
                self.windows += 1;
                self.live.offer(self.windows, at, to, window.topics);
            }
            None => self.live.offer_early(self.windows + 1, to, window.topics),
        }
    }

    fn take_outcomes(
        &mut self,
        now: Time,
        outcomes: Vec<CutOutcome>,
        counters: &mut Counters,
        outputs: &mut Outputs,
    ) {
        for outcome in outcomes {
            let topic = &outcome.topic;
            let are_totals_wanted = !counters.near_limit().is_empty();
            let Some(stream) = self.stream_mut(&outcome.stream) else { continue };
            let findings = stream.handle_outcome(now, counters.names(), &outcome, are_totals_wanted);
            if findings.store_went_back {
                let message = format!(
                    "the store has gone back in time for topic '{topic}'; what it forgot is sent again"
                );
                outputs.push(Output::Alarm(message));
            }
            if findings.overflow {
                let message =
                    format!("a total of topic '{topic}' is at its limit; its events wait in the log");
                outputs.push(Output::Alarm(message));
            }
            if let Some(message) = findings.imbalance {
                self.imbalances += 1;
                outputs.push(Output::Alarm(message));
            }
            for near in findings.near_limit {
                counters.near_limit_mut().note(near.counter, near.total);
            }
        }
    }

    /// Asks about some topics with each window, all leaves together about no more than roots have time for.
    pub(super) fn survey(&mut self, now: Time, context: &Context) {
        let leaves = context.members.leaves() as u128;
        let most = SURVEYED_PER_S * context.config.window.as_millis() / 1_000 / leaves;
        let mut left = usize::try_from(most).unwrap_or(usize::MAX).max(1);
        for stream in self.streams_mut() {
            left -= stream.survey(now, left);
            if left == 0 {
                return;
            }
        }
    }

    /// Reads back what has to be, as far as no reading is under way.
    pub(super) fn begin_scans(&mut self, names: &Names, outputs: &mut Outputs) {
        for stream in self.streams_mut() {
            if let Some(recut) = stream.next_scan(names) {
                outputs.push(Output::Scan { stream: stream.stream().clone(), recut });
            }
        }
    }

    /// Sends the cuts that can be sent.
    pub(super) fn send_up(&mut self, now: Time, names: &Names, outputs: &mut Outputs) {
        if self.roots.is_empty() {
            return;
        }
        let (ring, roots) = (&self.ring, &self.roots);
        let root_of =
            |topic| ring.topic_owner(names.topic(topic)).filter(|root| roots.contains(*root)).cloned();
        let mut frames: BTreeMap<NodeName, Frames<'_>> = BTreeMap::new();
        for stream in self.old.values_mut().chain([&mut self.live]) {
            let ready = stream.ready_cuts(now, root_of);
            let stream = &*stream;
            for (root, topic) in ready {
                if let Some(cut) = stream.cut(topic, names) {
                    frames.entry(root).or_default().push(cut);
                }
            }
        }
        for (root, frames) in frames {
            for frame in frames.finish() {
                outputs.push(match frame {
                    Ok(message) => Output::Cuts { root: root.clone(), message },
                    Err(e) => Output::Alarm(format!("a cut could not be sent: {e}")),
                });
            }
        }
    }

    /// Everything acked before this is merged, for people; `None` while an old stream has not drained.
    pub(super) fn complete_to(&self) -> Option<WallMs> {
        let is_drained = self.old.values().all(StreamUplink::is_drained);
        self.live.progress().complete_to().filter(|_| is_drained)
    }

    /// Deletes segments that nothing needs any more.
    pub(super) fn trim(&mut self, now: Time, context: &mut Context) {
        let live = &self.live;
        let merged_to: Lsn = live.progress().merged_to();
        for segment in context.log.trim(now, merged_to, |at| live.is_proven(at)) {
            context.outputs.push(Output::DropSegment(segment));
        }
    }
}
