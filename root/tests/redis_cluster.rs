//! A real Redis Cluster of three primaries: it keeps every promise, also while a topic moves between them.

#![cfg(feature = "shell")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod history;
mod redis_server;

use countree_common::cluster::NodeName;
use countree_common::config::manifest::StoreUrl;
use countree_root::store::conformance::{check_all, compare_with_model};
use countree_root::store::{Redis, Store, StoreError};
use history::{Feeding, History};
use redis_server::RedisServer;

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

/// A topic that moves from a server that is still to be scanned to one that was would be missed.
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
