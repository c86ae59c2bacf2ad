use super::super::testing::{LEASE, handover, leaves, name, names, node, past, start, stream};
use super::*;

#[test]
fn a_leaf_that_has_settled_stays_so_until_it_starts_again() {
    let mut registry = Registry::default();
    let incarnation = registry.join(&name("a"), Tier::Leaf, 0).unwrap();
    let leaf = start(incarnation, "a");
    registry.heartbeat(&leaf, WallMs(0), LEASE).unwrap();
    let stream = stream("a", incarnation);
    registry.settle(&stream, &handover(&[], registry.epoch()), WallMs(1)).unwrap();
    let settled = registry.clone();
    registry.heartbeat(&leaf, WallMs(2), LEASE).unwrap();
    assert_eq!(registry, settled, "a heartbeat that comes late");
    assert!(!registry.needs_heartbeat(&leaf, WallMs(2), LEASE));

    let again = start(registry.join(&leaf.name, Tier::Leaf, 0).unwrap(), "a");
    registry.heartbeat(&again, WallMs(3), LEASE).unwrap();
    let live = registry.clone();
    let refused = registry.settle(&stream, &handover(&[], registry.epoch()), WallMs(4));
    assert_eq!(refused, Err(NotSettled::StartedAgain(name("a"))));
    assert_eq!(registry, live, "the last word of the start before, once more");
    registry.leave(&again.name);
    assert_eq!(registry.away(), [name("a")]);
}

#[test]
fn a_leaf_settles_only_with_the_heirs_of_the_moment() {
    let mut registry = leaves(&["a", "b"]);
    let before = registry.clone();
    for successors in [&[][..], &["c"], &["b", "c"]] {
        let refused = registry.settle(&stream("a", 1), &handover(successors, registry.epoch()), WallMs(1));
        assert_eq!(refused, Err(NotSettled::OtherHeirs { owners: names(&["b"]), since: 2 }));
    }
    assert_eq!(registry, before);
    registry.settle(&stream("a", 1), &handover(&["b"], registry.epoch()), WallMs(1)).unwrap();
    let settled = registry.clone();
    registry.settle(&stream("a", 1), &handover(&["x"], registry.epoch()), WallMs(2)).unwrap();
    assert_eq!(registry, settled, "a repeat changes nothing");
}

/// Two leaves leave, each the other's successor. The first hands back what it was given, goes with its disk, and is
/// back empty under its name before the second has settled.
#[test]
fn an_heir_that_left_and_came_back_is_another() {
    let mut registry = leaves(&["a", "b"]);
    let handed_over = registry.epoch();
    assert_eq!(registry.settle(&stream("a", 1), &handover(&["b"], handed_over), WallMs(1)), Ok(false));
    registry.heartbeat(&start(2, "a"), WallMs(2), LEASE).unwrap();
    let before = registry.clone();
    let refused = registry.settle(&stream("b", 1), &handover(&["a"], handed_over), WallMs(3));
    let since = registry.epoch();
    assert_eq!(refused, Err(NotSettled::OtherHeirs { owners: names(&["a"]), since }));
    assert_eq!(registry, before);
    assert_eq!(registry.settle(&stream("b", 1), &handover(&["a"], since), WallMs(4)), Ok(false));
}

/// The store may have forgotten that a successor left.
#[test]
fn after_a_fall_back_of_the_registry_keys_are_handed_over_anew() {
    let mut registry = leaves(&["a", "b"]);
    let handed_over = registry.epoch();
    registry.exceed(handed_over + 7);
    let settled = |registry: &mut Registry, epoch| {
        registry.settle(&stream("a", 1), &handover(&["b"], epoch), WallMs(1))
    };
    assert!(settled(&mut registry, handed_over).is_err());
    let epoch = registry.epoch();
    assert_eq!(settled(&mut registry, epoch), Ok(false));
}

/// The answer to the last leaf is lost, and another joins before it asks again.
#[test]
fn the_last_leaf_hears_again_that_it_keeps_its_keys_whoever_has_come_since() {
    let mut registry = leaves(&["a"]);
    assert_eq!(registry.settle(&stream("a", 1), &handover(&[], registry.epoch()), WallMs(1)), Ok(true));
    registry.heartbeat(&node("b", 1), WallMs(2), LEASE).unwrap();
    for successors in [&[][..], &["b"]] {
        assert_eq!(
            registry.settle(&stream("a", 1), &handover(successors, registry.epoch()), WallMs(3)),
            Ok(true)
        );
    }
    assert_eq!(registry.view().keys.owners, names(&["a", "b"]));
}

#[test]
fn the_last_leaf_keeps_its_keys_until_it_is_back() {
    let mut registry = leaves(&["a"]);
    registry.settle(&stream("a", 1), &handover(&[], registry.epoch()), WallMs(1)).unwrap();
    assert!(registry.away().is_empty(), "it left nothing unmerged");
    registry.heartbeat(&node("b", 1), WallMs(2), LEASE).unwrap();
    assert_eq!(registry.view().keys.owners, names(&["a", "b"]));
    let refused = registry.settle(&stream("b", 1), &handover(&[], registry.epoch()), WallMs(3));
    let others = NotSettled::OtherHeirs { owners: names(&["a"]), since: registry.epoch() };
    assert_eq!(refused, Err(others), "a owns keys still");
    registry.heartbeat(&start(2, "a"), WallMs(4), LEASE).unwrap();
    registry.settle(&stream("a", 2), &handover(&["b"], registry.epoch()), WallMs(5)).unwrap();
    assert_eq!(registry.view().keys.owners, names(&["b"]));
}

/// Keys that it did not have can't be lost with its folder.
#[test]
fn the_last_leaf_is_not_waited_for_if_it_had_no_keys() {
    let mut registry = leaves(&["a"]);
    let without = KeyHandover { is_empty: true, ..handover(&[], registry.epoch()) };
    assert_eq!(registry.settle(&stream("a", 1), &without, WallMs(1)), Ok(false));
    assert_eq!(registry.view().keys.owners, []);
    registry.join_on_log(&name("a"), &[], 0).unwrap();
    registry.heartbeat(&start(2, "a"), WallMs(3), LEASE).unwrap();
    assert_eq!(registry.view().keys.lost, []);
    // One that had some, and hears so late that they have expired.
    let with = handover(&[], registry.epoch());
    assert_eq!(registry.settle(&stream("a", 2), &with, WallMs(4)), Ok(true));
    assert_eq!(registry.settle(&stream("a", 2), &without, WallMs(5)), Ok(true));
}

/// A join of an earlier start may arrive when that is long gone.
#[test]
fn a_leaf_may_leave_though_another_start_of_it_has_joined() {
    let mut registry = leaves(&["a", "b"]);
    registry.join_on_log(&name("a"), &[], 0).unwrap();
    let leave = |registry: &mut Registry| {
        registry.settle(&stream("a", 1), &handover(&["b"], registry.epoch()), WallMs(1))
    };
    assert_eq!(leave(&mut registry.clone()), Ok(false));
    registry.heartbeat(&start(2, "a"), WallMs(2), LEASE).unwrap();
    assert_eq!(
        leave(&mut registry),
        Err(NotSettled::StartedAgain(name("a"))),
        "but not once that is in the view"
    );
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
