//! A root without a store: totals in memory, merged when the test asks for it.

use super::name;
use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::document::{CounterTotal, Update, Version};
use countree_common::key::{Item, Kind, Topic};
use countree_common::shell::identity::Authority;
use countree_common::shell::quic::{self, Profile, StreamError};
use countree_common::shell::server::{self, Greeted, Policy};
use countree_common::shell::shutdown::Shutdown;
use countree_common::stamp::Stamp;
use countree_common::time::WallMs;
use countree_common::wire::frame::FrameKind;
use countree_common::wire::hello::Conversation;
use countree_common::wire::publish::{FromRoot, SnapshotPart, ToRoot, snapshot_parts};
use countree_common::wire::rpc::{Question, Reply, Request};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::mpsc;

#[derive(Default)]
struct Document {
    version: Version,
    totals: BTreeMap<(Item, Kind), i64>,
}

impl Document {
    fn parts(&self, topic: &Topic) -> Vec<SnapshotPart> {
        let total = |((item, kind), total): (&(Item, Kind), &i64)| CounterTotal {
            item: item.clone(),
            kind: kind.clone(),
            total: *total,
        };
        snapshot_parts(topic, self.version, self.totals.iter().map(total).collect(), 10_000)
    }
}

struct Publication {
    interest: BTreeSet<Topic>,
    messages: mpsc::UnboundedSender<FromRoot>,
    connection: quinn::Connection,
}

#[derive(Default)]
struct State {
    documents: BTreeMap<Topic, Document>,
    view: ClusterView,
    away: Vec<NodeName>,
    publications: Vec<Publication>,
    watermark: WallMs,
}

#[derive(Clone)]
pub(crate) struct FakeRoot {
    pub(crate) address: SocketAddr,
    endpoint: quinn::Endpoint,
    shutdown: Shutdown,
    state: Arc<Mutex<State>>,
}

