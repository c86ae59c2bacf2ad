//! Real Redis servers that lose their last writes: whatever is left is a state that was, totals and
//! positions together, and sending the rest again makes it whole.

#![cfg(feature = "shell")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod harness;
mod history;
mod redis_server;

use countree_common::cluster::NodeName;
use countree_common::cut::{Applied, Outcome};
use countree_common::document::Version;
use countree_common::wire::publish::FromRoot;
use countree_root::store::redis::Mended;
use countree_root::store::{Redis, Store, StoreError};
use harness::{cut, total};
use history::{Feeding, History, Random};
use redis_server::{RedisServer, copy_of, growing_aof};
use std::fs::OpenOptions;
use std::sync::Arc;
use std::time::Duration;

const TRUNCATIONS: u64 = 30;
const KILLS: u64 = 6;
const PROMOTIONS: u64 = 10;
const KEY: &str = "countree:local:topic:t";

/// Options by which the file holds what was answered.
const FSYNC_FIRST: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

async fn open(server: &RedisServer) -> Redis {
    Redis::open(&server.url(), &NodeName::new("local").unwrap()).await.unwrap()
}

fn truncate(file: &std::path::Path, length: u64) {
    OpenOptions::new().write(true).open(file).unwrap().set_len(length).unwrap();
}

