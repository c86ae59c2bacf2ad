//! The viewer's shell: it watches its topics on one broadcast node or another.

use super::World;
use crate::flaws::Flaw;
use crate::host::Host;
use crate::model::Promise;
use crate::network::{ConnectionId, Message, Side};
use crate::random::Random;
use crate::world::event::SimEvent;
use bytes::Bytes;
use countree_client::machine::viewer::{Departure, Feed, Outdated, ViewerMachine};
use countree_common::cluster::{ClusterView, Node, Tier};
use countree_common::document::{TopicView, Version};
use countree_common::key::{Counter, Topic};
use countree_common::limits::NODE_FRAME_BYTES;
use countree_common::wire::frame::{FrameKind, FrameReader};
use countree_common::wire::hello::Conversation;
use countree_common::wire::viewer::FromBroadcast;
use std::collections::BTreeMap;

/// A viewer's state of a topic.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) version: Version,
    /// The rank of its era among all eras that the store had the topic in.
    era_rank: usize,
    pub(super) totals: BTreeMap<Counter, i64>,
    /// The number of acked events that were checked to be in it.
    pub(super) verified: usize,
}

/// A viewer.
#[derive(Debug)]
pub(super) struct ViewerClient {
    watch: ViewerMachine,
    feed: Feed,
    topics: Vec<Topic>,
    view: ClusterView,
    at: Option<(Node, ConnectionId)>,
    frames: FrameReader,
    shown: BTreeMap<Topic, Shown>,
}

impl ViewerClient {
    /// Watches some of the topics, at least one.
    pub(super) fn new(topics: &[Topic], random: &mut Random) -> Self {
        let first = random.pick(topics).cloned();
        let watched = |t: &&Topic| first.as_ref() == Some(*t) || random.chance(60);
        Self::of(topics.iter().filter(watched).cloned().collect())
    }

    fn of(topics: Vec<Topic>) -> Self {
        let watch = ViewerMachine::new(topics.clone());
        Self {
            feed: watch.connected().1,
            watch,
            topics,
            view: ClusterView::default(),
            at: None,
            frames: FrameReader::new(NODE_FRAME_BYTES),
            shown: BTreeMap::new(),
        }
    }

    /// Its state of a topic.
    pub(super) fn shown_of(&self, topic: &Topic) -> Option<&Shown> {
        self.shown.get(topic)
    }

    pub(super) fn note_verified(&mut self, topic: &Topic, verified: usize) {
        if let Some(shown) = self.shown.get_mut(topic) {
            shown.verified = shown.verified.max(verified);
        }
    }

    fn shows_a_higher_era(&self, message: &FromBroadcast) -> bool {
        let FromBroadcast::Snapshot(part) = message else { return false };
        self.shown.get(&part.topic).is_some_and(|shown| shown.version.era > part.version.era)
    }

    /// Its state of each topic that it watches.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&Topic, Option<&Shown>)> {
        self.topics.iter().map(|topic| (topic, self.shown.get(topic)))
    }
}

impl World {
    /// Closes a viewer's page and opens it again, without any state.
    pub(super) fn crash_viewer(&mut self, i: usize) -> bool {
        let topics = self.clients.viewers[i].topics.clone();
        self.clients.viewers[i] = ViewerClient::of(topics);
        self.terminate(Host::Viewer(i));
        self.find_broadcast_later(i);
        true
    }

    /// Moves a viewer to another node, or to the same.
    pub(super) fn move_viewer(&mut self, i: usize) -> bool {
        let Some((_, link)) = self.clients.viewers[i].at.clone() else { return false };
        self.leave(link, Side::Opener);
        self.viewer_loses_connection(i, link);
        true
    }

    pub(super) fn viewer_takes_view(&mut self, i: usize, view: ClusterView) {
        let viewer = &mut self.clients.viewers[i];
        // A registry that has fallen back may have lower epochs.
        if view.epoch <= viewer.view.epoch && viewer.at.is_some() {
            return;
        }
        viewer.view = view;
        // A dead process would be noticed only much later.
        if let Some((node, _)) = &viewer.at
            && viewer.view.node(&node.name) != Some(node)
        {
            self.move_viewer(i);
        }
    }

