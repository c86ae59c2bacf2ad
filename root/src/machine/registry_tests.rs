use super::*;
use crate::machine::retired::KEPT_APART;
use countree_common::cluster::{PastOwners, Tier};
use countree_common::key::{Item, Topic};
use countree_common::ledger::Ledger;
use countree_common::limits::KEY_HISTORY;
use countree_common::stream::StreamId;

const LEASE: Duration = Duration::from_secs(5);

fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn node(called: &str, port: u16) -> Node {
    let quic = ([127, 0, 0, 1], port).into();
    Node { name: name(called), tier: Tier::Leaf, quic, http: None, incarnation: 1 }
}

fn start(incarnation: u64, called: &str) -> Node {
    Node { incarnation, ..node(called, 1) }
}

fn stream(leaf: &str, incarnation: u64) -> StreamId {
    StreamId { leaf: name(leaf), incarnation }
}

fn retired(leaf: &str, incarnation: u64, accepted: u64) -> StreamLedger {
    let ledger = Ledger { accepted, merged: accepted, ..Ledger::default() };
    StreamLedger { stream: StreamId { leaf: name(leaf), incarnation }, sealed: true, ledger }
}

#[test]
fn an_incarnation_is_never_given_twice() {
    let mut registry = Registry::default();
    let given: Vec<_> =
        [0, 0, 9, 3, 0].map(|at_least| registry.join(&name("a"), Tier::Leaf, at_least).unwrap()).into();
    assert_eq!(given, [1, 2, 9, 10, 11]);
    registry.leave(&name("a"));
    assert_eq!(registry.join(&name("a"), Tier::Leaf, 0), Ok(12));
    assert_eq!(registry.join(&name("b"), Tier::Leaf, 0), Ok(1));
    // A registry that fell back learns from those that still live, and from what they leave.
    let mut fallen = Registry::default();
    fallen.heartbeat(&start(12, "a"), WallMs(0), LEASE).unwrap();
    fallen.retire(&[retired("b", 4, 0)]).unwrap();
    assert_eq!(["a", "b"].map(|leaf| fallen.join(&name(leaf), Tier::Leaf, 0)), [Ok(13), Ok(5)]);
}

#[test]
fn starts_of_roots_and_broadcast_nodes_are_told_apart_without_a_memory_of_their_names() {
    let mut registry = Registry::default();
    let mut given = Vec::new();
    for start in 0..3 * NAMES_REMEMBERED {
        let (tier, called) =
            if start % 2 == 0 { (Tier::Root, "root") } else { (Tier::Broadcast, "broadcast") };
        given.push(registry.join(&name(&format!("{called}-{start}")), tier, 0).unwrap());
    }
    assert!(given.is_sorted_by(|a, b| a < b), "each is later than all before");
    assert!(registry.to_text().unwrap().len() < 1_000, "whatever their number");
    for leaf in 0..NAMES_REMEMBERED {
        registry.join(&name(&format!("leaf-{leaf}")), Tier::Leaf, 0).unwrap();
    }
    assert_eq!(registry.join(&name("one-more"), Tier::Leaf, 0), Err(RegistryFull::Names));
    assert_eq!(registry.join(&name("leaf-0"), Tier::Leaf, 0), Ok(2));
}

