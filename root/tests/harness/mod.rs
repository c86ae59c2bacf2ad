//! A root, and peers that speak to it as leaves and broadcast nodes do.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::disallowed_methods, reason = "polls against the clock")]

use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::config::manifest::StoreUrl;
use countree_common::cut::{CounterSum, Cut};
use countree_common::document::{CounterTotal, Snapshot, Update, Version};
use countree_common::key::{Item, Kind, Topic};
use countree_common::ledger::{Ledger, StreamLedger};
use countree_common::shell::identity::{Authority, anonymous_tls, fingerprints};
use countree_common::shell::node::NodeOptions;
use countree_common::shell::peers::Peers;
use countree_common::shell::quic::{self, FrameReceiver, FrameSender, Profile};
use countree_common::shell::shutdown::Shutdown;
use countree_common::stamp::Stamp;
use countree_common::stream::{Lsn, StreamId};
use countree_common::time::WallMs;
use countree_common::wire::frame::FrameKind;
use countree_common::wire::hello::Conversation;
use countree_common::wire::publish::{self, FromRoot, SnapshotAssembly};
use countree_common::wire::rpc::{NodeStats, Reply, Request};
use countree_common::wire::uplink::{self, CutOutcome};
use countree_root::shell::{RootNode, RootOptions};
use countree_root::store::{self, Binding, BoundStore, Store};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(15);
/// The incarnation of every node that enters.
pub const INCARNATION: u64 = 8;

pub fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

pub fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

pub fn total(item: &str, total: i64) -> CounterTotal {
    CounterTotal { item: Item::new(item).unwrap(), kind: Kind::new("like").unwrap(), total }
}

/// A cut of `leaf-0/1` that counts one event.
pub fn cut(to: &str, range: (Lsn, Lsn), sums: &[(&str, i64)]) -> Cut {
    let kind = Kind::new("like").unwrap();
    let sum = |(item, delta): &(&str, i64)| CounterSum {
        item: Item::new(item).unwrap(),
        kind: kind.clone(),
        delta: *delta,
    };
    Cut {
        stream: StreamId { leaf: name("leaf-0"), incarnation: 1 },
        topic: topic(to),
        from: range.0,
        to: range.1,
        sums: sums.iter().map(sum).collect(),
        events: 1,
        era: 0,
    }
}

pub fn ledger(stream: &str, events: u64) -> StreamLedger {
    let ledger = Ledger { accepted: events, merged: events, ..Ledger::default() };
    StreamLedger { stream: stream.parse().unwrap(), sealed: true, ledger }
}

pub async fn eventually(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "did not come true in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("nothing came in time"))
}

pub struct Cluster {
    pub root: RootNode,
    pub store: BoundStore,
    authority: Authority,
    url: StoreUrl,
    dir: TempDir,
}

impl Cluster {
    pub async fn start() -> Self {
        Self::with_store(&StoreUrl::Embedded).await
    }

    /// The version of a topic after `number` merges in this store.
    pub async fn version(&self, number: u64) -> Version {
        Version { era: self.store.store.served_in().await.unwrap(), number }
    }

    pub async fn with_store(url: &StoreUrl) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(dir.path()).unwrap();
        Self::open(authority, url.clone(), dir).await
    }

    async fn open(authority: Authority, url: StoreUrl, dir: TempDir) -> Self {
        let opened = store::open(&url, dir.path(), &name("test")).await.unwrap();
        let authorities = fingerprints(authority.certificate_pem()).unwrap();
        let binding = Binding { folder: dir.path().to_owned(), authorities, adopts: false };
        let store = store::bind(opened, &binding).await.unwrap();
        let root = start_root("root-0", &authority, &store).await;
        Self { root, store, authority, url, dir }
    }

    pub async fn another_root(&self, called: &str) -> RootNode {
        start_root(called, &self.authority, &self.store).await
    }

    pub async fn stop(self) {
        in_time(self.root.stop()).await;
    }

    pub async fn restart(self) -> Self {
        in_time(self.root.stop()).await;
        drop(self.store);
        Self::open(self.authority, self.url, self.dir).await
    }

    pub fn peer(&self, called: &str) -> Peer {
        let identity = self.authority.identity(&name(called), Tier::Leaf).unwrap();
        let config = quic::client_config(identity.client_tls().unwrap(), Profile::Bulk).unwrap();
        Peer::new(config, Some(name(called)))
    }

    pub async fn ask(&self, called: &str, request: &Request) -> Reply {
        self.peer(called).ask_all(self, request).await.remove(0)
    }

    pub async fn leaf(&self, called: &str) -> Leaf {
        let peer = self.peer(called);
        let (sender, receiver, _) = peer.open(self, Conversation::Uplink).await;
        Leaf { sender, receiver, _peer: peer }
    }

    pub async fn broadcast(&self, called: &str) -> Broadcast {
        let peer = self.peer(called);
        let (sender, receiver, _) = peer.open(self, Conversation::Publish).await;
        Broadcast { sender, receiver, assembly: SnapshotAssembly::default(), pieces: 0, _peer: peer }
    }
}

async fn start_root(called: &str, authority: &Authority, store: &BoundStore) -> RootNode {
    let options = RootOptions {
        node: NodeOptions {
            cluster: name("test"),
            name: name(called),
            quic: "127.0.0.1:0".parse().unwrap(),
            advertise: None,
            http: None,
            identity: Arc::new(authority.identity(&name(called), Tier::Root).unwrap()),
            roots: Vec::new(),
            leave: Shutdown::new(),
        },
        store: store.clone(),
    };
    in_time(RootNode::start(options, &Shutdown::new())).await.unwrap()
}