    /// Connects a viewer to a broadcast node of its view.
    pub(super) fn find_broadcast(&mut self, i: usize) {
        let nodes: Vec<Node> = self.clients.viewers[i].view.tier(Tier::Broadcast).cloned().collect();
        let node = self.random.pick(&nodes).cloned().filter(|_| self.clients.viewers[i].at.is_none());
        match node.and_then(|node| Some((Host::of(&node.name)?, node))) {
            Some((acceptor, node)) => {
                let port = node.quic.port();
                let link = self.open(Host::Viewer(i), acceptor, port, Conversation::Watch);
                self.clients.viewers[i].at = Some((node, link));
            }
            None => self.find_broadcast_later(i),
        }
    }

    fn find_broadcast_later(&mut self, i: usize) {
        if self.clients.viewers[i].at.is_none() {
            let wait = self.random.millis(50, 500);
            self.queue.after(wait, SimEvent::FindBroadcast { viewer: i });
        }
    }

    pub(super) fn viewer_has_node(&mut self, i: usize, link: ConnectionId) {
        let viewer = &mut self.clients.viewers[i];
        viewer.frames = FrameReader::new(NODE_FRAME_BYTES);
        let (messages, feed) = viewer.watch.connected();
        viewer.feed = feed;
        for message in messages {
            self.send(link, Side::Opener, Message::Watch(message));
        }
    }

    pub(super) fn viewer_loses_connection(&mut self, i: usize, link: ConnectionId) {
        if self.clients.viewers[i].at.take_if(|(_, at)| *at == link).is_some() {
            self.find_broadcast_later(i);
        }
    }

    pub(super) fn viewer_receives(&mut self, i: usize, link: ConnectionId, chunks: &[Bytes]) {
        if let Some(Host::Broadcast(node)) = self.network.link(link).map(|l| l.host(Side::Acceptor)) {
            self.stretch_arrived(node, link);
        }
        let flaw = self.plan.flaw;
        let viewer = &mut self.clients.viewers[i];
        chunks.iter().for_each(|chunk| viewer.frames.push(chunk));
        loop {
            match viewer.frames.next_frame().and_then(|frame| match frame {
                Some(frame) => frame.decode(FrameKind::Message).map(Some),
                None => Ok(None),
            }) {
                Ok(Some(message)) => {
                    if flaw == Some(Flaw::HighestEraWins) && viewer.shows_a_higher_era(&message) {
                        continue;
                    }
                    match viewer.watch.handle_message(&mut viewer.feed, message) {
                        Ok(None) => {}
                        Ok(Some(Departure { reason, .. })) => {
                            let what = format!("viewer-{i} was told to leave: {reason}");
                            return self.violate(Promise::Orderly, what);
                        }
                        Err(Outdated) => {
                            self.move_viewer(i);
                            break;
                        }
                    }
                }
                Ok(None) => break,
                Err(e) => {
                    return self.violate(Promise::Orderly, format!("viewer-{i} can't read its stream: {e}"));
                }
            }
        }
        self.drain_viewer(i);
    }

    pub(super) fn viewer_receives_datagram(&mut self, i: usize, _link: ConnectionId, bytes: &[u8]) {
        let viewer = &mut self.clients.viewers[i];
        viewer.watch.handle_datagram(&viewer.feed, bytes);
        self.drain_viewer(i);
    }

    fn drain_viewer(&mut self, i: usize) {
        while let Some(view) = self.clients.viewers[i].watch.poll_view() {
            self.show(i, view);
        }
    }

    /// Shows totals to a viewer, and checks them: within an era versions do not go back, eras follow one another as
    /// they did in the store, and totals said to be complete are.
    fn show(&mut self, i: usize, view: TopicView) {
        let TopicView { topic, era, version, counts, complete_to, .. } = view;
        let version = Version { era, number: version };
        let shown = self.clients.viewers[i].shown.entry(topic.clone()).or_default();
        let before = shown.version;
        let era_rank = self.operator.displaced_store.as_ref().unwrap_or(&self.store).era_rank(
            &topic,
            era,
            shown.era_rank,
        );
        let went_back = if era == before.era {
            version < before
        } else {
            shown.totals.clear();
            shown.verified = 0;
            // The eras of another store, whose roots were believed for a while, have no order.
            !self.operator.has_used_another_store && era_rank.is_none_or(|rank| rank < shown.era_rank)
        };
        shown.version = version;
        shown.era_rank = era_rank.unwrap_or_default();
        for (item, kinds) in counts {
            for (kind, total) in kinds {
                let counter = Counter { topic: topic.clone(), item: item.clone(), kind };
                shown.totals.insert(counter, total);
            }
        }
        self.check_complete(i, &topic, complete_to);
        if went_back {
            self.violate(Promise::Shown, format!("viewer-{i} was shown {topic} at {version} after {before}"));
        }
    }
}
