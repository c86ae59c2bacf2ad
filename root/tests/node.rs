//! A real root over loopback QUIC: leaves send cuts, broadcast nodes get totals, and nodes ask the registry.

#![cfg(feature = "shell")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod harness;
mod redis_server;

use countree_common::cluster::Tier;
use countree_common::cut::Outcome;
use countree_common::document::Version;
use countree_common::limits::SESSIONS_PER_MESSAGE;
use countree_common::session::SessionId;
use countree_common::shell::quic::StreamError;
use countree_common::stamp::Stamp;
use countree_common::stream::StreamId;
use countree_common::wire::hello::{Conversation, RefusalCode};
use countree_common::wire::publish::ToRoot;
use countree_common::wire::rpc::{KeyHandover, NodeStats, Reply, Request, SessionTable};
use countree_common::wire::uplink;
use countree_root::store::Store;
use harness::{Cluster, Peer, cut, ledger, name, topic, total};
use redis_server::RedisServer;
use std::sync::Arc;

#[tokio::test]
async fn cuts_are_merged_and_answered() {
    let cluster = Cluster::start().await;
    let mut leaf = cluster.leaf("leaf-0").await;
    leaf.send_cuts(vec![cut("t", (0, 5), &[("a", 3)]), cut("u", (0, 2), &[("b", 1)])]).await;
    for outcome in leaf.outcomes(2).await {
        let Some(Outcome::Applied(applied)) = outcome.outcome else { panic!("{outcome:?}") };
        assert_eq!((applied.version, applied.durable), (cluster.version(1).await, true));
    }
    leaf.send_cuts(vec![cut("t", (0, 5), &[("a", 3)])]).await;
    let again = leaf.outcomes(1).await.remove(0);
    assert_eq!((again.from, again.to), (0, 5));
    assert_eq!(again.outcome, Some(Outcome::Have { lsn: 5, events: 1, version: cluster.version(1).await }));
    cluster.stop().await;
}

#[tokio::test]
async fn a_broadcast_node_gets_the_snapshot_and_then_what_changes() {
    let cluster = Cluster::start().await;
    let mut leaf = cluster.leaf("leaf-0").await;
    leaf.send_cuts(vec![cut("t", (0, 1), &[("a", 1), ("b", 5)])]).await;
    leaf.outcomes(1).await;

    let mut broadcast = cluster.broadcast("broadcast-0").await;
    broadcast.want(&["t", "never counted"]).await;
    let mut snapshots = [broadcast.snapshot().await, broadcast.snapshot().await];
    snapshots.sort_by(|a, b| b.topic.cmp(&a.topic));
    assert_eq!(
        (snapshots[0].version, snapshots[0].totals.clone()),
        (cluster.version(1).await, vec![total("a", 1), total("b", 5)])
    );
    assert_eq!((snapshots[1].version, snapshots[1].totals.len()), (Version::default(), 0));

    leaf.send_cuts(vec![cut("t", (1, 2), &[("a", 9), ("b", 0)]), cut("unwatched", (0, 2), &[("a", 1)])])
        .await;
    let update = broadcast.update().await;
    assert_eq!((update.base, update.version), (cluster.version(1).await, cluster.version(2).await));
    assert_eq!(update.totals, vec![total("a", 10)], "only what changed");

    broadcast.send(ToRoot::Disinterest(vec![topic("t")])).await;
    broadcast.want(&["unwatched"]).await;
    assert_eq!(broadcast.snapshot().await.topic, topic("unwatched"));
    leaf.outcomes(2).await;
    leaf.send_cuts(vec![cut("t", (2, 3), &[("a", 1)])]).await;
    leaf.outcomes(1).await;
    leaf.send_cuts(vec![cut("unwatched", (2, 3), &[("a", 1)])]).await;
    assert_eq!(broadcast.update().await.topic, topic("unwatched"));
    cluster.stop().await;
}

