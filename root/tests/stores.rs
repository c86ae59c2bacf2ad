//! Both stores keep every promise: the embedded one in a real file, the other in a real Redis.

#![cfg(feature = "shell")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod history;
mod redis_server;

use countree_common::cluster::NodeName;
use countree_common::config::manifest::StoreUrl;
use countree_common::cut::{CounterSum, Cut, Outcome};
use countree_common::document::Version;
use countree_common::key::{Item, Kind, Topic};
use countree_common::stream::StreamId;
use countree_root::store::conformance::{check_all, check_whole, compare_with_model};
use countree_root::store::embedded::FILE_NAME;
use countree_root::store::{self, Embedded, Redis, Store, StoreError, Whole};
use history::History;
use redb::TableDefinition;
use redis_server::RedisServer;
use tempfile::tempdir;

fn cluster(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

async fn keeps_its_promises(store: &impl Whole, seeds: u64, calls: usize) {
    let checked = check_all(store).await.unwrap_or_else(|broken| panic!("{broken}"));
    assert!(checked.len() >= 14);
    check_whole(store).await.unwrap_or_else(|broken| panic!("{broken}"));
    for seed in 1..=seeds {
        let compared = compare_with_model(store, &format!("random {seed}"), seed, calls).await;
        compared.unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
}

#[tokio::test]
async fn the_embedded_store_keeps_its_promises() {
    let dir = tempdir().unwrap();
    let store = Embedded::open(dir.path(), &cluster("local")).await.unwrap();
    keeps_its_promises(&store, 4, 60).await;
}

#[tokio::test]
async fn redis_keeps_its_promises() {
    let Some(server) = RedisServer::start() else { return };
    let store = Redis::open(&server.url(), &cluster("local")).await.unwrap();
    keeps_its_promises(&store, 20, 150).await;
}

#[tokio::test]
async fn a_redis_cluster_keeps_its_promises() {
    let Some(server) = RedisServer::start_cluster() else { return };
    let store = Redis::open(&server.cluster_url(), &cluster("local")).await.unwrap();
    keeps_its_promises(&store, 2, 60).await;
}

#[tokio::test]
async fn the_embedded_store_carries_on_after_a_restart_and_belongs_to_one_cluster() {
    let dir = tempdir().unwrap();
    let store = Embedded::open(dir.path(), &cluster("local")).await.unwrap();
    assert!(store.save_registry(0, 1, "kept".into()).await.unwrap());

    let second = Embedded::open(dir.path(), &cluster("local")).await.unwrap_err();
    assert!(matches!(second, StoreError::Held { .. }), "{second}");
    assert!(second.to_string().contains("held by a running cluster"));

    drop(store);
    let other = Embedded::open(dir.path(), &cluster("other")).await.unwrap_err();
    assert!(matches!(other, StoreError::WrongCluster { .. }), "{other}");

    let again = Embedded::open(dir.path(), &cluster("local")).await.unwrap();
    assert_eq!(again.load_registry().await.unwrap(), Some((1, "kept".into())));
}

#[tokio::test]
async fn each_start_of_an_embedded_store_is_an_era_also_of_a_wiped_one_and_of_an_older_copy() {
    let (dir, copy) = (tempdir().unwrap(), tempdir().unwrap());
    let (file, kept) = (dir.path().join(FILE_NAME), copy.path().join(FILE_NAME));
    let topic = Topic::new("t").unwrap();
    let open = async || Embedded::open(dir.path(), &cluster("local")).await.unwrap();
    let store = open().await;
    let first = store.served_in().await.unwrap();
    assert!(first > 1 << 48 && first < 1 << 53, "{first}");
    // A leaf asks for such an era once it has found that the document went back.
    let cut = Cut { era: first + 9, ..growing_cut("t", 1, 1) };
    assert!(matches!(store.merge([cut].into()).await.remove(0).unwrap(), Outcome::Applied(_)));
    drop(store);

    std::fs::copy(&file, &kept).unwrap();
    let mut eras = vec![first + 9];
    for _ in 0..2 {
        let store = open().await;
        let era = store.served_in().await.unwrap();
        assert_eq!(store.read(&topic).await.unwrap().unwrap().version, Version { era, number: 1 });
        eras.push(era);
    }
    assert!(eras.is_sorted_by(|a, b| a < b), "{eras:?}");
    std::fs::copy(&kept, &file).unwrap();
    let era = open().await.served_in().await.unwrap();
    assert!(era > first && !eras.contains(&era), "{era}, after {eras:?}");
    std::fs::remove_file(&file).unwrap();
    let era = open().await.served_in().await.unwrap();
    assert!(era > first && !eras.contains(&era), "{era}, after {eras:?}");
}

#[tokio::test]
async fn counters_of_an_embedded_topic_keep_their_totals_over_restarts() {
    let dir = tempdir().unwrap();
    let (topics, items) = (["a", "ab", "b"], 100);
    // Each round changes every counter of the rounds before, and brings new ones.
    for round in 1..=4 {
        let store = Embedded::open(dir.path(), &cluster("local")).await.unwrap();
        let cuts: Vec<_> = topics.iter().map(|topic| growing_cut(topic, round, items)).collect();
        for outcome in store.merge(cuts.into()).await {
            assert!(matches!(outcome.unwrap(), Outcome::Applied(_)));
        }
        for topic in topics {
            let totals = store.read(&Topic::new(topic).unwrap()).await.unwrap().unwrap().totals;
            assert_eq!(totals.len() as u64, round * items);
            for counter in totals {
                let came_in: u64 = counter.item.as_str().parse::<u64>().unwrap() / items;
                assert_eq!(counter.total as u64, round - came_in, "{} of {topic} in {round}", counter.item);
            }
        }
    }
}

/// A file from before the next number was recorded, from which a topic was removed.
#[tokio::test]
async fn a_topic_that_is_gone_leaves_its_number_to_nobody() {
    const NEXT: TableDefinition<'_, &str, u32> = TableDefinition::new("next");
    const TOPICS: TableDefinition<'_, &str, (u64, u64, u64, u32)> = TableDefinition::new("topics");
    let dir = tempdir().unwrap();
    let open = async || Embedded::open(dir.path(), &cluster("local")).await.unwrap();
    let count = async |store: &Embedded, topics: &[&str]| {
        let cuts: Vec<_> = topics.iter().map(|topic| growing_cut(topic, 1, 40)).collect();
        for outcome in store.merge(cuts.into()).await {
            assert!(matches!(outcome.unwrap(), Outcome::Applied(_)));
        }
    };
    let store = open().await;
    count(&store, &["a", "b"]).await;
    drop(store);
    let database = redb::Database::open(dir.path().join("store.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.delete_table(NEXT).unwrap();
    transaction.open_table(TOPICS).unwrap().remove("a").unwrap();
    transaction.commit().unwrap();
    drop(database);
    for name in ["c", "d"] {
        let store = open().await;
        let before = store.document(&Topic::new("b").unwrap()).await.unwrap();
        count(&store, &[name]).await;
        let found = store.document(&Topic::new(name).unwrap()).await.unwrap().unwrap();
        assert!(
            found.totals.len() == 40 && found.totals.values().all(|total| *total == 1),
            "{name}: {found:?}"
        );
        assert_eq!(store.document(&Topic::new("b").unwrap()).await.unwrap(), before);
    }
}

/// Adds 1 to each of a topic's first `round` times `items` counters, not in their order.
fn growing_cut(topic: &str, round: u64, items: u64) -> Cut {
    let sum = |item: u64| CounterSum {
        item: Item::new(&item.to_string()).unwrap(),
        kind: Kind::new("like").unwrap(),
        delta: 1,
    };
    let counters = round * items;
    Cut {
        stream: StreamId { leaf: cluster("leaf-0"), incarnation: 1 },
        topic: Topic::new(topic).unwrap(),
        from: round - 1,
        to: round,
        sums: (0..counters).map(|n| sum(n * 7 % counters)).collect(),
        events: counters,
        era: 0,
    }
}

/// A document that is larger than what is read at once, and merged into all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_document_is_read_in_pages_and_as_of_one_moment() {
    let Some(server) = RedisServer::start() else { return };
    let store = Redis::open(&server.url(), &cluster("local")).await.unwrap();
    let (topic, counters) = (Topic::new("large").unwrap(), 12_000);
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for round in 1..=40 {
            // Round by round every counter goes up by one.
            let cut = Cut { from: round - 1, to: round, ..growing_cut("large", 1, counters) };
            assert!(matches!(writer.merge([cut].into()).await.remove(0), Ok(Outcome::Applied(_))));
        }
    });
    let mut last = 0;
    while last < 40 {
        let Some(found) = store.document(&topic).await.unwrap() else { continue };
        assert_eq!(found.totals.len() as u64, counters);
        assert!(found.totals.values().all(|total| *total as u64 == found.version.number), "of one moment");
        last = found.version.number;
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn two_clusters_share_a_redis_without_meeting() {
    let Some(server) = RedisServer::start() else { return };
    let one = Redis::open(&server.url(), &cluster("one")).await.unwrap();
    let two = Redis::open(&server.url(), &cluster("two")).await.unwrap();
    assert!(one.save_registry(0, 1, "one".into()).await.unwrap());
    assert_eq!(two.load_registry().await.unwrap(), None);
}

#[tokio::test]
async fn a_redis_that_is_not_there_says_what_to_do() {
    // A free port could become another test's server; nobody listens on this one.
    let url: StoreUrl = "redis://user:secret@127.0.0.1:1".parse().unwrap();
    let error = store::open(&url, std::path::Path::new("/nowhere"), &cluster("local")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("127.0.0.1:1") && text.contains("set cluster.store"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_server_that_forgot_the_script_is_taught_it_again() {
    let Some(server) = RedisServer::start() else { return };
    let store = Redis::open(&server.url(), &cluster("local")).await.unwrap();
    compare_with_model(&store, "before", 1, 5).await.unwrap();
    server.command(&["SCRIPT", "FLUSH"]);
    compare_with_model(&store, "after", 2, 5).await.unwrap();
}

#[tokio::test]
async fn a_topic_key_of_other_hands_harms_no_other_topic() {
    let Some(server) = RedisServer::start() else { return };
    let store = Redis::open(&server.url(), &cluster("local")).await.unwrap();
    server.command(&["SET", "countree:local:topic:strange 0", "not a hash"]);
    server.command(&["HSET", "countree:local:topic:odd 0", "total:%25:item 0", "many"]);
    for name in ["strange", "odd"] {
        let error = compare_with_model(&store, name, 3, 50).await.unwrap_err();
        assert!(error.to_string().contains("store"), "{error}");
    }
    assert_eq!(server.command(&["HGET", "countree:local:topic:odd 0", "total:%25:item 0"]).trim(), "many");
    check_all(&store).await.unwrap_or_else(|broken| panic!("{broken}"));
}

#[tokio::test]
async fn roots_that_remember_do_not_take_the_work_of_others_for_theirs() {
    let Some(server) = RedisServer::start() else { return };
    let one = Redis::open(&server.url(), &cluster("local")).await.unwrap();
    let two = Redis::open(&server.url(), &cluster("local")).await.unwrap();
    let mut history = History::new(11);
    for step in 0..400 {
        history.step(if step % 7 < 4 { &one } else { &two }, true).await;
    }
    assert_eq!((history.unknown, history.forgotten), (0, 0));
    history.check(&one).await;
}
