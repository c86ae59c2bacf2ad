//! The root machine: cuts in, merges and reads out, outcomes and totals out.

use super::merge::limit_alerts::{self, NearLimit};
use super::merge::queue::{Answered, MergeQueue};
use super::output::{LeafRefused, Output};
use super::publishing::coalesced::CoalescedUpdate;
use super::publishing::interest::{Arrival, Interests, TooMuchInterest};
use super::publishing::watermark::Watermarks;
use super::{BatchId, ConnectionId, ReadId, StoreSilent};
use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::cut::{Cut, Outcome};
use countree_common::document::{Snapshot, Version};
use countree_common::key::{Counter, Topic};
use countree_common::stamp::Stamp;
use countree_common::store::StoreId;
use countree_common::time::{Now, SteadyClock, Time, WallMs};
use countree_common::wire::{publish, uplink};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// After a failed read nothing is read for this long.
const READ_PAUSE: Duration = Duration::from_millis(100);
/// So long after other roots came or went, leaves with an older view may still merge through another root than the one
/// that shows the topic, which hears nothing of it.
const RING_SETTLES: Duration = Duration::from_secs(10);

/// Between two stamps for a leaf. It is a part of what `complete_to` lags behind.
const STAMP_GAP: Duration = Duration::from_millis(100);

/// When topics are read.
#[derive(Debug, Default)]
struct ReadPacing {
    paused_until: Time,
    /// When what other roots may have merged for this one is read.
    again_at: Option<Time>,
}

/// Decides what a root merges, reads and publishes. Keeps nothing that the store or the leaves could
/// not tell again.
#[derive(Debug, Default)]
pub struct RootMachine {
    leaves: BTreeMap<ConnectionId, NodeName>,
    merges: MergeQueue,
    interests: Interests,
    watermarks: Watermarks,
    near_limit: NearLimit,
    /// Broadcast connections that have yet to be told the watermark.
    untold: BTreeSet<ConnectionId>,
    reads: ReadPacing,
    /// The store is not this cluster's: nothing is asked of it.
    is_fenced: bool,
    /// The stores whose leaves may send cuts; empty where nobody has said so.
    stores: BTreeSet<StoreId>,
    /// The roots of the view.
    roots: BTreeSet<NodeName>,
    /// The era that the store was last known to serve in; 0 as long as it is not known.
    served_in: u64,
    /// Stamps: steadily on from the wall clock's time at the start.
    clock: SteadyClock,
    stamps_at: Time,
    now: Time,
    outputs: VecDeque<Output>,
}

impl RootMachine {
    /// A root that has heard of nobody yet.
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

    /// Time goes by.
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

    /// The live nodes have changed.
    pub fn handle_view(&mut self, view: &ClusterView) {
        let roots: BTreeSet<NodeName> = view.tier(Tier::Root).map(|root| root.name.clone()).collect();
        if roots != self.roots {
            self.roots = roots;
            self.reads.again_at = Some(self.now + RING_SETTLES);
        }
        let advanced = self.watermarks.handle_view(view);
        self.owe_watermark(advanced);
    }

    /// The store held the view that was handled last when it was asked, at `asked`.
    pub fn handle_confirmation(&mut self, asked: Time) {
        let advanced = self.watermarks.handle_confirmation(self.clock.read(asked));
        self.owe_watermark(advanced);
    }

    /// The store serves in this era. Another one, higher or lower, means that another process serves, or another store,
    /// which may have forgotten what its readers were told: they are told anew, and nothing is known to be complete until
    /// every leaf has made sure of what it merged.
    pub fn handle_served_in(&mut self, era: u64) {
        if era != self.served_in {
            self.served_in = era;
            self.watermarks.forget();
            self.untold.extend(self.interests.connections());
            self.stamps_at = self.now;
            self.interests.read_all_again();
        }
    }

    /// The store is not this cluster's, or is so again. Meanwhile cuts wait, and readers keep what they were told.
    pub fn handle_fence(&mut self, is_fenced: bool) {
        if std::mem::replace(&mut self.is_fenced, is_fenced) && !is_fenced {
            self.interests.read_all_again();
        }
    }