#[tokio::test]
async fn a_topic_larger_than_a_frame_arrives_in_pieces() {
    let cluster = Cluster::start().await;
    let mut leaf = cluster.leaf("leaf-0").await;
    let items: Vec<_> =
        (0..40_000).map(|i| format!("an item with a rather long name, number {i:05}")).collect();
    let sums: Vec<_> = items.iter().map(|item| (item.as_str(), 1)).collect();
    leaf.send_cuts(vec![cut("large", (0, 1), &sums)]).await;
    leaf.outcomes(1).await;
    let mut broadcast = cluster.broadcast("broadcast-0").await;
    broadcast.want(&["large"]).await;
    assert_eq!(broadcast.snapshot().await.totals.len(), 40_000);
    assert!(broadcast.pieces > 4);

    let replies = cluster.peer("leaf-1").ask_all(&cluster, &Request::Read(topic("large"))).await;
    let read: usize =
        replies.iter().map(|r| if let Reply::Snapshot(p) = r { p.totals.len() } else { 0 }).sum();
    assert_eq!(read, 40_000);
    cluster.stop().await;
}

#[tokio::test]
async fn the_watermark_waits_for_every_leaf_and_follows_its_totals() {
    let cluster = Cluster::start().await;
    let (mut one, mut two) = (cluster.leaf("leaf-1").await, cluster.leaf("leaf-2").await);
    cluster.peer("leaf-1").enter(&cluster, Tier::Leaf).await;
    cluster.peer("leaf-2").enter(&cluster, Tier::Leaf).await;
    // A topic's first merge begins an era, and is shown by a snapshot.
    one.send_cuts(vec![cut("t", (0, 1), &[("a", 1)])]).await;
    one.outcomes(1).await;
    let mut broadcast = cluster.broadcast("broadcast-0").await;
    broadcast.want(&["t"]).await;
    broadcast.snapshot().await;

    one.send_cuts(vec![cut("t", (1, 2), &[("a", 1)])]).await;
    one.outcomes(1).await;
    let early = two.stamp().await;
    let late = loop {
        let stamp = one.stamp().await;
        if stamp.at > early.at {
            break stamp;
        }
    };
    assert_eq!(early.era, cluster.version(1).await.era);
    one.send(uplink::ToRoot::Echo(Stamp { era: late.era + 1, ..late })).await;
    one.send(uplink::ToRoot::Echo(late)).await;
    two.send(uplink::ToRoot::Echo(early)).await;
    assert_eq!(broadcast.update().await.version.number, 2, "the totals come first");
    broadcast.watermark_comes_to(early).await;

    assert!(matches!(cluster.ask("leaf-2", &Request::Leave(name("leaf-2"))).await, Reply::View(_)));
    // A leaf that has left holds nothing back.
    broadcast.watermark_comes_to(late).await;

    let mut latecomer = cluster.broadcast("broadcast-1").await;
    assert_eq!(latecomer.watermark().await, late, "who comes later is told too");
    cluster.stop().await;
}

#[tokio::test]
async fn what_was_merged_without_a_word_is_sent_as_a_snapshot() {
    let cluster = Cluster::start().await;
    let mut leaf = cluster.leaf("leaf-0").await;
    let mut broadcast = cluster.broadcast("broadcast-0").await;
    broadcast.want(&["t"]).await;
    assert_eq!(broadcast.snapshot().await.version, Version::default());

    // A root that crashed after the merge and before the answer.
    let lost = cut("t", (0, 5), &[("a", 3)]);
    assert!(matches!(cluster.store.store.merge(Arc::from([lost.clone()])).await[0], Ok(Outcome::Applied(_))));
    leaf.send_cuts(vec![lost]).await;
    assert!(matches!(leaf.outcomes(1).await[0].outcome, Some(Outcome::Have { lsn: 5, .. })));
    let snapshot = broadcast.snapshot().await;
    assert_eq!((snapshot.version, snapshot.totals), (cluster.version(1).await, vec![total("a", 3)]));
    cluster.stop().await;
}

