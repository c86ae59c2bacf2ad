//! The root machine: cuts in, merges and reads out, outcomes and totals out.
//!
//! The shell calls `handle_…` for each message of a peer, each answer of the store, each change of the view, and every
//! 50 ms `handle_tick`. After each call it drains `poll_output`.

mod broadcasts;
mod leaves;
mod store_answers;

use super::ConnectionId;
use super::merge::limit_alerts::NearLimit;
use super::merge::queue::MergeQueue;
use super::output::Output;
use super::publishing::interest::Interests;
use super::publishing::watermark::Watermarks;
use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::stamp::Stamp;
use countree_common::store::StoreId;
use countree_common::time::{Now, SteadyClock, Time, WallMs};
use countree_common::wire::{publish, uplink};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// For this long after other roots came or went, leaves with an older view may merge through another root than the one
/// that publishes the topic, which gets no word of it.
const RING_SETTLES: Duration = Duration::from_secs(10);

/// Time between two stamps for a leaf. It is a part of the delay of `complete_to`.
const STAMP_GAP: Duration = Duration::from_millis(100);

/// The pace at which topics are read.
#[derive(Debug, Default)]
struct ReadPacing {
    paused_until: Time,
    /// The time at which topics are read again that other roots may have merged.
    again_at: Option<Time>,
}

/// Decides what a root merges, reads and publishes. Its state can be lost: the store and the leaves have it all.
#[derive(Debug, Default)]
pub struct RootMachine {
    leaves: BTreeMap<ConnectionId, NodeName>,
    merges: MergeQueue,
    interests: Interests,
    watermarks: Watermarks,
    near_limit: NearLimit,
    /// Broadcast connections that the present watermark was not sent to yet.
    awaiting_watermark: BTreeSet<ConnectionId>,
    reads: ReadPacing,
    /// The store is not this cluster's: nothing is asked of it.
    is_fenced: bool,
    /// The stores whose leaves may send cuts; empty if any may.
    stores: BTreeSet<StoreId>,
    /// The roots of the view.
    roots: BTreeSet<NodeName>,
    /// The era that the store serves in; 0 until it is known.
    served_in: u64,
    /// Stamps: steadily on from the wall clock's time at the start.
    clock: SteadyClock,
    stamps_at: Time,
    now: Time,
    outputs: VecDeque<Output>,
}

impl RootMachine {
    /// A root without any peer.
    pub fn new(now: Now) -> Self {
        Self { clock: SteadyClock::begin(now.wall, now.mono), now: now.mono, ..Self::default() }
    }

    /// Cuts that wait for the store.
    pub fn queued_cuts(&self) -> usize {
        self.merges.queued()
    }

    /// Topics that broadcast nodes follow here.
    pub fn followed_topics(&self) -> usize {
        self.interests.topics()
    }

    /// The watermark; 0 as long as none is known.
    pub fn watermark(&self) -> WallMs {
        self.watermarks.watermark()
    }

    /// Advances the time.
    pub fn handle_tick(&mut self, now: Time) {
        self.now = now.max(self.now);
        if self.reads.again_at.take_if(|at| *at <= now).is_some() {
            self.interests.read_all_again();
        }
        if self.served_in > 0 && self.now >= self.stamps_at {
            self.stamps_at = self.now + STAMP_GAP;
            self.stamp();
        }
    }

    fn stamp(&mut self) {
        let message = uplink::FromRoot::Stamp(Stamp { era: self.served_in, at: self.clock.read(self.now) });
        let leaves = self.leaves.iter().filter(|(_, leaf)| self.watermarks.counts(leaf));
        let stamps = leaves.map(|(leaf, _)| Output::Answer { connection: *leaf, message: message.clone() });
        self.outputs.extend(stamps);
    }

    /// Takes a new view of the cluster.
    pub fn handle_view(&mut self, view: &ClusterView) {
        let roots: BTreeSet<NodeName> = view.tier(Tier::Root).map(|root| root.name.clone()).collect();
        if roots != self.roots {
            self.roots = roots;
            self.reads.again_at = Some(self.now + RING_SETTLES);
        }
        let advanced = self.watermarks.handle_view(view);
        self.queue_watermark(advanced);
    }

    /// Notes that the store held the last view when it was read, at `asked`.
    pub fn handle_confirmation(&mut self, asked: Time) {
        let advanced = self.watermarks.handle_confirmation(self.clock.read(asked));
        self.queue_watermark(advanced);
    }

    /// Notes the era that the store serves in. Another one, higher or lower, means that another process serves, or
    /// another store, which may have forgotten totals that readers saw: every followed topic is read again, and nothing
    /// counts as complete until every leaf has confirmed its merges.
    pub fn handle_served_in(&mut self, era: u64) {
        if era != self.served_in {
            self.served_in = era;
            self.watermarks.forget();
            self.awaiting_watermark.extend(self.interests.connections());
            self.stamps_at = self.now;
            self.interests.read_all_again();
        }
    }

    /// Fences the store off while it is not this cluster's. Meanwhile cuts wait, and readers keep the totals that they
    /// have.
    pub fn handle_fence(&mut self, is_fenced: bool) {
        if std::mem::replace(&mut self.is_fenced, is_fenced) && !is_fenced {
            self.interests.read_all_again();
        }
    }

    /// Sets the stores whose leaves may send cuts: the served one, and those that it replaced.
    pub fn handle_stores(&mut self, stores: BTreeSet<StoreId>) {
        self.stores = stores;
    }

    fn queue_watermark(&mut self, advanced: Option<WallMs>) {
        if advanced.is_some() {
            self.awaiting_watermark.extend(self.interests.connections());
        }
    }

    /// The next output; to be drained after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if self.is_fenced {
            return self.watermark_output();
        }
        if let Some((batch, cuts)) = self.merges.next_batch(|c| self.leaves.contains_key(&c)) {
            return Some(Output::Merge { batch, cuts });
        }
        if self.now >= self.reads.paused_until
            && let Some((read, topic)) = self.interests.next_read()
        {
            return Some(Output::Read { read, topic });
        }
        self.watermark_output()
    }

    /// The watermark, for the connections that wait for it and hold all totals that belong to it.
    fn watermark_output(&mut self) -> Option<Output> {
        let interests = &self.interests;
        let ready: Vec<_> =
            self.awaiting_watermark.iter().copied().filter(|c| interests.is_up_to_date(*c)).collect();
        ready.iter().for_each(|c| {
            self.awaiting_watermark.remove(c);
        });
        let stamp = Stamp { era: self.served_in, at: self.watermarks.watermark() };
        let message = publish::FromRoot::Watermark(stamp);
        (!ready.is_empty()).then_some(Output::Publish { connections: ready, message })
    }
}

#[cfg(test)]
#[path = "root_machine_tests.rs"]
mod tests;
