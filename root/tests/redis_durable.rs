//! A merge is called durable only when the server says so, after the merge, on its connection.

#![cfg(feature = "shell")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "measures against the clock")]

mod fake_redis;
mod harness;
mod heard;
mod redis_server;

use countree_common::cut::{Applied, Outcome};
use countree_root::store::{Redis, Store, StoreError};
use fake_redis::{FakeRedis, Manners};
use harness::{cut, name};
use heard::Heard;
use redis_server::RedisServer;
use std::sync::Arc;
use std::time::{Duration, Instant};

async fn open(server: &FakeRedis) -> Redis {
    Redis::open(&server.url(), &name("local")).await.unwrap()
}

/// Merges the cut that ends at `to`; whether it was called durable.
async fn merge(store: &Redis, to: u64) -> Result<bool, StoreError> {
    match store.merge(Arc::from([cut("t", (to - 1, to), &[])])).await.remove(0)? {
        Outcome::Applied(Applied { durable, .. }) => Ok(durable),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_confirmed_merge_is_durable() {
    let server = FakeRedis::start(Manners::default()).await;
    let store = open(&server).await;
    for to in 1..=3 {
        assert!(merge(&store, to).await.unwrap());
        let after = server.after_the_last_merge();
        assert_eq!(after[..3], ["WAITAOF 1 0 20", "CONFIG GET appendfsync", "ROLE"]);
    }
}

#[tokio::test]
async fn a_merge_that_is_not_confirmed_is_answered_and_not_durable() {
    let out_of_time = "*2\r\n:0\r\n:0\r\n";
    let unknown = "-ERR unknown command 'WAITAOF', with args beginning with: '1' '0' '20' \r\n";
    let no_aof = "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n";
    for waitaof in [out_of_time, unknown, no_aof, "-NOPERM no\r\n", "+what?\r\n", "*0\r\n"] {
        let server = FakeRedis::start(Manners { waitaof, ..Manners::default() }).await;
        let store = open(&server).await;
        assert_eq!(server.asked("WAITAOF"), 1, "asked when the store is opened");
        for to in 1..=20 {
            assert!(!merge(&store, to).await.unwrap(), "{waitaof}");
        }
        assert_eq!(server.asked("WAITAOF"), 1, "and not each time, since it does not confirm");
    }
}

#[tokio::test]
async fn a_confirmation_of_a_server_that_may_still_forget_is_worth_nothing() {
    let lazy = Manners { appendfsync: "everysec", ..Manners::default() };
    let replicated = Manners { replicas: 1, ..Manners::default() };
    for manners in [lazy, replicated] {
        let server = FakeRedis::start(manners).await;
        let store = open(&server).await;
        assert!(!merge(&store, 1).await.unwrap());
    }
}

#[tokio::test]
async fn what_changes_at_the_server_counts_from_the_next_merge_on() {
    let server = FakeRedis::start(Manners::default()).await;
    let store = open(&server).await;
    assert!(merge(&store, 1).await.unwrap());
    server.set(|manners| manners.replicas = 1);
    assert!(!merge(&store, 2).await.unwrap(), "a replica has come");
}

#[tokio::test]
async fn a_slow_confirmation_holds_up_one_merge_only() {
    let manners = Manners { waitaof: "*2\r\n:0\r\n:0\r\n", ..Manners::default() };
    let server = FakeRedis::start(Manners::default()).await;
    let store = open(&server).await;
    server.set(|m| *m = Manners { takes: Duration::from_millis(300), ..manners });
    assert!(!merge(&store, 1).await.unwrap());
    let began = Instant::now();
    for to in 2..=10 {
        assert!(!merge(&store, to).await.unwrap());
    }
    assert!(began.elapsed() < Duration::from_millis(250), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_demoted_server_is_looked_up_anew() {
    let server = FakeRedis::start(Manners::default()).await;
    let store = open(&server).await;
    let before = server.connections();
    server.set(|m| m.refusal = Some("-READONLY You can't write against a read only replica.\r\n"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.connections() == before {
        assert!(merge(&store, 1).await.is_err());
        assert!(Instant::now() < deadline, "the connection is kept for good");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.set(|m| m.refusal = None);
    assert!(merge(&store, 1).await.unwrap());
}

#[tokio::test]
async fn a_mute_connection_is_given_up() {
    let server = FakeRedis::start(Manners::default()).await;
    let store = open(&server).await;
    let before = server.connections();
    server.set(|m| m.is_mute = true);
    assert_eq!(merge(&store, 1).await, Err(StoreError::Silent));
    server.set(|m| m.is_mute = false);
    assert!(merge(&store, 1).await.unwrap());
    assert!(server.connections() > before);
}

#[tokio::test]
async fn the_redis_at_hand_says_for_itself() {
    let always = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(server) = RedisServer::start_with(&always) else { return };
    let store = Redis::open(&server.url(), &name("local")).await.unwrap();
    let has_waitaof = !server.command(&["WAITAOF", "0", "0", "1"]).contains("unknown command");
    assert_eq!(merge(&store, 1).await.unwrap(), has_waitaof);
}

#[tokio::test]
async fn what_may_be_forgotten_is_said_once_with_what_to_do() {
    let heard = Heard::listen();
    let unknown = "-ERR unknown command 'WAITAOF'\r\n";
    let server = FakeRedis::start(Manners { waitaof: unknown, ..Manners::default() }).await;
    let store = open(&server).await;
    for to in 1..=3 {
        merge(&store, to).await.unwrap();
    }
    assert_eq!(heard.count("take Redis 7.2 or later"), 1, "{heard:?}");
}

#[tokio::test]
async fn a_server_that_evicts_is_warned_of() {
    let Some(server) = RedisServer::start() else { return };
    let heard = Heard::listen();
    Redis::open(&server.url(), &name("local")).await.unwrap();
    assert_eq!(heard.count("noeviction"), 0, "{heard:?}");
    server.order(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    Redis::open(&server.url(), &name("local")).await.unwrap();
    assert_eq!(heard.count("set maxmemory-policy to noeviction"), 1, "{heard:?}");
}