    /// The store that is served, and those whose place it has taken.
    pub fn handle_stores(&mut self, stores: BTreeSet<StoreId>) {
        self.stores = stores;
    }

    /// A leaf begins to send.
    pub fn handle_leaf_opened(&mut self, connection: ConnectionId, leaf: NodeName) {
        self.leaves.insert(connection, leaf);
        self.alert_near_limit(&[connection], &self.near_limit.known());
    }

    fn alert_near_limit(&mut self, leaves: &[ConnectionId], totals: &[(Counter, i64)]) {
        for message in limit_alerts::messages(totals) {
            let message = uplink::FromRoot::NearLimit(message);
            let answers =
                leaves.iter().map(|leaf| Output::Answer { connection: *leaf, message: message.clone() });
            self.outputs.extend(answers);
        }
    }

    /// A leaf's connection is gone. What it still waits for, it will ask for elsewhere.
    pub fn handle_leaf_closed(&mut self, connection: ConnectionId) {
        self.leaves.remove(&connection);
    }

    /// A leaf says something.
    ///
    /// # Errors
    /// When it sent a cut that no leaf may send, or belongs to another store; the conversation is to be ended.
    pub fn handle_leaf(
        &mut self,
        connection: ConnectionId,
        message: uplink::ToRoot,
    ) -> Result<(), LeafRefused> {
        match message {
            uplink::ToRoot::Cuts(cuts) => {
                let mut turned_away = Vec::new();
                for cut in cuts {
                    turned_away.extend(self.merges.push(connection, cut)?);
                }
                if !turned_away.is_empty() {
                    let message = uplink::FromRoot::Outcomes(turned_away);
                    self.outputs.push_back(Output::Answer { connection, message });
                }
            }
            uplink::ToRoot::Store(store) => {
                if !self.stores.is_empty() && !self.stores.contains(&store) {
                    return Err(LeafRefused::Foreign(store));
                }
            }
            uplink::ToRoot::Echo(Stamp { era, at }) => {
                // One of an era before says nothing of this one.
                if era == self.served_in
                    && let Some(leaf) = self.leaves.get(&connection)
                {
                    let advanced = self.watermarks.handle_echo(leaf, at.min(self.clock.read(self.now)));
                    self.owe_watermark(advanced);
                }
            }
        }
        Ok(())
    }

    /// A broadcast node begins to listen.
    ///
    /// # Errors
    /// When there are too many; the conversation is to be refused.
    pub fn handle_broadcast_opened(&mut self, connection: ConnectionId) -> Result<(), TooMuchInterest> {
        self.interests.open(connection)?;
        if self.watermarks.watermark() > WallMs(0) {
            self.untold.insert(connection);
        }
        Ok(())
    }

    /// A broadcast node's connection is gone.
    pub fn handle_broadcast_closed(&mut self, connection: ConnectionId) {
        self.interests.close(connection);
        self.untold.remove(&connection);
    }

    /// A broadcast node says something.
    ///
    /// # Errors
    /// When it wants too much; the conversation is to be ended.
    pub fn handle_broadcast(
        &mut self,
        connection: ConnectionId,
        message: publish::ToRoot,
    ) -> Result<(), TooMuchInterest> {
        match message {
            publish::ToRoot::Interest(topics) => self.interests.follow(connection, topics),
            publish::ToRoot::Disinterest(topics) => {
                self.interests.unfollow(connection, &topics);
                Ok(())
            }
        }
    }