impl FakeRoot {
    pub(crate) async fn start(authority: &Authority) -> Self {
        let identity = authority.identity(&name("root-0"), Tier::Root).unwrap();
        let config = quic::server_config(identity.server_tls().unwrap(), Profile::Bulk).unwrap();
        let endpoint = quic::endpoint("127.0.0.1:0".parse().unwrap(), Some(config)).unwrap();
        let address = endpoint.local_addr().unwrap();
        let node = Node { name: name("root-0"), tier: Tier::Root, quic: address, http: None, incarnation: 1 };
        let state = State {
            view: ClusterView { epoch: 1, nodes: vec![node], ..Default::default() },
            ..State::default()
        };
        let root = Self { address, endpoint, shutdown: Shutdown::new(), state: Arc::new(Mutex::new(state)) };
        let policy = Policy {
            cluster: name("test"),
            tier: Tier::Root,
            conversations: &[Conversation::Publish, Conversation::Rpc],
            admission: Arc::new(|_| Ok(())),
        };
        let (endpoint, shutdown, this) = (root.endpoint.clone(), root.shutdown.clone(), root.clone());
        tokio::spawn(server::serve(endpoint, policy, shutdown, move |greeted| {
            this.clone().converse(greeted)
        }));
        root
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds to counters of a topic, as one merge.
    pub(crate) fn merge(&self, topic: &str, sums: &[(&str, &str, i64)]) {
        let topic = super::topic(topic);
        let mut state = self.state();
        let document = state.documents.entry(topic.clone()).or_default();
        let base = document.version;
        document.version.number += 1;
        let version = document.version;
        let mut totals = Vec::new();
        for (item, kind, delta) in sums {
            let (item, kind) = (Item::new(item).unwrap(), Kind::new(kind).unwrap());
            let total = document.totals.entry((item.clone(), kind.clone())).or_default();
            *total += delta;
            totals.push(CounterTotal { item, kind, total: *total });
        }
        let update = FromRoot::Update(Update { topic: topic.clone(), base, version, totals });
        for publication in state.publications.iter().filter(|p| p.interest.contains(&topic)) {
            let _ = publication.messages.send(update.clone());
        }
    }

    /// Makes a leaf away: it is not live, and may hold events.
    pub(crate) fn lose_leaf(&self, leaf: &str) {
        let leaf = NodeName::new(leaf).unwrap();
        let state = &mut *self.state();
        state.view.keys.owners.push(leaf.clone());
        state.view.epoch += 1;
        state.away.push(leaf);
    }

    pub(crate) fn mark(&self, watermark: WallMs) {
        let mut state = self.state();
        state.watermark = watermark;
        for publication in &state.publications {
            let _ = publication.messages.send(FromRoot::Watermark(Stamp { era: 0, at: watermark }));
        }
    }

    /// Number of live conversations that subscribe to the topic.
    pub(crate) fn interest(&self, topic: &str) -> usize {
        let topic = super::topic(topic);
        let live = |p: &&Publication| p.connection.close_reason().is_none() && p.interest.contains(&topic);
        self.state().publications.iter().filter(live).count()
    }

    pub(crate) fn lists(&self, node: &str) -> bool {
        self.state().view.node(&name(node)).is_some()
    }

    /// Breaks every Publish conversation.
    pub(crate) fn break_links(&self) {
        for publication in self.state().publications.drain(..) {
            publication.connection.close(1u32.into(), b"broken by the test");
        }
    }

    pub(crate) fn vanish(&self) {
        self.shutdown.begin();
        self.endpoint.close(0u32.into(), b"gone");
    }

    async fn converse(self, greeted: Greeted) -> Result<(), StreamError> {
        match greeted.conversation {
            Conversation::Publish => self.publish(greeted).await,
            _ => self.answer(greeted).await,
        }
    }

    async fn publish(self, greeted: Greeted) -> Result<(), StreamError> {
        let Greeted { mut sender, mut receiver, connection, .. } = greeted;
        let (messages, mut queue) = mpsc::unbounded_channel();
        let number = {
            let mut state = self.state();
            let _ = messages.send(FromRoot::Watermark(Stamp { era: 0, at: state.watermark }));
            let interest = BTreeSet::new();
            let stable_id = connection.stable_id();
            state.publications.push(Publication { interest, messages: messages.clone(), connection });
            stable_id
        };
        loop {
            tokio::select! {
                Some(message) = queue.recv() => sender.send(FrameKind::Message, &message).await?,
                message = receiver.message::<ToRoot>() => {
                    let Some(message) = message? else { return Ok(()) };
                    self.take(number, message);
                }
            }
        }
    }

    fn take(&self, number: usize, message: ToRoot) {
        let State { documents, publications, .. } = &mut *self.state();
        let Some(publication) = publications.iter_mut().find(|p| p.connection.stable_id() == number) else {
            return;
        };
        match message {
            ToRoot::Interest(topics) => {
                for topic in topics {
                    for part in documents.entry(topic.clone()).or_default().parts(&topic) {
                        let _ = publication.messages.send(FromRoot::Snapshot(part));
                    }
                    publication.interest.insert(topic);
                }
            }
            ToRoot::Disinterest(topics) => publication.interest.retain(|t| !topics.contains(t)),
        }
    }

    async fn answer(self, greeted: Greeted) -> Result<(), StreamError> {
        let Greeted { mut sender, mut receiver, .. } = greeted;
        let Some(Question { request, .. }) = receiver.message().await? else { return Ok(()) };
        for reply in self.replies(request) {
            sender.send(FrameKind::Message, &reply).await?;
        }
        sender.finish();
        Ok(())
    }

    fn replies(&self, request: Request) -> Vec<Reply> {
        let State { documents, view, away, .. } = &mut *self.state();
        match request {
            Request::Join { .. } => vec![Reply::Joined { incarnation: 7, store: None }],
            Request::Heartbeat { node, .. } => {
                if view.node(&node.name).is_none() {
                    view.nodes.push(node);
                    view.epoch += 1;
                }
                vec![Reply::View(view.clone())]
            }
            Request::Leave(name) => {
                view.nodes.retain(|n| n.name != name);
                view.epoch += 1;
                vec![Reply::View(view.clone())]
            }
            Request::Read(topic) => match documents.get(&topic) {
                Some(document) => document.parts(&topic).into_iter().map(Reply::Snapshot).collect(),
                None => Document::default().parts(&topic).into_iter().map(Reply::Snapshot).collect(),
            },
            Request::Members => vec![Reply::Members { view: view.clone(), away: away.clone() }],
            _ => vec![Reply::Failed("the test's root does not know this".into())],
        }
    }
}
