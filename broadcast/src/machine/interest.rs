//! Subscriptions at roots: asks the owner of each topic for its totals, and applies the answers.

use super::document::{Document, Fit};
use super::ids::TopicHandle;
use super::sources::{Due, RootState, Source};
use super::topics::KEEP_IDLE;
use super::{BroadcastMachine, Output};
use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::document::{CounterTotal, Snapshot, Update, Version};
use countree_common::era::EraOrder;
use countree_common::key::Topic;
use countree_common::ring::Ring;
use countree_common::time::Time;
use countree_common::wire::publish::{FromRoot, ToRoot};
use std::net::SocketAddr;
use std::time::Duration;

/// Time for which a topic's former owner is listened to, since merges that were under way still come from it.
pub const LINGER: Duration = Duration::from_secs(30);
/// A snapshot that has not arrived after this long is requested again; a root needs a while for very many
/// requests at once.
pub const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Most topics in one message to a root: well under a frame.
const TOPICS_PER_MESSAGE: usize = 2_048;

impl BroadcastMachine {
    /// Takes over a view of the cluster: connects to its roots, and moves subscriptions to the topics' new
    /// owners.
    pub fn handle_view(&mut self, view: &ClusterView, now: Time) {
        let roots: Vec<(&NodeName, SocketAddr)> = view.tier(Tier::Root).map(|n| (&n.name, n.quic)).collect();
        for (name, state) in &mut self.roots.states {
            let present = roots.iter().any(|(root, _)| *root == name);
            state.left = if present { None } else { state.left.or(Some(now)) };
        }
        for (name, address) in &roots {
            if self.roots.states.get(*name).is_none_or(|state| state.address != *address) {
                self.handle_root_lost(name);
                self.roots.states.insert((*name).clone(), RootState::new(*address));
                self.outputs.push_back(Output::Connect { root: (*name).clone(), address: *address });
            }
        }
        let mut names: Vec<NodeName> = roots.into_iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        // Without any root there is no new owner.
        if names.is_empty() || names == self.owners {
            return;
        }
        self.roots.ring = Ring::new(names.iter().cloned());
        self.owners = names;
        let held: Vec<TopicHandle> = self.topics.iter_mut().map(|(handle, _)| handle).collect();
        for handle in held {
            self.assign(handle, now);
        }
    }

    /// Begins to subscribe at this root; it has forgotten earlier subscriptions.
    pub fn handle_root_connected(&mut self, root: &NodeName, now: Time) {
        let Some(state) = self.roots.states.get_mut(root) else { return };
        state.connected = true;
        let handles: Vec<TopicHandle> = self
            .topics
            .iter_mut()
            .filter(|(_, topic)| topic.sources.by_root.contains_key(root))
            .map(|(handle, _)| handle)
            .collect();
        for handle in handles {
            self.ask(handle, root, now);
        }
    }

    /// Stops using this root until it is connected again.
    pub fn handle_root_lost(&mut self, root: &NodeName) {
        for (_, topic) in self.topics.iter_mut() {
            if topic.sources.by_root.contains_key(root) {
                let version = topic.version();
                self.roots.freeze(&mut topic.sources, version);
            }
            if let Some(source) = topic.sources.by_root.get_mut(root) {
                (source.asked, source.joined, source.followed) = (None, false, None);
            }
        }
        if let Some(state) = self.roots.states.get_mut(root) {
            state.lost();
        }
    }

    /// Handles a message of a root.
    pub fn handle_from_root(&mut self, root: &NodeName, message: FromRoot, now: Time) {
        let Some(state) = self.roots.states.get_mut(root).filter(|state| state.connected) else { return };
        match message {
            FromRoot::Snapshot(part) => {
                if let Some(snapshot) = state.assembly.push(part) {
                    self.take_snapshot(root, snapshot, now);
                }
            }
            FromRoot::Update(update) => self.take_update(root, update, now),
            FromRoot::Watermark(stamp) => state.watermark = stamp,
        }
    }