#[test]
fn a_leaf_that_has_settled_stays_so_until_it_starts_again() {
    let mut registry = Registry::default();
    let incarnation = registry.join(&name("a"), Tier::Leaf, 0).unwrap();
    let leaf = start(incarnation, "a");
    registry.heartbeat(&leaf, WallMs(0), LEASE).unwrap();
    let stream = stream("a", incarnation);
    registry.settle(&stream, &[], registry.epoch(), WallMs(1)).unwrap();
    let settled = registry.clone();
    registry.heartbeat(&leaf, WallMs(2), LEASE).unwrap();
    assert_eq!(registry, settled, "a heartbeat that comes late");
    assert!(!registry.needs_heartbeat(&leaf, WallMs(2), LEASE));

    let again = start(registry.join(&leaf.name, Tier::Leaf, 0).unwrap(), "a");
    registry.heartbeat(&again, WallMs(3), LEASE).unwrap();
    let live = registry.clone();
    let refused = registry.settle(&stream, &[], registry.epoch(), WallMs(4));
    assert_eq!(refused, Err(NotSettled::StartedAgain(name("a"))));
    assert_eq!(registry, live, "the last word of the start before, once more");
    registry.leave(&again.name);
    assert_eq!(registry.away(), [name("a")]);
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
    registry.join(&name("a"), Tier::Leaf, 4).unwrap();
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
            registry.retire(&[retired("a", incarnation, incarnation)]).unwrap();
            registry.retire(&[retired("b", 1, 5)]).unwrap();
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

/// A leaf that has left and come back still has their logs, and an audit must know them for the same.
#[test]
fn retired_streams_whose_logs_a_leaf_has_are_kept_apart() {
    let mut registry = Registry::default();
    for last in 1..=100 {
        let streams: Vec<_> = (1..=last).map(|incarnation| retired("a", incarnation, 1)).collect();
        registry.retire(&streams).unwrap();
    }
    assert_eq!(registry.ledgers().len(), 100);
    registry.retire(&[retired("a", 99, 1)]).unwrap();
    assert_eq!(registry.ledgers().len(), KEPT_APART + 1, "the logs of those before are gone");
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
    assert_eq!(registry.settle(&stream("leaf-0", 1), &[], registry.epoch(), WallMs(0)), Ok(true));
    assert!(registry.away().is_empty());
}

/// A registry with these leaves in it since 0.
fn leaves(names: &[&str]) -> Registry {
    let mut registry = Registry::default();
    for called in names {
        registry.heartbeat(&node(called, 1), WallMs(0), LEASE).unwrap();
    }
    registry
}

fn names(names: &[&str]) -> Vec<NodeName> {
    names.iter().map(|called| name(called)).collect()
}

fn past(until: u64, owners: &[&str]) -> PastOwners {
    PastOwners { until: WallMs(until), owners: names(owners) }
}

#[test]
fn leaves_that_may_come_back_own_keys_and_their_past_is_kept() {
    let mut registry = leaves(&["a", "b"]);
    registry.expire(WallMs(0) + LEASE * 2);
    assert_eq!(registry.view().keys.owners, names(&["a", "b"]), "both may come back");
    registry.heartbeat(&node("c", 1), WallMs(20_000), LEASE).unwrap();
    registry.heartbeat(&node("a", 2), WallMs(21_000), LEASE).unwrap();
    registry.settle(&stream("a", 2), &names(&["b", "c"]), registry.epoch(), WallMs(30_000)).unwrap();
    let keys = registry.view().keys;
    assert_eq!(keys.owners, names(&["b", "c"]));
    let sets = [past(30_000, &["a", "b", "c"]), past(20_000, &["a", "b"]), past(0, &["a"])];
    assert_eq!((keys.past, keys.whole_from), (sets.to_vec(), WallMs(0)));
}

#[test]
fn a_leaf_settles_only_with_the_heirs_of_the_moment() {
    let mut registry = leaves(&["a", "b"]);
    let before = registry.clone();
    for heirs in [&[][..], &["c"], &["b", "c"]] {
        let refused = registry.settle(&stream("a", 1), &names(heirs), registry.epoch(), WallMs(1));
        assert_eq!(refused, Err(NotSettled::OtherHeirs { owners: names(&["b"]), since: 2 }));
    }
    assert_eq!(registry, before);
    registry.settle(&stream("a", 1), &names(&["b"]), registry.epoch(), WallMs(1)).unwrap();
    let settled = registry.clone();
    registry.settle(&stream("a", 1), &names(&["x"]), registry.epoch(), WallMs(2)).unwrap();
    assert_eq!(registry, settled, "a repeat changes nothing");
}

/// Two leaves leave, each the other's heir. The first hands back what it was given, goes with its disk, and is back
/// empty under its name before the second has settled.
#[test]
fn an_heir_that_left_and_came_back_is_another() {
    let mut registry = leaves(&["a", "b"]);
    let handed_over = registry.epoch();
    assert_eq!(registry.settle(&stream("a", 1), &names(&["b"]), handed_over, WallMs(1)), Ok(false));
    registry.heartbeat(&start(2, "a"), WallMs(2), LEASE).unwrap();
    let before = registry.clone();
    let refused = registry.settle(&stream("b", 1), &names(&["a"]), handed_over, WallMs(3));
    let since = registry.epoch();
    assert_eq!(refused, Err(NotSettled::OtherHeirs { owners: names(&["a"]), since }));
    assert_eq!(registry, before);
    assert_eq!(registry.settle(&stream("b", 1), &names(&["a"]), since, WallMs(4)), Ok(false));
}

/// What the store has forgotten may have been that an heir left.
#[test]
fn after_a_fall_back_of_the_registry_keys_are_handed_over_anew() {
    let mut registry = leaves(&["a", "b"]);
    let handed_over = registry.epoch();
    registry.exceed(handed_over + 7);
    let settled =
        |registry: &mut Registry, epoch| registry.settle(&stream("a", 1), &names(&["b"]), epoch, WallMs(1));
    assert!(settled(&mut registry, handed_over).is_err());
    let epoch = registry.epoch();
    assert_eq!(settled(&mut registry, epoch), Ok(false));
}

/// The answer to the last leaf is lost, and another joins before it asks again.
#[test]
fn the_last_leaf_hears_again_that_it_keeps_its_keys_whoever_has_come_since() {
    let mut registry = leaves(&["a"]);
    assert_eq!(registry.settle(&stream("a", 1), &[], registry.epoch(), WallMs(1)), Ok(true));
    registry.heartbeat(&node("b", 1), WallMs(2), LEASE).unwrap();
    for heirs in [&[][..], &["b"]] {
        assert_eq!(registry.settle(&stream("a", 1), &names(heirs), registry.epoch(), WallMs(3)), Ok(true));
    }
    assert_eq!(registry.view().keys.owners, names(&["a", "b"]));
}

#[test]
fn the_last_leaf_keeps_its_keys_until_it_is_back() {
    let mut registry = leaves(&["a"]);
    registry.settle(&stream("a", 1), &[], registry.epoch(), WallMs(1)).unwrap();
    assert!(registry.away().is_empty(), "it left nothing unmerged");
    registry.heartbeat(&node("b", 1), WallMs(2), LEASE).unwrap();
    assert_eq!(registry.view().keys.owners, names(&["a", "b"]));
    let refused = registry.settle(&stream("b", 1), &[], registry.epoch(), WallMs(3));
    let others = NotSettled::OtherHeirs { owners: names(&["a"]), since: registry.epoch() };
    assert_eq!(refused, Err(others), "a owns keys still");
    registry.heartbeat(&start(2, "a"), WallMs(4), LEASE).unwrap();
    registry.settle(&stream("a", 2), &names(&["b"]), registry.epoch(), WallMs(5)).unwrap();
    assert_eq!(registry.view().keys.owners, names(&["b"]));
}

#[test]
fn a_dead_leaf_is_given_up_with_what_it_knew() {
    let mut registry = leaves(&["a", "b"]);
    assert_eq!(registry.forget(&name("a"), WallMs(1)), Err(StillLive(name("a"))));
    registry.expire(WallMs(0) + LEASE * 2);
    let epoch = registry.epoch();
    for _ in 0..2 {
        registry.forget(&name("a"), WallMs(20_000)).unwrap();
        registry.forget(&name("unseen"), WallMs(20_000)).unwrap();
    }
    assert_eq!(registry.epoch(), epoch + 1);
    assert_eq!(registry.away(), names(&["b"]));
    let keys = registry.view().keys;
    assert_eq!((keys.owners, keys.lost), (names(&["b"]), vec![(name("a"), WallMs(20_000))]));
    assert_eq!(keys.past[0], past(20_000, &["a", "b"]));
}

#[test]
fn the_past_of_keys_is_bounded_and_says_from_when_it_is_whole() {
    let mut registry = leaves(&["a", "b"]);
    let changes = 4 * KEY_HISTORY as u64;
    for at in 1..=changes {
        registry.settle(&stream("b", at), &names(&["a"]), registry.epoch(), WallMs(2 * at)).unwrap();
        registry.heartbeat(&start(at + 1, "b"), WallMs(2 * at + 1), LEASE).unwrap();
    }
    let keys = registry.view().keys;
    assert_eq!(keys.past.len(), KEY_HISTORY);
    assert_eq!(keys.whole_from.0, keys.past.last().unwrap().until.0 - 1, "the one before was dropped");

    let later = WallMs(2 * changes) + Duration::from_secs(25 * 60 * 60);
    registry.settle(&stream("b", changes + 1), &names(&["a"]), registry.epoch(), later).unwrap();
    let keys = registry.view().keys;
    assert_eq!((keys.past, keys.whole_from), (vec![past(later.0, &["a", "b"])], WallMs(2 * changes + 1)));
}

#[test]
fn a_registry_of_before_key_records_knows_keys_from_its_next_change_on() {
    let mut text = serde_json::to_value(leaves(&["a"])).unwrap();
    let fields = text.as_object_mut().unwrap();
    for field in ["keys", "splits", "unsettled"] {
        fields.remove(field).unwrap();
    }
    let mut registry = Registry::from_text(&text.to_string()).unwrap();
    assert_eq!(registry.view().keys.owners, names(&["a"]));
    assert_eq!(registry.view().keys.whole_from, WallMs(u64::MAX));
    registry.heartbeat(&node("a", 2), WallMs(9_000), LEASE).unwrap();
    assert_eq!(registry.view().keys.whole_from, WallMs(9_000));
    assert_eq!(Registry::from_text(&registry.to_text().unwrap()).unwrap(), registry);
}

#[test]
fn splits_are_part_of_the_view() {
    let mut registry = leaves(&["a", "b"]);
    let split =
        |item: &str, ways| Split { topic: Topic::new("t").unwrap(), item: Item::new(item).unwrap(), ways };
    let epoch = registry.epoch();
    for _ in 0..2 {
        registry.split(&[split("y", 2), split("x", 4)]);
    }
    let view = registry.view();
    assert_eq!((view.epoch, view.splits.clone()), (epoch + 1, vec![split("x", 4), split("y", 2)]));
    let [x, y, z] = ["x", "y", "z"].map(|item| view.ways(&split(item, 0).topic, &split(item, 0).item));
    assert_eq!([x, y, z], [4, 2, 1]);
}

fn end(incarnation: u64, last: u64, accepted: u64) -> LogEnd {
    LogEnd { incarnation, last, accepted }
}

/// Its keys are nobody's to judge from then on, though its name owns keys still; and it is called away until somebody
/// gives up what is missing.
#[test]
fn a_leaf_that_comes_back_without_its_log_is_not_who_it_was() {
    let mut registry = leaves(&["a", "b"]);
    let ledger = Ledger { accepted: 9, merged: 7, in_flight: 2, declared_lost: 0 };
    registry.reach(&node("a", 1), Reached { last: 5, ledger });
    let (epoch, text) = (registry.epoch(), registry.to_text().unwrap());
    let joined = registry.join_on_log(&name("a"), &[], 40, WallMs(7)).unwrap();
    assert_eq!(joined, (42, vec![stream("a", 1)]), "the number jumps");
    let keys = registry.view().keys;
    assert_eq!((keys.owners, keys.lost), (names(&["a", "b"]), vec![(name("a"), WallMs(7))]));
    assert_eq!(keys.past[0], past(7, &["a", "b"]));
    assert!(registry.epoch() > epoch, "others hear of it");
    let refused = registry.settle(&stream("b", 1), &names(&["a"]), epoch, WallMs(8));
    assert!(matches!(refused, Err(NotSettled::OtherHeirs { .. })), "what a was given is lost: {refused:?}");

    registry.heartbeat(&start(42, "a"), WallMs(8), LEASE).unwrap();
    assert_eq!(registry.away(), names(&["a"]), "though it lives");
    assert_eq!(registry.ledgers()[0].ledger, ledger);
    registry.forget(&name("a"), WallMs(9)).unwrap();
    let declared = Ledger { in_flight: 0, declared_lost: 2, ..ledger };
    assert_eq!((registry.away(), registry.ledgers()[0].ledger), (vec![], declared));
    assert!(registry.forget(&name("a"), WallMs(9)).is_err(), "nothing is missing any more");

    // With its log it is who it was.
    let mut registry = Registry::from_text(&text).unwrap();
    let joined = registry.join_on_log(&name("a"), &[end(1, 6, 9)], 0, WallMs(7)).unwrap();
    assert_eq!((joined, registry.epoch(), registry.away()), ((2, vec![]), epoch, vec![]));
}

#[test]
fn a_leaf_that_has_settled_may_come_back_empty() {
    let mut registry = leaves(&["a", "b"]);
    registry.settle(&stream("a", 1), &names(&["b"]), registry.epoch(), WallMs(1)).unwrap();
    let joined = registry.join_on_log(&name("a"), &[], 0, WallMs(2)).unwrap();
    assert_eq!((joined, registry.view().keys.lost.len()), ((2, vec![]), 0));
    // On its folder, or on a copy from before it left, whose sessions have ended since.
    registry.heartbeat(&start(5, "a"), WallMs(3), LEASE).unwrap();
    registry.settle(&stream("a", 5), &names(&["b"]), registry.epoch(), WallMs(4)).unwrap();
    for (log, missing) in [(end(5, 9, 9), vec![]), (end(4, 9, 9), vec![stream("a", 5)])] {
        let (_, told) = registry.clone().join_on_log(&name("a"), &[log], 0, WallMs(5)).unwrap();
        assert_eq!((told, registry.away()), (missing, vec![]));
    }
}
