use super::*;
use crate::machine::retired::KEPT_APART;
use countree_common::cluster::Tier;
use countree_common::ledger::Ledger;
use countree_common::stream::StreamId;

const LEASE: Duration = Duration::from_secs(5);

fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn node(called: &str, port: u16) -> Node {
    let quic = ([127, 0, 0, 1], port).into();
    Node { name: name(called), tier: Tier::Leaf, quic, http: None, incarnation: 1 }
}

fn retired(leaf: &str, incarnation: u64, accepted: u64) -> StreamLedger {
    let ledger = Ledger { accepted, merged: accepted, ..Ledger::default() };
    StreamLedger { stream: StreamId { leaf: name(leaf), incarnation }, sealed: true, ledger }
}

#[test]
fn an_incarnation_is_never_given_twice() {
    let mut registry = Registry::default();
    let given: Vec<_> = [0, 0, 9, 3, 0].map(|at_least| registry.join(&name("a"), at_least).unwrap()).into();
    assert_eq!(given, [1, 2, 9, 10, 11]);
    registry.leave(&name("a"));
    assert_eq!(registry.join(&name("a"), 0), Ok(12));
    assert_eq!(registry.join(&name("b"), 0), Ok(1));
}

#[test]
fn the_epoch_counts_changes_of_the_view_and_nothing_else() {
    let mut registry = Registry::default();
    let mut epochs = Vec::new();
    let beats = [(node("a", 1), 0), (node("a", 1), 100), (node("b", 2), 200), (node("a", 7), 300)];
    for (node, at) in beats {
        registry.heartbeat(&node, WallMs(at), LEASE).unwrap();
        epochs.push(registry.epoch());
    }
    assert_eq!(epochs, [1, 1, 2, 3]);
    let older = Node { incarnation: 0, ..node("a", 1) };
    registry.heartbeat(&older, WallMs(400), LEASE).unwrap();
    assert_eq!(registry.view().node(&name("a")), Some(&node("a", 7)), "an older start is ignored");
    for _ in 0..2 {
        registry.leave(&name("a"));
        assert_eq!(registry.epoch(), 4);
    }
}

#[test]
fn a_lease_runs_out() {
    let mut registry = Registry::default();
    registry.heartbeat(&node("a", 1), WallMs(1_000), LEASE).unwrap();
    registry.heartbeat(&node("b", 2), WallMs(3_000), LEASE).unwrap();
    assert!(!registry.needs_heartbeat(&node("a", 1), WallMs(2_000), LEASE));
    assert!(registry.needs_heartbeat(&node("a", 1), WallMs(4_000), LEASE), "more than half is gone");
    assert!(registry.needs_heartbeat(&node("a", 9), WallMs(2_000), LEASE), "the address has changed");
    assert!(!registry.has_expired(WallMs(6_000)) && registry.has_expired(WallMs(6_001)));
    registry.expire(WallMs(6_001));
    assert_eq!(registry.view().nodes, [node("b", 2)]);
    assert_eq!(registry.epoch(), 3);
}

#[test]
fn it_comes_back_from_its_text() {
    let mut registry = Registry::default();
    registry.join(&name("a"), 4).unwrap();
    registry.heartbeat(&node("a", 1), WallMs(1_000), LEASE).unwrap();
    registry.retire(&[retired("a", 3, 10)]).unwrap();
    assert_eq!(Registry::from_text(&registry.to_text().unwrap()).unwrap(), registry);
    assert!(Registry::from_text("{}").is_err());
}

#[test]
fn retired_ledgers_keep_their_sum_and_stay_few() {
    let mut registry = Registry::default();
    for incarnation in 1..=1_000 {
        for _ in 0..2 {
            registry.retire(&[retired("a", incarnation, incarnation), retired("b", 1, 5)]).unwrap();
        }
    }
    let ledgers = registry.ledgers();
    let sum_of = |leaf: &str| {
        let mut sum = Ledger::default();
        ledgers.iter().filter(|l| l.stream.leaf == name(leaf)).for_each(|l| sum += l.ledger);
        sum
    };
    assert_eq!(ledgers.len(), KEPT_APART + 1 + 1);
    assert_eq!((sum_of("a").accepted, sum_of("b").accepted), (500_500, 5));
    assert_eq!(ledgers[0].stream.incarnation, 0, "the older ones are one entry");
    assert!(sum_of("a").balanced());
}

#[test]
fn a_forgotten_epoch_is_exceeded() {
    let mut registry = Registry::default();
    registry.heartbeat(&node("a", 1), WallMs(0), LEASE).unwrap();
    registry.exceed(1);
    assert_eq!(registry.epoch(), 1);
    registry.exceed(8);
    assert_eq!(registry.epoch(), 9);
}

#[test]
fn a_leaf_is_away_until_it_comes_back_or_says_that_it_is_settled() {
    let mut registry = Registry::default();
    let leaf = node("leaf-0", 1);
    registry.heartbeat(&leaf, WallMs(0), LEASE).unwrap();
    let root = Node { tier: Tier::Root, ..node("root-0", 2) };
    registry.heartbeat(&root, WallMs(0), LEASE).unwrap();
    assert!(registry.away().is_empty(), "it is live");
    registry.expire(WallMs(0) + LEASE * 2);
    assert_eq!(registry.away(), std::slice::from_ref(&leaf.name), "only leaves hold events");
    registry.heartbeat(&leaf, WallMs(0) + LEASE * 2, LEASE).unwrap();
    registry.leave(&leaf.name);
    assert_eq!(registry.away(), std::slice::from_ref(&leaf.name), "leaving does not say that all is merged");
    registry.settle(&leaf.name);
    assert!(registry.away().is_empty());
}
