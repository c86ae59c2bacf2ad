//! Real Redis servers whose process is replaced by one that forgot: readers see no version twice, though
//! nobody is left who remembers what was forgotten.

#![cfg(feature = "shell")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod harness;
mod redis_server;

use countree_common::cut::{Applied, Outcome};
use countree_common::document::{Snapshot, Version};
use countree_root::store::{Redis, Store};
use harness::{cut, name, topic};
use redis_server::RedisServer;
use std::fs::OpenOptions;
use std::sync::Arc;

const FSYNC_FIRST: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

async fn open(server: &RedisServer) -> Redis {
    Redis::open(&server.url(), &name("local")).await.unwrap()
}

/// A viewer's state, merge by merge: it takes only what is newer.
#[derive(Default)]
struct Viewer(Vec<Version>);

impl Viewer {
    fn sees(&mut self, version: Version) {
        assert!(self.0.last().is_none_or(|last| *last < version), "{version} after {:?}", self.0);
        self.0.push(version);
    }

    async fn reads(&mut self, store: &Redis) {
        let Snapshot { version, .. } = store.read(&topic("t")).await.unwrap().unwrap();
        self.sees(version);
    }

    /// Merges one event of the topic, as a leaf that knows nothing of the past does.
    async fn merges(&mut self, store: &Redis, to: u64) {
        match store.merge(Arc::from([cut("t", (to - 1, to), &[("a", 1)])])).await.remove(0).unwrap() {
            Outcome::Applied(Applied { version, .. }) => self.sees(version),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_version_comes_twice_however_often_the_store_falls_back() {
    let Some(mut server) = RedisServer::start_with(&FSYNC_FIRST) else { return };
    let mut viewer = Viewer::default();
    let store = open(&server).await;
    viewer.merges(&store, 1).await;
    let kept = server.aof().metadata().unwrap().len();
    viewer.merges(&store, 2).await;
    drop(store);
    // Each process forgets what the one before it has merged, its era too.
    for _ in 0..3 {
        server.kill();
        OpenOptions::new().write(true).open(server.aof()).unwrap().set_len(kept).unwrap();
        server.revive();
        let store = open(&server).await;
        viewer.reads(&store).await;
        viewer.merges(&store, 2).await;
        viewer.merges(&store, 3).await;
    }
    server.kill();
    OpenOptions::new().write(true).open(server.aof()).unwrap().set_len(0).unwrap();
    server.revive();
    let store = open(&server).await;
    assert_eq!(store.read(&topic("t")).await.unwrap(), None);
    viewer.merges(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_root_serves_in_the_same_era_until_the_process_is_another() {
    let Some(mut server) = RedisServer::start_with(&FSYNC_FIRST) else { return };
    let (one, two) = (open(&server).await, open(&server).await);
    let era = one.served_in().await.unwrap();
    assert_eq!(two.served_in().await.unwrap(), era);
    server.order(&["SCRIPT", "FLUSH"]);
    Viewer::default().merges(&one, 1).await;
    assert_eq!(open(&server).await.served_in().await.unwrap(), era, "the process is the same");

    server.kill();
    server.revive();
    // The first to notice may be a reader, a merge or a question for the era.
    let raised = two.served_in().await;
    let raised = if raised.is_err() { two.served_in().await } else { raised }.unwrap();
    assert!(raised > era);
    let read = one.read(&topic("t")).await;
    let read = if read.is_err() { one.read(&topic("t")).await } else { read }.unwrap().unwrap();
    assert_eq!(read.version, Version { era: raised, number: 1 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_redis_and_another_one_begin_eras_after_all_that_were_seen() {
    let Some(server) = RedisServer::start() else { return };
    let store = open(&server).await;
    let era = store.served_in().await.unwrap();
    let mut viewer = Viewer::default();
    viewer.merges(&store, 1).await;
    viewer.merges(&store, 2).await;
    server.order(&["FLUSHALL"]);
    let after = store.served_in().await.unwrap();
    assert!(after > era);
    viewer.merges(&store, 1).await;
    let other = RedisServer::start().unwrap();
    let store = open(&other).await;
    assert!(store.served_in().await.unwrap() > after);
    viewer.merges(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_comes_back_without_a_restart_is_another() {
    let Some(one) = RedisServer::start() else { return };
    let two = RedisServer::start().unwrap();
    let mut viewer = Viewer::default();
    viewer.merges(&open(&one).await, 1).await;
    two.order(&["REPLICAOF", "127.0.0.1", &one.port().to_string()]);
    two.wait_for(&["INFO", "replication"], "master_link_status:up");
    two.wait_for(&["HGET", "countree:local:topic:t", "version"], "1");
    // What is merged from here on, the replica does not get.
    two.order(&["REPLICAOF", "NO", "ONE"]);
    viewer.merges(&open(&one).await, 2).await;
    viewer.merges(&open(&two).await, 2).await;
    viewer.merges(&open(&two).await, 3).await;
    one.order(&["REPLICAOF", "127.0.0.1", &two.port().to_string()]);
    one.wait_for(&["INFO", "replication"], "master_link_status:up");
    one.wait_for(&["HGET", "countree:local:topic:t", "version"], "3");
    one.order(&["REPLICAOF", "NO", "ONE"]);
    let store = open(&one).await;
    viewer.reads(&store).await;
    viewer.merges(&store, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_replica_of_a_redis_cluster_begins_an_era() {
    let Some(mut primary) = RedisServer::start_cluster() else { return };
    let replica = RedisServer::start_cluster_node().unwrap();
    replica.order(&["CLUSTER", "MEET", "127.0.0.1", &primary.port().to_string()]);
    let id = primary.command(&["CLUSTER", "MYID"]);
    replica.wait_for(&["CLUSTER", "NODES"], id.trim());
    replica.order(&["CLUSTER", "REPLICATE", id.trim()]);
    replica.wait_for(&["INFO", "replication"], "master_link_status:up");
    replica.wait_for(&["CLUSTER", "INFO"], "cluster_slots_ok:16384");
    let store = Redis::open(&primary.cluster_url(), &name("local")).await.unwrap();
    let era = store.served_in().await.unwrap();
    let mut viewer = Viewer::default();
    viewer.merges(&store, 1).await;
    // The topic, the recent topics, the eras.
    replica.wait_for(&["DBSIZE"], "3");
    primary.kill();
    replica.order(&["CLUSTER", "FAILOVER", "TAKEOVER"]);
    replica.wait_for(&["ROLE"], "master");
    replica.wait_for(&["CLUSTER", "INFO"], "cluster_state:ok");
    let store = Redis::open(&replica.cluster_url(), &name("local")).await.unwrap();
    viewer.reads(&store).await;
    assert!(store.served_in().await.unwrap() > era);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_of_an_idle_topic_learn_what_the_store_has_left() {
    let Some(mut server) = RedisServer::start_with(&FSYNC_FIRST) else { return };
    let cluster = harness::Cluster::with_store(&server.url()).await;
    let mut leaf = cluster.leaf("leaf-0").await;
    leaf.send_cuts(vec![cut("t", (0, 1), &[("a", 1)])]).await;
    leaf.outcomes(1).await;
    let kept = server.aof().metadata().unwrap().len();
    leaf.send_cuts(vec![cut("t", (1, 2), &[("a", 10)])]).await;
    leaf.outcomes(1).await;
    let mut broadcast = cluster.broadcast("broadcast-0").await;
    broadcast.want(&["t", "never counted"]).await;
    let shown = [broadcast.snapshot().await, broadcast.snapshot().await];
    let shown = shown.into_iter().find(|snapshot| snapshot.topic == topic("t")).unwrap();
    server.kill();
    OpenOptions::new().write(true).open(server.aof()).unwrap().set_len(kept).unwrap();
    server.revive();
    let again = loop {
        let snapshot = broadcast.snapshot().await;
        if snapshot.topic == topic("t") {
            break snapshot;
        }
    };
    assert!(again.version > shown.version && again.version.number == 1, "{}", again.version);
    assert_eq!(again.totals, [harness::total("a", 1)]);
    cluster.stop().await;
}