    fn take_snapshot(&mut self, root: &NodeName, snapshot: Snapshot, now: Time) {
        let Some(handle) = self.topics.handle(&snapshot.topic) else { return };
        let Some(topic) = self.topics.get_mut(handle) else { return };
        let source = topic.sources.by_root.get_mut(root);
        // Messages of a former source may be from long ago.
        let Some(Source { asked, joined, followed: Some(followed), .. }) = source else { return };
        (*asked, *joined) = (None, true);
        let held = topic.document.as_ref().map(|document| document.version().era);
        match topic.eras.judge(followed, held, snapshot.version.era) {
            EraOrder::Same => self.advance(handle, snapshot.version, snapshot.totals, now),
            EraOrder::Next => self.begin_era(handle, snapshot, now),
            EraOrder::Unclear => self.check(handle),
        }
    }

    /// Brings a document forward to that version of its era, if it is behind.
    pub(super) fn advance(
        &mut self,
        handle: TopicHandle,
        version: Version,
        totals: Vec<CounterTotal>,
        now: Time,
    ) {
        let Some(topic) = self.topics.get_mut(handle) else { return };
        let Some(document) = topic.document.as_mut().filter(|d| d.version() < version) else { return };
        let before = document.counters();
        document.advance(version, totals, now);
        self.counters += document.counters() - before;
        self.changed(handle, now);
    }

    /// Replaces the held document, if any, by one of another era.
    pub(super) fn begin_era(&mut self, handle: TopicHandle, snapshot: Snapshot, now: Time) {
        let Some(topic) = self.topics.get_mut(handle) else { return };
        let document = Document::new(snapshot, now);
        self.counters += document.counters();
        self.counters -= topic.document.as_ref().map_or(0, Document::counters);
        topic.document = Some(document);
        topic.sources.thaw();
        if topic.encodings.forget_snapshots() {
            self.outputs.push_back(Output::Unshare { topic: topic.name.clone() });
        }
        self.changed(handle, now);
        self.serve_now(handle);
    }

    fn take_update(&mut self, root: &NodeName, update: Update, now: Time) {
        let Some(handle) = self.topics.handle(&update.topic) else { return };
        let Some(topic) = self.topics.get_mut(handle) else { return };
        match topic.document.as_ref().map_or(Fit::Gap, |document| document.fit(&update)) {
            Fit::Next => self.advance(handle, update.version, update.totals, now),
            Fit::Old => {}
            Fit::Gap if topic.sources.awaits_a_snapshot() => {}
            Fit::Gap => {
                // The sender can send the rest. If it is no source of the topic any more, the owner can.
                let known = topic.sources.by_root.contains_key(root);
                let asked = if known { Some(root.clone()) } else { topic.sources.owner.clone() };
                if let Some(asked) = asked {
                    self.ask(handle, &asked, now);
                }
            }
        }
    }

    /// Makes the ring's owner of the topic its source.
    pub(super) fn assign(&mut self, handle: TopicHandle, now: Time) {
        let Some(topic) = self.topics.get_mut(handle) else { return };
        let Some(owner) = self.roots.ring.topic_owner(&topic.name).cloned() else { return };
        let version = topic.version();
        self.roots.freeze(&mut topic.sources, version);
        let former = topic.sources.owner.replace(owner.clone()).filter(|former| *former != owner);
        if let Some(former) = former
            && let Some(source) = topic.sources.by_root.get_mut(&former)
        {
            let until = now + LINGER;
            source.until = Some(until);
            self.roots.lingering.push_back((until, handle, former));
        }
        match topic.sources.by_root.get_mut(&owner) {
            Some(source) => source.until = None,
            None => {
                topic.sources.by_root.insert(owner.clone(), Source::default());
                self.ask(handle, &owner, now);
            }
        }
    }