async fn for_a_while(random: &mut Random) {
    tokio::time::sleep(Duration::from_millis(20 + random.below(100))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aof_cut_off_anywhere_is_a_state_that_was() {
    let Some(mut server) = RedisServer::start_with(&FSYNC_FIRST) else { return };
    let mut history = History::new(1);
    let store = open(&server).await;
    for _ in 0..40 {
        history.step(&store, true).await;
    }
    let merged = history.merged();
    server.kill();
    let length = server.aof().metadata().unwrap().len();
    let mut random = Random::new(2);
    let (mut shortened, mut forgotten) = (0, 0);
    for round in 0..TRUNCATIONS {
        let copy = copy_of(server.dir());
        truncate(&growing_aof(copy.path()), if round == 0 { length } else { random.below(length + 1) });
        let copy = RedisServer::start_on(copy).unwrap();
        let store = open(&copy).await;
        let found = history.check(&store).await;
        assert!(round > 0 || found == merged, "a whole AOF holds everything");
        shortened += usize::from(found < merged);
        forgotten += merged - found;
        history.finish(&store).await;
    }
    assert!(shortened > 0, "nothing was ever forgotten");
    println!("{TRUNCATIONS} AOFs cut off, of {merged} merges {forgotten} forgotten and made again");
}

/// A Redis that loses the end of its log in the middle of a transaction keeps the commands before, and carries them out
/// when it starts the time after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_that_was_cut_in_two_is_not_there_or_is_finished() {
    let known = ("known", 10);
    // A merge that the root plans, with a total that it remembers and one that it does not; then two of several writes.
    cut_in_two(&[known, ("new", 100)], 9, true).await;
    let many: Vec<String> = (0..5_000).map(|i| format!("item {i}")).collect();
    let many: Vec<_> = many.iter().map(|item| (item.as_str(), 1)).collect();
    cut_in_two(&many, 17_017, true).await;
    cut_in_two(&many, 17_017, false).await;
}

/// Merges these sums, cuts the log off at every `step` bytes of that, and starts Redis twice.
async fn cut_in_two(sums: &[(&str, i64)], step: usize, is_remembered: bool) {
    let Some(mut server) = RedisServer::start_with(&FSYNC_FIRST) else { return };
    let store = open(&server).await;
    let merge = async |cut| store.merge(Arc::from([cut])).await.remove(0).unwrap();
    merge(cut("t", (0, 1), &[("known", 1)])).await;
    let before = server.aof().metadata().unwrap().len();
    let other = open(&server).await;
    let store = if is_remembered { &store } else { &other };
    let outcome = store.merge(Arc::from([cut("t", (1, 2), sums)])).await.remove(0).unwrap();
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    server.kill();
    let after = server.aof().metadata().unwrap().len();
    let whole = {
        let copy = RedisServer::start_on(copy_of(server.dir())).unwrap();
        open(&copy).await.read(&harness::topic("t")).await.unwrap().unwrap().totals
    };
    let mut finished = 0;
    for length in (before..after).step_by(step) {
        let copy = copy_of(server.dir());
        truncate(&growing_aof(copy.path()), length);
        let mut copy = RedisServer::start_on(copy).unwrap();
        let two_writes = "redis.call('SET', 'one', 1) return redis.call('SET', 'another', 1)";
        copy.order(&["EVAL", two_writes, "0"]);
        copy.kill();
        copy.revive();
        let is_half = copy.command(&["HGET", KEY, "version"]).contains("half of 2");
        let store = open(&copy).await;
        // The first to come finishes it: a reader, somebody who reads it whole, or a merge.
        let found = match length % 3 {
            0 => store.read(&harness::topic("t")).await.unwrap().unwrap(),
            1 => {
                store.document(&harness::topic("t")).await.unwrap().unwrap().snapshot(&harness::topic("t"), 0)
            }
            _ => {
                let probe = store.merge(Arc::from([cut("t", (9, 9), &[])])).await.remove(0).unwrap();
                let Outcome::Have { lsn, version, .. } = probe else { panic!("{probe:?}") };
                assert_eq!(lsn, version.number, "cut at {length}");
                store.read(&harness::topic("t")).await.unwrap().unwrap()
            }
        };
        if found.version.number == 1 {
            assert_eq!(found.totals, vec![total("known", 1)], "cut at {length}");
        } else {
            assert!(found.version.number == 2 && found.totals == whole, "cut at {length}: {}", found.version);
        }
        finished += usize::from(is_half);
        assert_eq!(copy.command(&["HEXISTS", KEY, "redo"]).trim(), "0", "cut at {length}");
    }
    assert_eq!(finished > 0, sums.len() > 3_900, "only what takes several writes can be half there");
}

/// A half-written document of an older release, without the list of what was left to be written.
#[tokio::test]
async fn a_half_document_of_which_nobody_knows_the_rest_takes_the_operators_word() {
    let Some(server) = RedisServer::start() else { return };
    let (store, topic) = (open(&server).await, harness::topic("t"));
    store.merge(Arc::from([cut("t", (0, 1), &[("known", 1)])])).await.remove(0).unwrap();
    assert_eq!(store.mend(&topic, false).await, Ok(Mended::Whole));
    server.command(&["HSET", KEY, "version", "half of 2", "total:like:a", "7"]);
    assert!(matches!(store.read(&topic).await, Err(StoreError::Damaged(why)) if why.contains("half of 2")));
    assert_eq!(store.mend(&topic, false).await, Ok(Mended::Half { version: "half of 2".into() }));
    assert!(store.read(&topic).await.is_err(), "nothing is guessed");
    assert_eq!(store.mend(&topic, true).await, Ok(Mended::Accepted));
    let found = store.read(&topic).await.unwrap().unwrap();
    assert_eq!((found.version.number, found.totals.len()), (2, 2));
    assert_eq!(store.mend(&topic, true).await, Ok(Mended::Whole));
}

#[tokio::test]
async fn a_history_notices_the_smallest_difference() {
    let Some(server) = RedisServer::start() else { return };
    let key = "countree:local:topic:topic 0";
    for (field, wrong) in [("total:like:item 0", "1"), ("version", "9"), ("leaf:leaf-0/1", "0 0")] {
        server.order(&["FLUSHALL"]);
        let (mut history, store) = (History::new(10), open(&server).await);
        history.step(&store, true).await;
        history.check(&store).await;
        server.command(&["HSET", key, field, wrong]);
        let checked = tokio::spawn(async move { history.check(&store).await }).await;
        assert!(checked.is_err_and(|e| e.is_panic()), "{field}");
    }
}

/// Kills a server again and again while cuts are merged; returns the history of it all.
async fn kill_and_revive(appendfsync: &str, seed: u64) -> Option<History> {
    let options = ["--appendonly", "yes", "--appendfsync", appendfsync];
    let mut server = RedisServer::start_with(&options)?;
    let mut history = History::new(seed);
    let store = open(&server).await;
    let mut random = Random::new(seed);
    for _ in 0..KILLS {
        let feeding = Feeding::start(history, &store);
        for_a_while(&mut random).await;
        server.kill();
        server.revive();
        history = feeding.stop().await;
        history.check(&store).await;
    }
    history.finish(&store).await;
    assert!(history.unknown > 0, "no kill ever hit a merge");
    let (merged, forgotten, unknown) = (history.merged(), history.forgotten, history.unknown);
    println!("{appendfsync}: {KILLS} kills, {merged} merges, {forgotten} forgotten, {unknown} unanswered");
    Some(history)
}

/// Redis answers before it has written while an fsync is under way, so that a kill is enough to forget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_comes_back_as_a_state_that_was() {
    kill_and_revive("everysec", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_that_fsyncs_before_it_answers_forgets_nothing() {
    let Some(history) = kill_and_revive("always", 4).await else { return };
    assert_eq!(history.forgotten, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_replica_is_a_state_that_was() {
    let Some(mut primary) = RedisServer::start() else { return };
    let mut replica = RedisServer::start().unwrap();
    let mut history = History::new(5);
    let mut random = Random::new(6);
    for _ in 0..PROMOTIONS {
        replica.order(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
        replica.wait_for(&["INFO", "replication"], "master_link_status:up");
        let feeding = Feeding::start(history, &open(&primary).await);
        for_a_while(&mut random).await;
        // The replica is cut off while the primary goes on answering.
        replica.order(&["REPLICAOF", "127.0.0.1", "1"]);
        for_a_while(&mut random).await;
        primary.kill();
        replica.order(&["REPLICAOF", "NO", "ONE"]);
        history = feeding.stop().await;
        let store = open(&replica).await;
        history.check(&store).await;
        history.finish(&store).await;
        primary.revive();
        std::mem::swap(&mut primary, &mut replica);
    }
    assert!(history.forgotten > 0, "nothing was ever forgotten");
    println!("{PROMOTIONS} promotions, {} merges, {} forgotten", history.merged(), history.forgotten);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaf_and_viewers_learn_that_the_store_went_back() {
    let Some(mut server) = RedisServer::start_with(&FSYNC_FIRST) else { return };
    let cluster = harness::Cluster::with_store(&server.url()).await;
    let mut leaf = cluster.leaf("leaf-0").await;
    let mut broadcast = cluster.broadcast("broadcast-0").await;
    broadcast.want(&["t"]).await;
    broadcast.snapshot().await;
    leaf.send_cuts(vec![cut("t", (0, 1), &[("a", 1)])]).await;
    let outcome = leaf.outcomes(1).await.remove(0).outcome;
    let Some(Outcome::Applied(Applied { version: first, .. })) = outcome else { panic!("{outcome:?}") };
    let kept = server.aof().metadata().unwrap().len();
    leaf.send_cuts(vec![cut("t", (1, 2), &[("a", 10)])]).await;
    leaf.outcomes(1).await;

    server.kill();
    truncate(&server.aof(), kept);
    server.revive();
    let next = cut("t", (2, 3), &[("a", 100)]);
    let found = loop {
        leaf.send_cuts(vec![next.clone()]).await;
        if let Some(outcome) = leaf.outcomes(1).await.remove(0).outcome {
            break outcome;
        }
    };
    assert!(matches!(found, Outcome::Have { lsn: 1, events: 1, .. }), "{found:?}");
    let mut again = cut("t", (1, 3), &[("a", 110)]);
    again.era = first.era + 1;
    leaf.send_cuts(vec![again]).await;
    assert!(matches!(leaf.outcomes(1).await[0].outcome, Some(Outcome::Applied(_))));

    let is_last = |version: Version| version.era > first.era && version.number == 2;
    let totals = loop {
        match broadcast.next().await {
            FromRoot::Update(update) if is_last(update.version) => break update.totals,
            FromRoot::Snapshot(part) if is_last(part.version) => break part.totals,
            _ => {}
        }
    };
    assert_eq!(totals, vec![total("a", 111)]);
    cluster.stop().await;
}