#[tokio::test]
async fn nodes_join_beat_and_leave() {
    let cluster = Cluster::start().await;
    let join = |at_least| Request::Join { name: name("leaf-0"), tier: Tier::Leaf, at_least };
    for (at_least, incarnation) in [(0, 1), (0, 2), (7, 7), (3, 8)] {
        let joined = cluster.ask("leaf-0", &join(at_least)).await;
        assert!(matches!(joined, Reply::Joined { incarnation: got, store: Some(_) } if got == incarnation));
    }
    let before = cluster.root.view().borrow().epoch;
    let view = cluster.peer("leaf-0").enter(&cluster, Tier::Leaf).await;
    assert!(view.epoch > before && view.node(&name("root-0")).is_some());
    assert_eq!(
        cluster.peer("leaf-0").enter(&cluster, Tier::Leaf).await.epoch,
        view.epoch,
        "a repeat changes nothing"
    );

    let Reply::Stats(stats) = cluster.ask("leaf-0", &Request::Stats).await else { panic!() };
    let listed = stats.iter().find(|(node, _)| *node == name("leaf-0")).unwrap();
    assert_eq!(listed.1, NodeStats { events_per_s: 5.0, ..NodeStats::default() });

    let Reply::View(after) = cluster.ask("leaf-0", &Request::Leave(name("leaf-0"))).await else { panic!() };
    assert!(after.epoch > view.epoch && after.node(&name("leaf-0")).is_none());
    cluster.stop().await;
}

#[tokio::test]
async fn ledgers_of_retired_streams_and_recent_topics_are_kept() {
    let cluster = Cluster::start().await;
    let mut leaf = cluster.leaf("leaf-0").await;
    leaf.send_cuts(vec![cut("t", (0, 1), &[("a", 1)])]).await;
    leaf.outcomes(1).await;
    assert_eq!(cluster.ask("leaf-0", &Request::Topics).await, Reply::Topics(vec![topic("t")]));

    let ledgers = vec![ledger("leaf-0/1", 10), ledger("leaf-0/4", 7)];
    for _ in 0..2 {
        assert_eq!(cluster.ask("leaf-0", &Request::Retire(ledgers.clone())).await, Reply::Done);
    }
    assert_eq!(cluster.ask("leaf-0", &Request::Ledgers).await, Reply::Ledgers(ledgers));
    cluster.stop().await;
}

fn sessions(leaf: &str, sessions: &[(SessionId, u64)]) -> SessionTable {
    SessionTable { leaf: name(leaf), sessions: sessions.to_vec(), keep_ms: 60_000 }
}

#[tokio::test]
async fn how_sessions_ended_is_told_after_their_leaf_has_left() {
    let cluster = Cluster::start().await;
    let ended = |session| Request::SessionEnd { leaf: name("leaf-0"), session: SessionId(session) };
    assert_eq!(cluster.ask("leaf-1", &ended(1)).await, Reply::SessionEnd(None));
    let table = sessions("leaf-0", &[(SessionId(1), 9), (SessionId(2), 0)]);
    assert_eq!(cluster.ask("leaf-0", &Request::Publish(table)).await, Reply::Published { durable: true });
    for (session, last) in [(1, Some(9)), (2, Some(0)), (3, None)] {
        assert_eq!(cluster.ask("leaf-1", &ended(session)).await, Reply::SessionEnd(last));
    }
    let large = sessions("leaf-0", &vec![(SessionId(1), 1); SESSIONS_PER_MESSAGE + 1]);
    assert!(matches!(cluster.ask("leaf-0", &Request::Publish(large)).await, Reply::Failed(_)));
    cluster.stop().await;
}

