use crate::broadcast::{Line, Script, totals, watch};
use crate::cluster::{FakeCluster, FakeNode, eventually, soon};
use countree_client::{ClientError, Cluster, Viewer};
use countree_common::cluster::Tier;
use countree_common::document::{Version, counts};
use countree_common::key::Topic;

fn start_node(cluster: &FakeCluster, name: &str, script: &Script) -> FakeNode {
    let script = script.clone();
    cluster.start_node(name, Tier::Broadcast, move |greeted| watch(greeted, script.clone()))
}

fn topics() -> Vec<Topic> {
    vec![Topic::new("live").unwrap()]
}

/// Expects this version and these totals in the next view.
async fn expect(viewer: &mut Viewer, version: u64, of: &[(&str, i64)]) {
    let view = soon(viewer.next()).await.unwrap().unwrap();
    assert_eq!((view.version, view.counts), (version, counts(totals(of))));
}

#[tokio::test]
async fn a_viewer_gets_a_snapshot_and_then_changes_by_stream_and_datagram() {
    let cluster = FakeCluster::start().await;
    let script = Script::new(5, &[("a", 1), ("b", 2)]);
    let _node = start_node(&cluster, "broadcast-0", &script);
    let mut viewer = Viewer::watch(cluster.discover().await, topics());
    expect(&mut viewer, 5, &[("a", 1), ("b", 2)]).await;
    script.lines.send(Line::Datagram(6, totals(&[("b", 3)]))).unwrap();
    expect(&mut viewer, 6, &[("b", 3)]).await;
    script.lines.send(Line::Stream(7, totals(&[("c", 1)]))).unwrap();
    expect(&mut viewer, 7, &[("c", 1)]).await;
}

#[tokio::test]
async fn a_viewer_follows_a_node_that_restarts_on_another_port() {
    let cluster = FakeCluster::start().await;
    let script = Script::new(5, &[("a", 1), ("b", 2)]);
    let node = start_node(&cluster, "broadcast-0", &script);
    let mut viewer = Viewer::watch(cluster.discover().await, topics());
    expect(&mut viewer, 5, &[("a", 1), ("b", 2)]).await;
    node.kill();
    *script.snapshot.lock().unwrap() = (Version { era: 0, number: 9 }, totals(&[("a", 4), ("b", 2)]));
    let _node = start_node(&cluster, "broadcast-0", &script);
    expect(&mut viewer, 9, &[("a", 4)]).await;
    assert_eq!(*script.resumed.lock().unwrap(), Some(Version { era: 0, number: 5 }), "what the viewer held");
}

#[tokio::test]
async fn a_viewer_that_is_sent_away_goes_to_another_node_and_never_back_in_time() {
    let cluster = FakeCluster::start().await;
    let scripts = [Script::new(5, &[("a", 5)]), Script::new(5, &[("a", 5)])];
    let names = ["broadcast-0", "broadcast-1"];
    let _nodes = names.iter().zip(&scripts).map(|(n, s)| start_node(&cluster, n, s)).collect::<Vec<_>>();
    let mut viewer = Viewer::watch(cluster.discover().await, topics());
    expect(&mut viewer, 5, &[("a", 5)]).await;
    let at = scripts.iter().position(|s| s.lines.receiver_count() > 0).unwrap();
    scripts[at].lines.send(Line::Stream(8, totals(&[("a", 8)]))).unwrap();
    expect(&mut viewer, 8, &[("a", 8)]).await;
    scripts[at].lines.send(Line::Move).unwrap();
    scripts[at].lines.send(Line::Stream(8, totals(&[("b", 8)]))).unwrap();
    expect(&mut viewer, 8, &[("b", 8)]).await;
    let other = &scripts[1 - at];
    eventually("the viewer is at the other node", || other.lines.receiver_count() > 0).await;
    // The node's snapshot was older, so only newer totals come out.
    other.lines.send(Line::Stream(9, totals(&[("a", 9)]))).unwrap();
    expect(&mut viewer, 9, &[("a", 9)]).await;
    assert_eq!(*other.resumed.lock().unwrap(), Some(Version { era: 0, number: 8 }), "what the viewer held");
}

#[tokio::test]
async fn a_viewer_that_is_not_let_in_is_told_and_ends() {
    let cluster = FakeCluster::start().await;
    let _node = start_node(&cluster, "broadcast-0", &Script::new(1, &[]));
    let stranger = Cluster::discover(&cluster.url, None).await.unwrap();
    let mut viewer = Viewer::watch(stranger.clone(), topics());
    assert!(matches!(soon(viewer.next()).await, Some(Err(ClientError::Unauthorized(_)))));
    assert_eq!(soon(viewer.next()).await, None);
    let mut viewer = Viewer::watch(stranger, vec![]);
    assert_eq!(soon(viewer.next()).await, Some(Err(ClientError::TopicCount(0))));
}
