//! Real Redis servers that do not do what they are asked: the cut is answered as not known, the operator is
//! told what to do, and the same cut, repeated, is merged exactly once.

#![cfg(feature = "shell")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "polls against the clock")]

mod harness;
mod history;
mod redis_server;

use countree_common::cut::{Applied, Cut, Outcome};
use countree_common::shell::shutdown::Shutdown;
use countree_root::store::{self, Redis, Store, StoreError};
use harness::{cut, name, topic, total};
use history::{Feeding, History};
use redis_server::RedisServer;
use std::sync::Arc;
use std::time::{Duration, Instant};

const KEY: &str = "countree:local:topic:t";

async fn merge(store: &Redis, cut: &Cut) -> Result<Outcome, StoreError> {
    store.merge(Arc::from([cut.clone()])).await.remove(0)
}

/// Repeats a cut until it is answered.
async fn repeat(store: &Redis, cut: &Cut) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        match merge(store, cut).await {
            Ok(outcome) => return outcome,
            Err(e) => assert!(Instant::now() < deadline, "still {e}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn second() -> Cut {
    cut("t", (1, 2), &[("a", 10), ("b", 100)])
}

/// A store with one cut in it.
async fn open(server: &RedisServer) -> Redis {
    let store = Redis::open(&server.url(), &name("local")).await.unwrap();
    let first = merge(&store, &cut("t", (0, 1), &[("a", 1)])).await.unwrap();
    assert!(matches!(first, Outcome::Applied(_)));
    store
}

/// The server refuses the second cut, with `code`, and tells what to do.
async fn is_refused(store: &Redis, code: &str, todo: &str) {
    let error = merge(store, &second()).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(code) && text.contains(todo), "{text}");
}

/// The second cut is merged once, however often it is sent.
async fn is_merged_once(store: &Redis) {
    repeat(store, &second()).await;
    let again = repeat(store, &second()).await;
    let Outcome::Have { lsn: 2, events: 2, version } = again else { panic!("{again:?}") };
    let found = store.read(&topic("t")).await.unwrap().unwrap();
    assert_eq!((version.number, found.version), (2, version));
    assert_eq!(found.totals, vec![total("a", 11), total("b", 100)]);
}

#[tokio::test]
async fn a_replica_is_read_only() {
    let Some(server) = RedisServer::start() else { return };
    let store = open(&server).await;
    server.order(&["REPLICAOF", "127.0.0.1", "1"]);
    is_refused(&store, "READONLY", "point cluster.store at the primary").await;
    server.order(&["REPLICAOF", "NO", "ONE"]);
    is_merged_once(&store).await;
}

#[tokio::test]
async fn a_server_that_can_not_save_refuses_writes() {
    let Some(server) = RedisServer::start() else { return };
    let store = open(&server).await;
    // The dump is to be renamed onto a folder.
    let obstacle = server.dir().join("dump.rdb");
    std::fs::create_dir(&obstacle).unwrap();
    server.order(&["CONFIG", "SET", "save", "3600 1"]);
    server.command(&["BGSAVE"]);
    server.wait_for(&["INFO", "persistence"], "rdb_last_bgsave_status:err");
    is_refused(&store, "MISCONF", "make room").await;
    std::fs::remove_dir(&obstacle).unwrap();
    server.command(&["BGSAVE"]);
    server.wait_for(&["INFO", "persistence"], "rdb_last_bgsave_status:ok");
    is_merged_once(&store).await;
}

#[tokio::test]
async fn a_full_memory_refuses_the_whole_cut() {
    let Some(server) = RedisServer::start() else { return };
    let store = open(&server).await;
    server.order(&["CONFIG", "SET", "maxmemory", "1"]);
    is_refused(&store, "OOM", "raise maxmemory").await;
    server.order(&["CONFIG", "SET", "maxmemory", "0"]);
    is_merged_once(&store).await;
}