/// Somebody on the network.
pub struct Peer {
    peers: Peers,
    endpoint: quinn::Endpoint,
    config: quinn::ClientConfig,
    called: Option<NodeName>,
}

impl Peer {
    fn new(config: quinn::ClientConfig, called: Option<NodeName>) -> Self {
        let endpoint = quic::endpoint("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let peers = Peers::new(endpoint.clone(), config.clone(), name("test"), called.clone(), None);
        Self { peers, endpoint, config, called }
    }

    /// A peer without a certificate, but with a name.
    pub fn anonymous(cluster: &Cluster) -> Self {
        let tls = anonymous_tls(cluster.authority.certificate_pem()).unwrap();
        Self::new(quic::client_config(tls, Profile::Bulk).unwrap(), Some(name("leaf-0")))
    }

    /// A peer with the same certificate, under another name.
    pub fn calling_itself(&self, _cluster: &Cluster, called: &str) -> Self {
        Self::new(self.config.clone(), Some(name(called)))
    }

    pub async fn open(
        &self,
        cluster: &Cluster,
        conversation: Conversation,
    ) -> (FrameSender, FrameReceiver, quinn::Connection) {
        let root = cluster.root.node();
        in_time(self.peers.open(root.name.as_str(), root.quic, conversation)).await.unwrap()
    }

    pub async fn ask_all(&self, cluster: &Cluster, request: &Request) -> Vec<Reply> {
        self.ask_root(cluster.root.node(), request).await
    }

    pub async fn ask_root(&self, root: &Node, request: &Request) -> Vec<Reply> {
        let mut receiver = in_time(self.peers.ask(root.name.as_str(), root.quic, request)).await.unwrap();
        let mut replies = Vec::new();
        while let Some(reply) = in_time(receiver.message()).await.unwrap() {
            replies.push(reply);
        }
        replies
    }

    /// Sends a heartbeat.
    pub async fn enter(&self, cluster: &Cluster, tier: Tier) -> ClusterView {
        let quic: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let node =
            Node { name: self.called.clone().unwrap(), tier, quic, http: None, incarnation: INCARNATION };
        let stats = NodeStats { events_per_s: 5.0, ..NodeStats::default() };
        match self.ask_all(cluster, &Request::Heartbeat { node, stats, epoch: 0 }).await.remove(0) {
            Reply::View(view) => view,
            other => panic!("{other:?}"),
        }
    }
}

pub struct Leaf {
    sender: FrameSender,
    pub receiver: FrameReceiver,
    _peer: Peer,
}

impl Leaf {
    pub async fn send(&mut self, message: uplink::ToRoot) {
        self.sender.send(FrameKind::Message, &message).await.unwrap();
    }

    pub async fn send_cuts(&mut self, cuts: Vec<Cut>) {
        self.send(uplink::ToRoot::Cuts(cuts)).await;
    }

    /// The root's next stamp.
    pub async fn stamp(&mut self) -> Stamp {
        loop {
            let message = in_time(self.receiver.message()).await.unwrap();
            match message {
                Some(uplink::FromRoot::Stamp(stamp)) => return stamp,
                Some(_) => {}
                None => panic!("the root hung up"),
            }
        }
    }

    pub async fn outcomes(&mut self, count: usize) -> Vec<CutOutcome> {
        let mut outcomes = Vec::new();
        while outcomes.len() < count {
            let message = in_time(self.receiver.message()).await.unwrap();
            match message {
                Some(uplink::FromRoot::Outcomes(more)) => outcomes.extend(more),
                Some(_) => {}
                None => panic!("the root hung up"),
            }
        }
        assert_eq!(outcomes.len(), count);
        outcomes
    }
}

pub struct Broadcast {
    sender: FrameSender,
    receiver: FrameReceiver,
    assembly: SnapshotAssembly,
    pub pieces: usize,
    _peer: Peer,
}

impl Broadcast {
    pub async fn send(&mut self, message: publish::ToRoot) {
        self.sender.send(FrameKind::Message, &message).await.unwrap();
    }

    pub async fn want(&mut self, topics: &[&str]) {
        self.send(publish::ToRoot::Interest(topics.iter().map(|t| topic(t)).collect())).await;
    }

    pub async fn next(&mut self) -> FromRoot {
        in_time(self.receiver.message()).await.unwrap().unwrap_or_else(|| panic!("the root hung up"))
    }

    pub async fn snapshot(&mut self) -> Snapshot {
        loop {
            match self.next().await {
                FromRoot::Snapshot(part) => {
                    self.pieces += 1;
                    if let Some(snapshot) = self.assembly.push(part) {
                        return snapshot;
                    }
                }
                FromRoot::Watermark(_) => {}
                FromRoot::Update(update) => panic!("{update:?} instead of a snapshot"),
            }
        }
    }

    pub async fn update(&mut self) -> Update {
        loop {
            match self.next().await {
                FromRoot::Update(update) => return update,
                FromRoot::Watermark(_) => {}
                FromRoot::Snapshot(part) => panic!("{part:?} instead of an update"),
            }
        }
    }

    /// Reads watermarks up to this one, which is the highest; the registry may hold it back for a moment.
    pub async fn watermark_comes_to(&mut self, highest: Stamp) {
        loop {
            let told = self.watermark().await;
            assert!(told.era == highest.era && told.at <= highest.at, "{told:?} beyond {highest:?}");
            if told == highest {
                return;
            }
        }
    }

    /// The next watermark that says something.
    pub async fn watermark(&mut self) -> Stamp {
        loop {
            if let FromRoot::Watermark(stamp) = self.next().await
                && stamp.at > WallMs(0)
            {
                return stamp;
            }
        }
    }
}
