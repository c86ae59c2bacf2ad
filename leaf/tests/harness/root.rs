//! A root that merges into memory, and can be silenced.

use super::{in_time, name};
use countree_common::cluster::{ClusterView, Node, NodeName, PastOwners, Tier};
use countree_common::cut::{Applied, Cut, Outcome};
use countree_common::document::Version;
use countree_common::key::{Counter, Topic};
use countree_common::ledger::StreamLedger;
use countree_common::session::{Seq, SessionId};
use countree_common::shell::identity::Authority;
use countree_common::shell::quic::{self, Profile, StreamError};
use countree_common::shell::server::{Greeted, Policy, serve};
use countree_common::shell::shutdown::Shutdown;
use countree_common::stream::{Lsn, StreamId};
use countree_common::time::WallMs;
use countree_common::wire::frame::FrameKind;
use countree_common::wire::hello::Conversation;
use countree_common::wire::rpc::{Question, Reply, Request};
use countree_common::wire::uplink::{CutOutcome, FromRoot, ToRoot};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

#[derive(Default)]
struct State {
    view: ClusterView,
    incarnation: u64,
    positions: BTreeMap<(StreamId, Topic), (Lsn, u64)>,
    versions: BTreeMap<Topic, u64>,
    totals: BTreeMap<Counter, i64>,
    published: BTreeMap<(NodeName, SessionId), Seq>,
    retired: Vec<StreamLedger>,
    settled: Vec<NodeName>,
    cuts: usize,
}

#[derive(Clone)]
pub struct FakeRoot {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    is_merging: Arc<watch::Sender<bool>>,
}

impl FakeRoot {
    pub fn start(authority: &Authority) -> Self {
        let identity = authority.identity(&name("root-0"), Tier::Root).unwrap();
        let config = quic::server_config(identity.server_tls().unwrap(), Profile::Bulk).unwrap();
        let endpoint = quic::endpoint("127.0.0.1:0".parse().unwrap(), Some(config)).unwrap();
        let address = endpoint.local_addr().unwrap();
        let node = Node { name: name("root-0"), tier: Tier::Root, quic: address, http: None, incarnation: 1 };
        let view = ClusterView { epoch: 1, nodes: vec![node], ..Default::default() };
        let state = Arc::new(Mutex::new(State { view, ..State::default() }));
        let root = Self { address, state, is_merging: Arc::new(watch::Sender::new(true)) };
        let policy = Policy {
            cluster: name("test"),
            tier: Tier::Root,
            conversations: &[Conversation::Uplink, Conversation::Rpc],
            admission: Arc::new(|_| Ok(())),
        };
        let handler = root.clone();
        let handle = move |greeted: Greeted| {
            let root = handler.clone();
            async move { root.converse(greeted).await }
        };
        tokio::spawn(serve(endpoint, policy, Shutdown::new(), handle));
        root
    }

    /// While it does not merge, it takes cuts and does not answer.
    pub fn set_merging(&self, is_merging: bool) {
        self.is_merging.send_replace(is_merging);
    }

    pub fn total(&self, topic: &str, item: &str) -> i64 {
        let counter = Counter::new(topic, item, "like").unwrap();
        self.state.lock().unwrap().totals.get(&counter).copied().unwrap_or_default()
    }

    /// Says that these leaves own keys now, and that those did until then; returns the epoch.
    pub fn own_keys(&self, owners: &[&str], past: &[&str], until: WallMs) -> u64 {
        let mut state = self.state.lock().unwrap();
        let names = |leaves: &[&str]| leaves.iter().map(|leaf| name(leaf)).collect();
        state.view.keys.owners = names(owners);
        state.view.keys.past = vec![PastOwners { until, owners: names(past) }];
        state.view.epoch += 1;
        state.view.epoch
    }

    /// Says that a leaf's lease has run out; returns the epoch.
    pub fn away(&self, leaf: &str) -> u64 {
        let mut state = self.state.lock().unwrap();
        state.view.nodes.retain(|node| node.name != name(leaf));
        state.view.epoch += 1;
        state.view.epoch
    }

    /// The streams whose ledgers it has taken over, and the leaves that have settled.
    pub fn farewells(&self) -> (Vec<StreamLedger>, Vec<NodeName>) {
        let state = self.state.lock().unwrap();
        (state.retired.clone(), state.settled.clone())
    }

    /// The number of counters that have a total.
    pub fn counters(&self) -> usize {
        self.state.lock().unwrap().totals.len()
    }

    pub fn cuts(&self) -> usize {
        self.state.lock().unwrap().cuts
    }

