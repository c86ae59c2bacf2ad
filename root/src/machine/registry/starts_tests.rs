use super::super::NotSettled;
use super::super::testing::{LEASE, end, handover, leaves, name, names, node, past, retired, start, stream};
use super::*;
use countree_common::ledger::Ledger;

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

/// From then on nobody can judge the keys that it had, though its name still owns keys; and the leaf is called away
/// until somebody gives up what is missing.
#[test]
fn a_leaf_that_comes_back_without_its_log_is_not_who_it_was() {
    let mut registry = leaves(&["a", "b"]);
    let ledger = Ledger { accepted: 9, merged: 7, in_flight: 2, declared_lost: 0 };
    registry.reach(&node("a", 1), StreamProgress { last: 5, ledger }, WallMs(1));
    let (epoch, text) = (registry.epoch(), registry.to_text().unwrap());
    let joined = registry.join_on_log(&name("a"), &[], 40).unwrap();
    assert_eq!(joined, (42, vec![stream("a", 1)]), "the number jumps");
    assert_eq!((registry.epoch(), registry.away()), (epoch, vec![]), "it may be a join that is late");
    registry.heartbeat(&start(42, "a"), WallMs(7), LEASE).unwrap();
    let keys = registry.view().keys;
    assert_eq!((keys.owners, keys.lost), (names(&["a", "b"]), vec![(name("a"), WallMs(7))]));
    assert_eq!(keys.past[0], past(7, &["a", "b"]));
    assert!(registry.epoch() > epoch, "others hear of it");
    let refused = registry.settle(&stream("b", 1), &handover(&["a"], epoch), WallMs(8));
    assert!(matches!(refused, Err(NotSettled::OtherHeirs { .. })), "what a was given is lost: {refused:?}");

    assert_eq!(registry.away(), names(&["a"]), "though it lives");
    assert_eq!(registry.ledgers()[0].ledger, ledger);
    registry.forget(&name("a"), WallMs(9)).unwrap();
    let declared = Ledger { in_flight: 0, declared_lost: 2, ..ledger };
    assert_eq!((registry.away(), registry.ledgers()[0].ledger), (vec![], declared));
    assert!(registry.forget(&name("a"), WallMs(9)).is_err(), "nothing is missing any more");

    // With its log it is who it was.
    let mut registry = Registry::from_text(&text).unwrap();
    let joined = registry.join_on_log(&name("a"), &[end(1, 6, 9)], 0).unwrap();
    assert_eq!((joined, registry.epoch(), registry.away()), ((2, vec![]), epoch, vec![]));
}

/// All is merged, but sessions that are open in the copy have ended since, and the copy does not say where.
#[test]
fn a_leaf_that_is_killed_while_it_leaves_and_is_back_on_an_older_copy_hears_what_it_lacks() {
    let mut registry = leaves(&["a", "b"]);
    registry.heartbeat(&start(2, "a"), WallMs(1), LEASE).unwrap();
    registry.retire(&[retired("a", 1, 9), retired("a", 2, 9)]).unwrap();
    for incarnation in [3, 4] {
        let (given, missing) = registry.join_on_log(&name("a"), &[end(1, 9, 9)], 0).unwrap();
        assert_eq!((given, missing), (incarnation, vec![stream("a", 2)]), "and so it does again");
    }
    registry.heartbeat(&start(4, "a"), WallMs(2), LEASE).unwrap();
    assert_eq!(registry.away(), []);
    assert_eq!(registry.view().keys.lost.len(), 1);
    assert!(registry.ledgers().iter().all(|of| of.ledger.balanced()));
    assert!(registry.forget(&name("a"), WallMs(3)).is_err(), "nothing is lost that could be given up");
    registry.heartbeat(&start(9, "a"), WallMs(4), LEASE).unwrap();
    let (_, missing) = registry.join_on_log(&name("a"), &[end(4, 0, 0), end(9, 0, 0)], 0).unwrap();
    assert_eq!(missing, []);
}

#[test]
fn a_leaf_that_has_settled_may_come_back_empty() {
    let mut registry = leaves(&["a", "b"]);
    registry.settle(&stream("a", 1), &handover(&["b"], registry.epoch()), WallMs(1)).unwrap();
    let joined = registry.join_on_log(&name("a"), &[], 0).unwrap();
    assert_eq!((joined, registry.view().keys.lost.len()), ((2, vec![]), 0));
    // On its folder, or on a copy from before it left, whose sessions have ended since.
    registry.heartbeat(&start(5, "a"), WallMs(3), LEASE).unwrap();
    registry.settle(&stream("a", 5), &handover(&["b"], registry.epoch()), WallMs(4)).unwrap();
    for (log, missing) in [(end(5, 9, 9), vec![]), (end(4, 9, 9), vec![stream("a", 5)])] {
        let (_, told) = registry.clone().join_on_log(&name("a"), &[log], 0).unwrap();
        assert_eq!((told, registry.away()), (missing, vec![]));
    }
}
