use super::*;
use countree_common::key::Topic;

fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn leaf(of: &str) -> Node {
    Node { name: name(of), tier: Tier::Leaf, quic: ([127, 0, 0, 1], 1).into(), http: None, incarnation: 1 }
}

fn view(leaves: &[&str]) -> ClusterView {
    ClusterView { epoch: 1, nodes: leaves.iter().map(|of| leaf(of)).collect(), ..ClusterView::default() }
}

fn at(era: u64, number: u64) -> Version {
    Version { era, number }
}

fn snapshot(version: Version) -> Snapshot {
    Snapshot { topic: Topic::new("t").unwrap(), version, totals: Vec::new() }
}

fn steps(read: &mut CompleteRead) -> Vec<Step> {
    std::iter::from_fn(|| read.poll_step()).collect()
}

/// Starts a read that has asked these leaves.
fn asked(leaves: &[&str], away: &[&str]) -> CompleteRead {
    let mut read = CompleteRead::begin();
    assert_eq!(steps(&mut read), [Step::Members]);
    read.handle_members(Some((view(leaves), away.iter().map(|of| name(of)).collect())));
    let flush = |of: &&str| Step::Flush { leaf: leaf(of), read: Version::default() };
    assert_eq!(steps(&mut read), leaves.iter().map(flush).collect::<Vec<_>>());
    read
}

#[test]
fn every_live_leaf_flushes_before_the_topic_is_read_and_those_away_are_named() {
    let mut read = asked(&["leaf-0", "leaf-2"], &["leaf-1"]);
    read.handle_flushed(&name("leaf-2"), Some(at(1, 4)));
    assert_eq!(steps(&mut read), []);
    read.handle_flushed(&name("leaf-0"), Some(at(0, 0)));
    assert_eq!(steps(&mut read), [Step::Read]);
    read.handle_read(Some(snapshot(at(1, 5))));
    assert_eq!(steps(&mut read), [Step::Done { snapshot: snapshot(at(1, 5)), away: vec![name("leaf-1")] }]);
}

#[test]
fn a_leaf_that_does_not_answer_is_asked_again_unless_it_is_away_by_then() {
    let mut read = asked(&["leaf-0", "leaf-1"], &[]);
    read.handle_flushed(&name("leaf-0"), Some(at(1, 4)));
    read.handle_flushed(&name("leaf-1"), None);
    assert_eq!(steps(&mut read), [Step::Wait]);
    assert_eq!(read.waits_for().collect::<Vec<_>>(), [&name("leaf-1")]);
    read.handle_waited();
    assert_eq!(steps(&mut read), [Step::Members]);
    read.handle_members(Some((view(&["leaf-0"]), vec![name("leaf-1")])));
    assert_eq!(steps(&mut read), [Step::Read], "the other one has flushed already");
}

#[test]
fn what_the_store_forgot_after_a_flush_is_not_passed_over() {
    let mut read = asked(&["leaf-0", "leaf-1"], &[]);
    read.handle_flushed(&name("leaf-0"), Some(at(1, 9)));
    read.handle_flushed(&name("leaf-1"), Some(at(1, 3)));
    assert_eq!(steps(&mut read), [Step::Read]);
    read.handle_read(Some(snapshot(at(1, 5))));
    assert_eq!(steps(&mut read), [Step::Flush { leaf: leaf("leaf-0"), read: at(1, 5) }]);
    read.handle_flushed(&name("leaf-0"), Some(at(2, 6)));
    assert_eq!(steps(&mut read), [Step::Read]);
    read.handle_read(Some(snapshot(at(2, 6))));
    let again = |of| Step::Flush { leaf: leaf(of), read: at(2, 6) };
    assert_eq!(steps(&mut read), [again("leaf-1")], "an era that it knows nothing of");
    read.handle_flushed(&name("leaf-1"), Some(at(2, 6)));
    read.handle_read(Some(snapshot(at(2, 7))));
    assert!(matches!(steps(&mut read)[..], [Step::Read, Step::Done { .. }]));
}

#[test]
fn without_an_answer_it_is_tried_again() {
    let mut read = CompleteRead::begin();
    read.handle_members(None);
    assert_eq!(steps(&mut read), [Step::Members, Step::Wait]);
    let mut read = asked(&["leaf-0"], &[]);
    read.handle_flushed(&name("leaf-0"), Some(at(1, 1)));
    read.handle_read(None);
    assert_eq!(steps(&mut read), [Step::Read, Step::Wait]);
}

#[test]
fn a_registry_without_a_leaf_says_nothing() {
    let mut read = CompleteRead::begin();
    read.handle_members(Some((view(&[]), Vec::new())));
    assert_eq!(steps(&mut read), [Step::Members, Step::Wait]);
    read.handle_waited();
    read.handle_members(Some((view(&[]), vec![name("leaf-0")])));
    assert_eq!(steps(&mut read), [Step::Members, Step::Read], "all are away, and named");
}