    /// The store answers a merge: for each cut, in order, what became of it, or `None` when that is not known.
    pub fn handle_merged(&mut self, batch: BatchId, outcomes: Vec<Option<Outcome>>) {
        let Some(Answered { outcomes: answers, cuts }) = self.merges.handle_merged(batch, &outcomes) else {
            return;
        };
        // Totals first: once a leaf knows that a cut is merged it may say a stamp back, and the watermark must not
        // overtake the totals.
        let near = self.near_limit.learn(&cuts, &outcomes);
        self.publish_merged(&cuts, outcomes);
        // Before its answer too, or a leaf's next event could be taken by another that does not know.
        let leaves: Vec<_> = self.leaves.keys().copied().collect();
        self.alert_near_limit(&leaves, &near);
        for (connection, outcomes) in answers {
            if self.leaves.contains_key(&connection) {
                let message = uplink::FromRoot::Outcomes(outcomes);
                self.outputs.push_back(Output::Answer { connection, message });
            }
        }
    }

    fn publish_merged(&mut self, cuts: &[Cut], outcomes: Vec<Option<Outcome>>) {
        let mut update = None::<CoalescedUpdate>;
        for (cut, outcome) in cuts.iter().zip(outcomes) {
            if !self.interests.is_followed(&cut.topic) {
                continue;
            }
            match outcome {
                Some(Outcome::Applied(applied)) => match &mut update {
                    Some(update) if update.is_followed_by(cut, &applied) => update.add(cut, &applied),
                    _ => self.publish(update.replace(CoalescedUpdate::new(cut, &applied))),
                },
                // Merged before, perhaps without a word to those who follow the topic.
                Some(Outcome::Have { version, .. }) => {
                    self.publish(update.take());
                    self.interests.notice(&cut.topic, version);
                }
                Some(Outcome::Overflow) | None => {}
            }
        }
        self.publish(update);
    }

    fn publish(&mut self, update: Option<CoalescedUpdate>) {
        let Some(update) = update.map(CoalescedUpdate::into_update) else { return };
        let connections = self.interests.publish(&update);
        if !connections.is_empty() {
            let message = publish::FromRoot::Update(update);
            self.outputs.push_back(Output::Publish { connections, message });
        }
    }

    /// The store has forgotten a topic, whose document stands at that version since.
    pub fn handle_forgotten(&mut self, topic: &Topic, version: Version) {
        // No update says so: those who follow the topic are sent what is left, a snapshot of nothing.
        self.interests.notice(topic, version);
        let near = self.near_limit.forget(topic);
        let leaves: Vec<_> = self.leaves.keys().copied().collect();
        self.alert_near_limit(&leaves, &near);
    }

    /// The store answers a read; `None` for a topic never counted.
    pub fn handle_read(&mut self, read: ReadId, result: Result<Option<Snapshot>, StoreSilent>, now: Time) {
        self.handle_tick(now);
        match result {
            Ok(snapshot) => match self.interests.handle_read(read, snapshot) {
                Arrival::Send(connection, snapshot) => {
                    self.outputs.push_back(Output::Snapshot { connection, snapshot });
                }
                Arrival::Nothing => {}
            },
            Err(StoreSilent) => {
                self.interests.handle_read_failed(read);
                self.reads.paused_until = self.now + READ_PAUSE;
            }
        }
    }

    /// The last piece of a snapshot has left.
    pub fn handle_snapshot_sent(&mut self, connection: ConnectionId) {
        self.interests.handle_snapshot_sent(connection);
    }

    fn owe_watermark(&mut self, advanced: Option<WallMs>) {
        if advanced.is_some() {
            self.untold.extend(self.interests.connections());
        }
    }

    /// The next thing to do; drain it after every input.
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

    /// The watermark for those who have yet to be told and hold everything that belongs to it.
    fn watermark_output(&mut self) -> Option<Output> {
        let interests = &self.interests;
        let ready: Vec<_> = self.untold.iter().copied().filter(|c| interests.is_up_to_date(*c)).collect();
        ready.iter().for_each(|c| {
            self.untold.remove(c);
        });
        let stamp = Stamp { era: self.served_in, at: self.watermarks.watermark() };
        let message = publish::FromRoot::Watermark(stamp);
        (!ready.is_empty()).then_some(Output::Publish { connections: ready, message })
    }
}

#[cfg(test)]
#[path = "root_machine_tests.rs"]
mod tests;
