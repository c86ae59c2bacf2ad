//! Viewers over QUIC.

use super::viewer::Viewer;
use super::{House, soon};
use std::time::Duration;

async fn until(what: &str, is: impl Fn() -> bool) {
    soon(what, async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_sees_a_snapshot_and_then_changes_as_datagrams() {
    let house = House::open().await;
    house.root.merge("live/a", &[("post", "like", 5), ("post", "view", 9)]);
    let mut viewer = Viewer::connect(&house).await;
    viewer.watch(&["live/a", "live/never-counted"]).await;
    viewer.until("the snapshot", |v| v.total("live/a", "post", "view") == Some(9)).await;
    for n in 6..40 {
        house.root.merge("live/a", &[("post", "like", 1)]);
        house.root.merge("live/never-counted", &[("post", "like", 1)]);
        viewer.until("a change", |v| v.total("live/a", "post", "like") == Some(n)).await;
    }
    viewer.until("the other topic", |v| v.total("live/never-counted", "post", "like") == Some(34)).await;
    assert!(viewer.datagrams > 10, "{} datagrams", viewer.datagrams);
    assert_eq!(house.metric("countree_broadcast_viewers"), 1.0);
    assert_eq!(house.metric("countree_broadcast_topics"), 2.0);
    assert!(house.metric("countree_broadcast_deliveries_total") > 34.0);

    viewer.connection.close(0u32.into(), b"seen enough");
    house.until_metric("countree_broadcast_viewers", |viewers| viewers == 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_reads_nothing_does_not_hold_up_another() {
    let house = House::open().await;
    let items: Vec<String> = (0..2_000).map(|n| format!("an-item-with-a-long-name-{n}")).collect();
    let all = |delta| items.iter().map(|i| (i.as_str(), "like", delta)).collect::<Vec<_>>();
    house.root.merge("busy", &all(1));
    let mut stalled = Viewer::with_window(&house, 1_000).await;
    stalled.watch(&["busy"]).await;
    let mut quick = Viewer::connect(&house).await;
    quick.watch(&["busy"]).await;
    quick.until("the snapshot", |v| v.total("busy", &items[1_999], "like") == Some(1)).await;
    // Far more than the stalled viewer's stream and the buffers on its way take.
    for n in 2..60 {
        house.root.merge("busy", &all(1));
        quick.until("a change", |v| v.total("busy", &items[1_999], "like") == Some(n)).await;
    }
    house.until_metric("countree_broadcast_skips_total", |skips| skips > 0.0).await;
    stalled.until("the newest, once it reads", |v| v.total("busy", &items[7], "like") == Some(59)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_link_to_a_root_is_made_again_and_nothing_is_missed() {
    let house = House::open().await;
    let mut viewer = Viewer::connect(&house).await;
    viewer.watch(&["t"]).await;
    until("interest", || house.root.interest("t") == 1).await;
    house.root.merge("t", &[("a", "like", 1)]);
    viewer.until("the first like", |v| v.total("t", "a", "like") == Some(1)).await;
    house.root.break_links();
    house.root.merge("t", &[("a", "like", 1)]);
    viewer.until("what happened meanwhile", |v| v.total("t", "a", "like") == Some(2)).await;
    until("interest again", || house.root.interest("t") == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_sends_its_viewers_elsewhere() {
    let house = House::open().await;
    let mut viewer = Viewer::connect(&house).await;
    viewer.watch(&["t"]).await;
    until("interest", || house.root.interest("t") == 1).await;
    until("its place in the view", || house.root.lists("broadcast-0")).await;
    let House { root, node, .. } = house;
    let stopping = tokio::spawn(node.stop());
    let reason = viewer.until_moved().await;
    assert!(reason.contains("leaving"), "{reason}");
    drop(viewer);
    soon("the node to stop", stopping).await.unwrap();
    assert!(!root.lists("broadcast-0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_packet_carries_all_topics_of_a_tick() {
    let house = House::open().await;
    let topics: Vec<String> = (0..20).map(|n| format!("topic-{n}")).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let mut viewer = Viewer::connect(&house).await;
    viewer.watch(&topics).await;
    let merge_all = || topics.iter().for_each(|t| house.root.merge(t, &[("a", "like", 1)]));
    merge_all();
    viewer.until("all snapshots", |v| topics.iter().all(|t| v.total(t, "a", "like") == Some(1))).await;
    let packets = |h: &House| {
        h.metric("countree_broadcast_datagrams_total") + h.metric("countree_broadcast_stream_writes_total")
    };
    let before = packets(&house);
    merge_all();
    viewer.until("all changes", |v| topics.iter().all(|t| v.total(t, "a", "like") == Some(2))).await;
    // A slow machine may spread the merges over several ticks.
    assert!(packets(&house) - before <= 10.0, "20 topics in {} packets", packets(&house) - before);
}
