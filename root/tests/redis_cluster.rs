//! A real Redis Cluster of three primaries: it keeps every promise, also while a topic moves between them.

#![cfg(feature = "shell")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod history;
mod redis_server;

use countree_common::cluster::NodeName;
use countree_common::config::manifest::StoreUrl;
use countree_common::session::SessionId;
use countree_common::wire::rpc::SessionTable;
use countree_root::store::conformance::{check_all, compare_with_model};
use countree_root::store::copy::{CopyError, End, copy};
use countree_root::store::{AnyStore, Embedded, Redis, Store, StoreError};
use history::{Feeding, History};
use redis_server::RedisServer;
use std::path::Path;
use std::sync::Arc;

const MOVES: usize = 12;
/// The first topic of a history.
const KEY: &str = "countree:local:topic:topic 0";

struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    fn start() -> Option<Self> {
        let nodes: Vec<_> = (0..3).map(|_| RedisServer::start_cluster_node()).collect::<Option<Vec<_>>>()?;
        for (node, slots) in nodes.iter().zip([("0", "5460"), ("5461", "10922"), ("10923", "16383")]) {
            node.order(&["CLUSTER", "ADDSLOTSRANGE", slots.0, slots.1]);
        }
        for (epoch, node) in nodes.iter().enumerate() {
            node.order(&["CLUSTER", "SET-CONFIG-EPOCH", &(epoch + 1).to_string()]);
            node.order(&["CLUSTER", "MEET", "127.0.0.1", &nodes[0].port().to_string()]);
        }
        for node in &nodes {
            node.wait_for(&["CLUSTER", "INFO"], "cluster_known_nodes:3");
            node.wait_for(&["CLUSTER", "INFO"], "cluster_slots_ok:16384");
            node.wait_for(&["CLUSTER", "INFO"], "cluster_state:ok");
        }
        Some(Self { nodes })
    }

    async fn open(&self) -> Redis {
        let hosts: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        let url: StoreUrl = format!("redis-cluster://{}", hosts.join(",")).parse().unwrap();
        Redis::open(&url, &NodeName::new("local").unwrap()).await.unwrap()
    }

    fn id(&self, node: usize) -> String {
        self.nodes[node].command(&["CLUSTER", "MYID"]).trim().to_owned()
    }

    fn slot(&self, key: &str) -> u16 {
        self.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).trim().parse().unwrap()
    }

    fn owner(slot: u16) -> usize {
        [5460, 10922, 16383].iter().position(|last| slot <= *last).unwrap()
    }

    /// Moves a slot and the key in it, as redis-cli does.
    fn migrate(&self, key: &str, from: usize, to: usize) {
        let slot = self.slot(key).to_string();
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        target.order(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &self.id(from)]);
        source.order(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &self.id(to)]);
        source.order(&["MIGRATE", "127.0.0.1", &target.port().to_string(), key, "0", "5000"]);
        for node in [target, source] {
            node.order(&["CLUSTER", "SETSLOT", &slot, "NODE", &self.id(to)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_primaries_keep_every_promise() {
    let Some(cluster) = RedisCluster::start() else { return };
    let store = cluster.open().await;
    check_all(&store).await.unwrap_or_else(|broken| panic!("{broken}"));
    for seed in 1..=3 {
        compare_with_model(&store, &format!("random {seed}"), seed, 60).await.unwrap();
    }
}

/// A topic that moves from a server that is still to be scanned to one that was scanned already would be missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_ends_with_words_where_slots_have_moved() {
    let Some(cluster) = RedisCluster::start() else { return };
    let store = cluster.open().await;
    History::new(9).step(&store, true).await;
    let next = store.scan(None, 1).await.unwrap().next.unwrap();
    let owner = RedisCluster::owner(cluster.slot(KEY));
    cluster.migrate(KEY, owner, (owner + 1) % 3);
    assert_eq!(store.scan(Some(next), 1).await, Err(StoreError::ScanBroken));
    let (from, to) = (&cluster.nodes[0], cluster.id(1));
    from.order(&["CLUSTER", "SETSLOT", "0", "MIGRATING", &to]);
    assert_eq!(store.scan(None, 1).await, Err(StoreError::ScanBroken));
}

/// Copies a store into the cluster, to a single server, and back into a file; each copy holds what the one before held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_copied_from_any_form_to_any() {
    let (Some(cluster), Some(single)) = (RedisCluster::start(), RedisServer::start()) else { return };
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = NodeName::new("local").unwrap();
    let embedded = async |folder: &Path| AnyStore::Embedded(Embedded::open(folder, &name).await.unwrap());
    let end = |store, name: &str| End { store: Arc::new(store), name: name.into() };
    let forms = [
        end(embedded(one.path()).await, "one"),
        end(AnyStore::Redis(cluster.open().await), "cluster"),
        end(AnyStore::Redis(Redis::open(&single.url(), &name).await.unwrap()), "single"),
        end(embedded(two.path()).await, "two"),
    ];
    compare_with_model(&*forms[0].store, "random", 1, 80).await.unwrap();
    let sessions = (1..300).map(|n| (SessionId(n), 7)).collect();
    let leaf = NodeName::new("leaf-0").unwrap();
    let table = SessionTable { leaf: leaf.clone(), sessions, keep_ms: 600_000 };
    forms[0].store.put_sessions(table).await.unwrap();
    forms[0]
        .store
        .save_registry(0, 5, "{\"epoch\":3,\"members\":{},\"incarnations\":{},\"retired\":{}}".into())
        .await
        .unwrap();
    let topics = forms[0].store.scan(None, 100).await.unwrap().found;
    for ends in forms.windows(2) {
        let copied = copy(&name, &ends[0], &ends[1], |_, _| {}).await.unwrap();
        assert_eq!((copied.topics, copied.sessions), (topics.len() as u64, 299));
        for topic in &topics {
            let [from, to] = [&ends[0], &ends[1]].map(|end| end.store.document(topic));
            let (from, to) = (from.await.unwrap().unwrap(), to.await.unwrap().unwrap());
            assert_eq!(
                (&from.totals, &from.streams, from.version.number),
                (&to.totals, &to.streams, to.version.number)
            );
            let [from, to] = [&ends[0], &ends[1]].map(|end| end.store.read(topic));
            assert!(
                from.await.unwrap().unwrap().version < to.await.unwrap().unwrap().version,
                "a higher era"
            );
        }
        assert_eq!(ends[1].store.ended(&leaf, SessionId(4)).await.unwrap(), Some(7));
        assert_eq!(
            ends[1].store.load_registry().await.unwrap(),
            ends[0].store.load_registry().await.unwrap()
        );
        let again = copy(&name, &ends[0], &ends[1], |_, _| {}).await.unwrap_err();
        assert!(matches!(again, CopyError::NotEmpty { .. }), "{again}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_counted_exactly_while_it_moves() {
    let Some(cluster) = RedisCluster::start() else { return };
    let store = cluster.open().await;
    let mut history = History::new(9);
    history.step(&store, true).await;
    let feeding = Feeding::start(history, &store);
    let mut owner = RedisCluster::owner(cluster.slot(KEY));
    for _ in 0..MOVES {
        let next = (owner + 1) % 3;
        cluster.migrate(KEY, owner, next);
        owner = next;
    }
    let mut history = feeding.stop().await;
    history.finish(&store).await;
    assert_eq!((history.forgotten, history.unknown), (0, 0), "a move holds nothing up");
    println!("{MOVES} moves, {} merges", history.merged());
}