#[tokio::test]
async fn a_leaf_settles_with_its_heirs_and_a_dead_one_is_forgotten() {
    let cluster = Cluster::start().await;
    for leaf in ["leaf-0", "leaf-1"] {
        cluster.peer(leaf).enter(&cluster, Tier::Leaf).await;
    }
    let stream = StreamId { leaf: name("leaf-0"), incarnation: harness::INCARNATION };
    let settled = |successors: &[&str], epoch| Request::Drained {
        stream: stream.clone(),
        handover: KeyHandover {
            successors: successors.iter().map(|successor| name(successor)).collect(),
            epoch,
            is_empty: false,
        },
    };
    for refused in [settled(&[], u64::MAX), settled(&["leaf-1"], 0)] {
        assert!(matches!(cluster.ask("leaf-0", &refused).await, Reply::Failed(_)));
    }
    let reply = cluster.ask("leaf-0", &settled(&["leaf-1"], u64::MAX)).await;
    assert_eq!(reply, Reply::Drained { keeps_keys: false });
    let forget = Request::Forget(name("leaf-1"));
    assert!(matches!(cluster.ask("leaf-2", &forget).await, Reply::Failed(why) if why.contains("drain it")));
    cluster.ask("leaf-1", &Request::Leave(name("leaf-1"))).await;
    assert_eq!(cluster.ask("leaf-2", &forget).await, Reply::Done);
    let Reply::Members { view, away } = cluster.ask("leaf-2", &Request::Members).await else { panic!() };
    assert_eq!((away, view.keys.owners, view.keys.lost.len()), (vec![], vec![], 1));
    cluster.stop().await;
}