    async fn converse(&self, greeted: Greeted) -> Result<(), StreamError> {
        let Greeted { conversation, mut sender, mut receiver, .. } = greeted;
        if conversation == Conversation::Rpc {
            let Some(Question { request, .. }) = receiver.message().await? else { return Ok(()) };
            sender.send(FrameKind::Message, &self.answer(request)).await?;
            sender.finish();
            return Ok(());
        }
        let (arrived, mut waiting) = mpsc::unbounded_channel();
        let take = async move {
            while let Some(message) = receiver.message().await? {
                let ToRoot::Cuts(cuts) = message else { continue };
                self.state.lock().unwrap().cuts += cuts.len();
                let _ = arrived.send(cuts);
            }
            Ok(())
        };
        let answer = async {
            while let Some(cuts) = waiting.recv().await {
                let _ = self.is_merging.subscribe().wait_for(|is_merging| *is_merging).await;
                let outcomes = cuts.iter().map(|cut| self.merge(cut)).collect();
                sender.send(FrameKind::Message, &FromRoot::Outcomes(outcomes)).await?;
            }
            Ok(())
        };
        tokio::try_join!(take, answer).map(|_| ())
    }

    fn answer(&self, request: Request) -> Reply {
        let mut state = self.state.lock().unwrap();
        match request {
            Request::JoinOnLog { log, .. } => {
                let last = log.iter().map(|end| end.incarnation).max().unwrap_or_default();
                state.incarnation = 1 + state.incarnation.max(last);
                Reply::JoinedOnLog { incarnation: state.incarnation, missing: Vec::new(), store: None }
            }
            Request::LeafHeartbeat { node, .. } => {
                if state.view.node(&node.name) != Some(&node) {
                    state.view.nodes.retain(|n| n.name != node.name);
                    if node.tier == Tier::Leaf && !state.view.keys.owners.contains(&node.name) {
                        state.view.keys.owners.push(node.name.clone());
                    }
                    state.view.nodes.push(node);
                    state.view.epoch += 1;
                }
                Reply::View(state.view.clone())
            }
            Request::Leave(left) => {
                state.view.nodes.retain(|n| n.name != left);
                state.view.epoch += 1;
                Reply::View(state.view.clone())
            }
            Request::Members => Reply::Members { view: state.view.clone(), away: Vec::new() },
            Request::Publish(table) => {
                let leaf = table.leaf;
                let sessions = table.sessions.into_iter().map(|(id, last)| ((leaf.clone(), id), last));
                state.published.extend(sessions);
                Reply::Published { durable: true }
            }
            Request::SessionEnd { leaf, session } => {
                Reply::SessionEnd(state.published.get(&(leaf, session)).copied())
            }
            Request::Retire(ledgers) => {
                state.retired.extend(ledgers);
                Reply::Done
            }
            Request::Ledgers => Reply::Ledgers(state.retired.clone()),
            Request::Drained { stream: StreamId { leaf, .. }, handover } => {
                state.view.nodes.retain(|n| n.name != leaf);
                state.view.epoch += 1;
                state.settled.push(leaf);
                Reply::Drained { keeps_keys: handover.successors.is_empty() && !handover.is_empty }
            }
            other => Reply::Failed(format!("{other:?}")),
        }
    }

    fn merge(&self, cut: &Cut) -> CutOutcome {
        let mut state = self.state.lock().unwrap();
        let Cut { stream, topic, from, to, .. } = cut.clone();
        let number = state.versions.get(&topic).copied().unwrap_or_default();
        let at = |number| Version { era: 0, number };
        let key = (stream.clone(), topic.clone());
        let (lsn, events) = state.positions.get(&key).copied().unwrap_or_default();
        if lsn != from || from == to {
            let outcome = Some(Outcome::Have { lsn, events, version: at(number) });
            return CutOutcome { stream, topic, from, to, outcome };
        }
        let mut totals = Vec::new();
        for sum in &cut.sums {
            let counter = Counter { topic: topic.clone(), item: sum.item.clone(), kind: sum.kind.clone() };
            let total = state.totals.entry(counter).or_default();
            *total += sum.delta;
            totals.push(*total);
        }
        let events = events + cut.events;
        state.positions.insert(key, (to, events));
        state.versions.insert(topic.clone(), number + 1);
        let (version, base) = (at(number + 1), at(number));
        let outcome = Some(Outcome::Applied(Applied { version, base, totals, events, durable: true }));
        CutOutcome { stream, topic, from, to, outcome }
    }
}

/// Waits until the root has a total.
pub async fn total_becomes(root: &FakeRoot, item: &str, total: i64) {
    let root = root.clone();
    let reached = super::eventually("the total", || root.total("t", item) >= total);
    in_time(reached).await;
    assert_eq!(root.total("t", item), total);
}