#[tokio::test]
async fn too_few_replicas_refuse_writes() {
    let Some(server) = RedisServer::start() else { return };
    let store = open(&server).await;
    server.order(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    is_refused(&store, "NOREPLICAS", "min-replicas-to-write").await;
    server.order(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    is_merged_once(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_loading_is_waited_for() {
    let slowly = ["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"];
    let options = [&["--enable-debug-command", "yes", "--appendonly", "yes"], &slowly[..]].concat();
    let Some(mut server) = RedisServer::start_with(&options) else { return };
    let store = open(&server).await;
    server.order(&["DEBUG", "POPULATE", "2000", "other", "100"]);
    server.command(&["BGREWRITEAOF"]);
    server.wait_for(&["INFO", "persistence"], "aof_rewrite_in_progress:0");
    server.kill();
    server.start_again();
    server.wait_for(&["PING"], "LOADING");
    // The first call finds the old connection broken.
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match merge(&store, &second()).await {
            Err(StoreError::Refused { reason, advice }) => {
                assert!(reason.contains("LOADING") && advice.contains("wait"), "{reason} {advice}");
                break;
            }
            other => assert!(other.is_err() && Instant::now() < deadline, "{other:?}"),
        }
    }
    let opened = Redis::open(&server.url(), &name("local")).await.unwrap_err();
    assert!(opened.to_string().contains("reading its data"), "{opened}");
    let (url, nowhere, cluster) = (server.url(), server.dir().to_owned(), name("local"));
    let waits = |patience, stop| {
        let (url, nowhere, cluster) = (url.clone(), nowhere.clone(), cluster.clone());
        async move { store::open_within(&url, &nowhere, &cluster, Duration::from_secs(patience), &stop).await }
    };
    let stopped = Shutdown::new();
    let (given_up, waiting) =
        (tokio::spawn(waits(60, stopped.clone())), tokio::spawn(waits(60, Shutdown::new())));
    stopped.begin();
    assert!(given_up.await.unwrap().unwrap_err().to_string().contains("reading its data"));
    assert!(waits(0, Shutdown::new()).await.is_err());
    server.order(&["CONFIG", "SET", "key-load-delay", "0"]);
    server.wait_for(&["PING"], "PONG");
    waiting.await.unwrap().unwrap();
    is_merged_once(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_is_lost_between_merges_is_loaded_again() {
    let Some(server) = RedisServer::start() else { return };
    let store = open(&server).await;
    let feeding = Feeding::start(History::new(7), &store);
    for _ in 0..20 {
        server.order(&["SCRIPT", "FLUSH"]);
    }
    let mut history = feeding.stop().await;
    history.finish(&store).await;
    is_merged_once(&store).await;
}

#[tokio::test]
async fn a_key_of_another_type_is_named() {
    let Some(server) = RedisServer::start() else { return };
    let store = open(&server).await;
    server.order(&["RENAME", KEY, "kept"]);
    server.order(&["SET", KEY, "not ours"]);
    let error = merge(&store, &second()).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
    let read = store.read(&topic("t")).await;
    assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}");
    server.order(&["RENAME", "kept", KEY]);
    is_merged_once(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_killed_under_way_lose_nothing() {
    let Some(server) = RedisServer::start() else { return };
    let store = open(&server).await;
    let feeding = Feeding::start(History::new(8), &store);
    for _ in 0..60 {
        server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }
    let mut history = feeding.stop().await;
    history.finish(&store).await;
    assert!(history.unknown > 0, "no kill ever hit a merge");
    println!("60 connections killed, {} cuts without an answer", history.unknown);
    is_merged_once(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_merges_later_and_says_so() {
    let Some(server) = RedisServer::start() else { return };
    let store = open(&server).await;
    server.signal("STOP");
    let error = merge(&store, &second()).await.unwrap_err();
    assert_eq!(error, StoreError::Silent);
    server.signal("CONT");
    // The first try runs now, without anybody who waits for it.
    server.wait_for(&["HGET", KEY, "version"], "2");
    let have = repeat(&store, &second()).await;
    assert!(matches!(have, Outcome::Have { lsn: 2, events: 2, .. }), "{have:?}");
    is_merged_once(&store).await;
}

#[tokio::test]
async fn a_password_is_asked_for_in_words() {
    let Some(server) = RedisServer::start() else { return };
    server.order(&["CONFIG", "SET", "requirepass", "open sesame"]);
    let url = |password: &str| format!("redis://{password}127.0.0.1:{}", server.port()).parse().unwrap();
    let missing = Redis::open(&url(""), &name("local")).await.unwrap_err().to_string();
    assert!(missing.contains("wants a password") && missing.contains("127.0.0.1"), "{missing}");
    let wrong = Redis::open(&url(":closed@"), &name("local")).await.unwrap_err().to_string();
    assert!(wrong.contains("does not take the user and password"), "{wrong}");
    assert!(!wrong.contains("closed"), "{wrong}");
    Redis::open(&url(":open%20sesame@"), &name("local")).await.unwrap();
}

#[tokio::test]
async fn a_user_with_too_few_rights_is_told_which() {
    let Some(server) = RedisServer::start() else { return };
    let rights = ["~countree:*", "+@read", "+@write", "+@scripting", "+@connection", "+info"];
    let user = ["ACL", "SETUSER", "counter", "on", ">pass"];
    server.order(&[&user[..], &rights[..]].concat());
    let url = format!("redis://counter:pass@127.0.0.1:{}", server.port()).parse().unwrap();
    let store = Redis::open(&url, &name("local")).await.unwrap();
    let Outcome::Applied(Applied { durable, .. }) =
        merge(&store, &cut("t", (0, 1), &[("a", 1)])).await.unwrap()
    else {
        panic!("the advised rights are not enough")
    };
    assert!(!durable, "what it may not ask it does not take for granted");
    server.order(&["ACL", "SETUSER", "counter", "-@write"]);
    is_refused(&store, "can't run this command", "ACL SETUSER").await;
    server.order(&["ACL", "SETUSER", "counter", "+@write"]);
    is_merged_once(&store).await;
}

#[tokio::test]
async fn a_node_of_a_redis_cluster_wants_another_url() {
    let Some(node) = RedisServer::start_cluster_node() else { return };
    let error = Redis::open(&node.url(), &name("local")).await.unwrap_err().to_string();
    assert!(error.contains("CLUSTERDOWN") && error.contains("redis-cli --cluster check"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_is_in_trouble_as_long_as_its_store_takes_no_writes() {
    let Some(server) = RedisServer::start() else { return };
    let cluster = harness::Cluster::with_store(&server.url()).await;
    let mut leaf = cluster.leaf("leaf-0").await;
    server.order(&["REPLICAOF", "127.0.0.1", "1"]);
    leaf.send_cuts(vec![cut("t", (0, 1), &[("a", 1)])]).await;
    assert_eq!(leaf.outcomes(1).await[0].outcome, None);
    // The registry can still be read, which is no reason to call the store well.
    let end = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < end {
        let trouble = cluster.root.trouble().unwrap_or_default();
        assert!(trouble.contains("point cluster.store at the primary"), "'{trouble}'");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.order(&["REPLICAOF", "NO", "ONE"]);
    leaf.send_cuts(vec![cut("t", (0, 1), &[("a", 1)])]).await;
    assert!(matches!(leaf.outcomes(1).await[0].outcome, Some(Outcome::Applied(_))));
    harness::eventually(|| cluster.root.trouble().is_none()).await;
    cluster.stop().await;
}
