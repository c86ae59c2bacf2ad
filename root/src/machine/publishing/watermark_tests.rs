use super::*;
use countree_common::cluster::Node;

fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn view(leaves: &[&str]) -> ClusterView {
    let node = |leaf: &&str| Node {
        name: name(leaf),
        tier: Tier::Leaf,
        quic: "127.0.0.1:1".parse().unwrap(),
        http: None,
        incarnation: 1,
    };
    ClusterView { epoch: 1, nodes: leaves.iter().map(node).collect(), ..Default::default() }
}

/// Watermarks under a view that the store confirms for as long as these tests last.
fn confirmed() -> Watermarks {
    let mut watermarks = Watermarks::default();
    watermarks.handle_confirmation(WallMs(1_000));
    watermarks
}

#[test]
fn it_is_the_least_of_the_live_leaves() {
    let mut watermarks = confirmed();
    assert_eq!(watermarks.handle_view(&view(&["a", "b"])), None);
    assert_eq!(watermarks.handle_echo(&name("a"), WallMs(50)), None, "b has not reported");
    assert_eq!(watermarks.handle_echo(&name("b"), WallMs(40)), Some(WallMs(40)));
    assert_eq!(watermarks.handle_echo(&name("a"), WallMs(60)), None);
    assert_eq!(watermarks.handle_echo(&name("b"), WallMs(55)), Some(WallMs(55)));
}

#[test]
fn it_never_goes_back() {
    let mut watermarks = confirmed();
    watermarks.handle_view(&view(&["a"]));
    assert_eq!(watermarks.handle_echo(&name("a"), WallMs(50)), Some(WallMs(50)));
    assert_eq!(watermarks.handle_echo(&name("a"), WallMs(10)), None, "a leaf that starts again");
    assert_eq!(watermarks.handle_view(&view(&["a", "b"])), None, "a leaf that is new");
    assert_eq!(watermarks.handle_echo(&name("b"), WallMs(45)), None);
    assert_eq!(watermarks.watermark(), WallMs(50));
}

#[test]
fn nothing_is_known_of_a_new_era_until_every_leaf_has_answered_in_it() {
    let mut watermarks = confirmed();
    watermarks.handle_view(&view(&["a", "b"]));
    watermarks.handle_echo(&name("a"), WallMs(50));
    watermarks.handle_echo(&name("b"), WallMs(50));
    watermarks.forget();
    assert_eq!(watermarks.watermark(), WallMs(0));
    assert_eq!(watermarks.handle_echo(&name("a"), WallMs(60)), None);
    assert_eq!(watermarks.handle_echo(&name("b"), WallMs(55)), Some(WallMs(55)));
}

#[test]
fn a_leaf_that_is_gone_holds_nothing_back_and_starts_anew_when_it_returns() {
    let mut watermarks = confirmed();
    watermarks.handle_view(&view(&["a", "b"]));
    watermarks.handle_echo(&name("a"), WallMs(50));
    watermarks.handle_echo(&name("b"), WallMs(10));
    assert_eq!(watermarks.handle_view(&view(&["a"])), Some(WallMs(50)));
    watermarks.handle_view(&view(&["a", "b"]));
    assert_eq!(watermarks.handle_echo(&name("a"), WallMs(70)), None);
    assert_eq!(watermarks.handle_echo(&name("b"), WallMs(60)), Some(WallMs(60)));
}

#[test]
fn a_report_before_the_view_counts_and_no_leaves_mean_no_watermark() {
    let mut watermarks = confirmed();
    assert_eq!(watermarks.handle_echo(&name("a"), WallMs(50)), None);
    assert_eq!(watermarks.handle_view(&view(&["a"])), Some(WallMs(50)));
    assert_eq!(watermarks.handle_view(&view(&[])), None);
    assert_eq!(watermarks.watermark(), WallMs(50));
}

#[test]
fn it_goes_no_further_than_all_leaves_are_known() {
    let mut watermarks = Watermarks::default();
    watermarks.handle_view(&view(&["a"]));
    assert_eq!(watermarks.handle_echo(&name("a"), WallMs(50)), None, "another may be listed by now");
    assert_eq!(watermarks.handle_confirmation(WallMs(40)), Some(WallMs(40)));
    assert_eq!(watermarks.handle_echo(&name("a"), WallMs(60)), None);
    assert_eq!(watermarks.handle_confirmation(WallMs(70)), Some(WallMs(60)));
}
