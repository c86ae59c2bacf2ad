use super::testing::{LEASE, handover, leaves, name, names, node, past, retired, start, stream};
use super::*;
use crate::machine::registry::retired::KEPT_APART;
use countree_common::cluster::Tier;
use countree_common::key::{Item, Topic};
use countree_common::ledger::Ledger;
use countree_common::limits::KEY_HISTORY;

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

/// A leaf that has left and come back still has the logs of its retired streams, and the audit must recognise them.
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
    assert_eq!(registry.settle(&stream("leaf-0", 1), &handover(&[], registry.epoch()), WallMs(0)), Ok(true));
    assert!(registry.away().is_empty());
}

#[test]
fn leaves_that_may_come_back_own_keys_and_their_past_is_kept() {
    let mut registry = leaves(&["a", "b"]);
    registry.expire(WallMs(0) + LEASE * 2);
    assert_eq!(registry.view().keys.owners, names(&["a", "b"]), "both may come back");
    registry.heartbeat(&node("c", 1), WallMs(20_000), LEASE).unwrap();
    registry.heartbeat(&node("a", 2), WallMs(21_000), LEASE).unwrap();
    registry.settle(&stream("a", 2), &handover(&["b", "c"], registry.epoch()), WallMs(30_000)).unwrap();
    let keys = registry.view().keys;
    assert_eq!(keys.owners, names(&["b", "c"]));
    let sets = [past(30_000, &["a", "b", "c"]), past(20_000, &["a", "b"]), past(0, &["a"])];
    assert_eq!((keys.past, keys.whole_from), (sets.to_vec(), WallMs(0)));
}

#[test]
fn the_past_of_keys_is_bounded_and_says_from_when_it_is_whole() {
    let mut registry = leaves(&["a", "b"]);
    let changes = 4 * KEY_HISTORY as u64;
    for at in 1..=changes {
        registry.settle(&stream("b", at), &handover(&["a"], registry.epoch()), WallMs(2 * at)).unwrap();
        registry.heartbeat(&start(at + 1, "b"), WallMs(2 * at + 1), LEASE).unwrap();
    }
    let keys = registry.view().keys;
    assert_eq!(keys.past.len(), KEY_HISTORY);
    assert_eq!(keys.whole_from.0, keys.past.last().unwrap().until.0 - 1, "the one before was dropped");

    let later = WallMs(2 * changes) + Duration::from_secs(25 * 60 * 60);
    registry.settle(&stream("b", changes + 1), &handover(&["a"], registry.epoch()), later).unwrap();
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