#[tokio::test]
async fn an_item_too_hot_for_one_leaf_is_split_over_several() {
    let cluster = Cluster::start().await;
    let other = cluster.another_root("root-1").await;
    cluster.peer("leaf-0").enter(&cluster, Tier::Leaf).await;
    let view = cluster.peer("leaf-1").enter(&cluster, Tier::Leaf).await;
    let beat = |leaf: &str| {
        let item = (topic("t"), countree_common::key::Item::new("hot").unwrap(), 600.0);
        let stats = NodeStats { capacity: 1_000.0, hot_items: vec![item], ..NodeStats::default() };
        Request::Heartbeat { node: view.node(&name(leaf)).unwrap().clone(), stats, epoch: view.epoch }
    };
    // Each leaf speaks to a root of its own.
    let split = async {
        loop {
            cluster.ask("leaf-0", &beat("leaf-0")).await;
            let peer = cluster.peer("leaf-1");
            peer.ask_root(other.node(), &beat("leaf-1")).await;
            let view = other.view().borrow().clone();
            if let [split] = view.splits.as_slice() {
                break (split.item.to_string(), split.ways, view.epoch);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let split = tokio::time::timeout(std::time::Duration::from_secs(15), split).await.unwrap();
    assert_eq!((split.0.as_str(), split.1), ("hot", 2));
    assert!(split.2 > view.epoch);
    other.stop().await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_node_speaks_for_itself_alone() {
    let cluster = Cluster::start().await;
    let view = cluster.peer("leaf-0").enter(&cluster, Tier::Leaf).await;
    let leaf = view.node(&name("leaf-0")).unwrap().clone();
    for request in [
        Request::Join { name: name("leaf-0"), tier: Tier::Leaf, at_least: 0 },
        Request::Heartbeat { node: leaf, stats: NodeStats::default(), epoch: 0 },
        Request::Leave(name("leaf-0")),
        Request::DrainedWithoutEpoch { leaf: name("leaf-0"), incarnation: 1, successors: Vec::new() },
        Request::Drained {
            stream: "leaf-0/1".parse().unwrap(),
            handover: KeyHandover { successors: Vec::new(), epoch: u64::MAX, is_empty: true },
        },
        Request::Publish(sessions("leaf-0", &[])),
        Request::Retire(vec![ledger("leaf-9/1", 1), ledger("leaf-0/1", 1)]),
    ] {
        let reply = cluster.ask("leaf-9", &request).await;
        assert!(matches!(&reply, Reply::Failed(why) if why.contains("speak for leaf-0")), "{reply:?}");
    }
    assert!(cluster.root.view().borrow().node(&name("leaf-0")).is_some());
    assert_eq!(cluster.ask("leaf-0", &Request::Ledgers).await, Reply::Ledgers(Vec::new()));
    cluster.stop().await;
}

#[tokio::test]
async fn strangers_and_other_tiers_are_refused() {
    let cluster = Cluster::start().await;
    for conversation in [Conversation::Uplink, Conversation::Publish, Conversation::Rpc] {
        assert_eq!(
            refusal(&Peer::anonymous(&cluster), &cluster, conversation).await,
            RefusalCode::Unauthorized
        );
    }
    let leaf = cluster.peer("leaf-0");
    assert_eq!(refusal(&leaf, &cluster, Conversation::Produce).await, RefusalCode::WrongTier);
    let impostor = leaf.calling_itself(&cluster, "leaf-1");
    assert_eq!(refusal(&impostor, &cluster, Conversation::Uplink).await, RefusalCode::Unauthorized);
    cluster.stop().await;
}

async fn refusal(peer: &Peer, cluster: &Cluster, conversation: Conversation) -> RefusalCode {
    let (_sender, mut receiver, _connection) = peer.open(cluster, conversation).await;
    match receiver.next().await {
        Err(StreamError::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_leaf_that_sends_nonsense_is_sent_away() {
    let cluster = Cluster::start().await;
    let mut leaf = cluster.leaf("leaf-0").await;
    leaf.send_cuts(vec![cut("t", (0, 1), &[("a", 1), ("a", 1)])]).await;
    assert!(
        matches!(leaf.receiver.next().await, Err(StreamError::Refused(r)) if r.message.contains("twice"))
    );
    cluster.stop().await;
}

#[tokio::test]
async fn two_roots_keep_one_registry() {
    let cluster = Cluster::start().await;
    let second = cluster.another_root("root-1").await;
    harness::eventually(|| {
        let views = [cluster.root.view().borrow().clone(), second.view().borrow().clone()];
        views[0] == views[1] && views[0].tier(Tier::Root).count() == 2
    })
    .await;
    harness::eventually(|| second.membership().view().borrow().tier(Tier::Root).count() == 2).await;
    second.stop().await;
    harness::eventually(|| cluster.root.view().borrow().tier(Tier::Root).count() == 1).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_restart_carries_on_with_every_total() {
    let cluster = Cluster::start().await;
    let mut leaf = cluster.leaf("leaf-0").await;
    leaf.send_cuts(vec![cut("t", (0, 1), &[("a", 1)])]).await;
    leaf.outcomes(1).await;
    assert_eq!(cluster.root.node().incarnation, 1);
    let cluster = cluster.restart().await;
    assert_eq!(cluster.root.node().incarnation, 2);
    let mut leaf = cluster.leaf("leaf-0").await;
    leaf.send_cuts(vec![cut("t", (1, 2), &[("a", 1)])]).await;
    let Some(Outcome::Applied(applied)) = leaf.outcomes(1).await.remove(0).outcome else { panic!() };
    assert_eq!(applied.totals, vec![2]);
    cluster.stop().await;
}

#[tokio::test]
async fn a_store_that_goes_away_is_trouble_and_loses_nothing() {
    let Some(server) = RedisServer::start() else { return };
    let cluster = Cluster::with_store(&server.url()).await;
    let mut leaf = cluster.leaf("leaf-0").await;
    leaf.send_cuts(vec![cut("t", (0, 1), &[("a", 1)])]).await;
    assert!(matches!(leaf.outcomes(1).await[0].outcome, Some(Outcome::Applied(_))));
    assert_eq!(cluster.root.trouble(), None);

    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    leaf.send_cuts(vec![cut("t", (1, 2), &[("a", 1)])]).await;
    assert_eq!(leaf.outcomes(1).await[0].outcome, None);
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    leaf.send_cuts(vec![cut("t", (1, 2), &[("a", 1)])]).await;
    assert!(matches!(leaf.outcomes(1).await[0].outcome, Some(Outcome::Applied(_))));

    drop(server);
    harness::eventually(|| cluster.root.trouble().is_some()).await;
    leaf.send_cuts(vec![cut("t", (2, 3), &[("a", 1)])]).await;
    assert_eq!(leaf.outcomes(1).await[0].outcome, None);
    let mut page = countree_common::shell::metrics::Page::default();
    cluster.root.metrics(&mut page);
    let text = page.into_text();
    assert!(text.contains("countree_root_cuts_total{node=\"root-0\",outcome=\"applied\"} 2\n"), "{text}");
    cluster.stop().await;
}