    /// Subscribes, which brings a snapshot. Without a link it waits for the link.
    fn ask(&mut self, handle: TopicHandle, root: &NodeName, now: Time) {
        let Some(topic) = self.topics.get_mut(handle) else { return };
        if !self.roots.is_connected(root) {
            return;
        }
        let version = topic.version();
        self.roots.freeze(&mut topic.sources, version);
        let Some(source) = topic.sources.by_root.get_mut(root) else { return };
        source.asked = Some(now);
        source.followed.get_or_insert(topic.eras.ask());
        self.roots.asked.push_back((now, handle, root.clone()));
        let name = topic.name.clone();
        self.tell(root, ToRoot::Interest(vec![name]));
    }

    /// Gives a topic up.
    pub(super) fn evict(&mut self, handle: TopicHandle) {
        let Some(topic) = self.topics.remove(handle) else { return };
        self.counters -= topic.document.as_ref().map_or(0, Document::counters);
        self.changed.retain(|h| *h != handle);
        self.unsettled.remove(&handle);
        self.checks.give_up(handle);
        if topic.encodings.shares_snapshot() {
            self.outputs.push_back(Output::Unshare { topic: topic.name.clone() });
        }
        for root in topic.sources.by_root.keys() {
            if self.roots.is_connected(root) {
                self.tell(root, ToRoot::Disinterest(vec![topic.name.clone()]));
            }
        }
    }

    /// Queues a message to a root, merged with the last one to it if both are of one kind.
    fn tell(&mut self, root: &NodeName, message: ToRoot) {
        let last = self.outputs.iter_mut().rev().find_map(|output| match output {
            Output::ToRoot { root: to, message } if to == root => Some(message),
            _ => None,
        });
        let joins = |topics: &Vec<Topic>| topics.len() < TOPICS_PER_MESSAGE;
        match (last, message) {
            (Some(ToRoot::Interest(topics)), ToRoot::Interest(more))
            | (Some(ToRoot::Disinterest(topics)), ToRoot::Disinterest(more))
                if joins(topics) =>
            {
                topics.extend(more);
            }
            (_, message) => self.outputs.push_back(Output::ToRoot { root: root.clone(), message }),
        }
    }

    /// Handles everything due at a tick: former owners, missing answers, departed roots, topics without
    /// viewers.
    pub(super) fn tend_roots(&mut self, now: Time) {
        while let Some((until, handle, root)) = pop_due(&mut self.roots.lingering, Duration::ZERO, now) {
            self.stop_lingering(until, handle, &root);
        }
        while let Some((at, handle, root)) = pop_due(&mut self.roots.asked, ASK_AGAIN, now) {
            let source = self.topics.get_mut(handle).and_then(|t| t.sources.by_root.get_mut(&root));
            if source.is_some_and(|source| source.asked == Some(at)) {
                self.ask(handle, &root, now);
            }
        }
        let gone = |state: &RootState| state.left.is_some_and(|left| left + LINGER <= now);
        let departed: Vec<NodeName> =
            self.roots.states.iter().filter(|(_, l)| gone(l)).map(|(name, _)| name.clone()).collect();
        for root in departed {
            self.handle_root_lost(&root);
            self.roots.states.remove(&root);
            self.outputs.push_back(Output::Disconnect { root });
        }
        while let Some((since, handle)) = self.topics.longest_idle()
            && since + KEEP_IDLE <= now
        {
            self.evict(handle);
        }
    }

    fn stop_lingering(&mut self, until: Time, handle: TopicHandle, root: &NodeName) {
        let Some(topic) = self.topics.get_mut(handle) else { return };
        let void = topic.sources.by_root.get(root).is_none_or(|source| source.until != Some(until));
        if void {
            return;
        }
        topic.sources.by_root.remove(root);
        let name = topic.name.clone();
        if self.roots.is_connected(root) {
            self.tell(root, ToRoot::Disinterest(vec![name]));
        }
    }
}

/// Takes the first of the queue, once `after` has passed since its time.
fn pop_due(queue: &mut Due, after: Duration, now: Time) -> Option<(Time, TopicHandle, NodeName)> {
    if queue.front()?.0 + after <= now { queue.pop_front() } else { None }
}

#[cfg(test)]
#[path = "interest_tests.rs"]
mod tests;
