use crate::testing::{Chance, Rig, TestStore, config, counter};
use countree_common::key::Counter;
use countree_common::time::WallMs;

const NONE: [u64; 0] = [];
const ERA: u64 = 512;
const LATER: u64 = 1_024;

fn likes(item: &str) -> Vec<(Counter, i64)> {
    vec![(counter("t", item), 1)]
}

/// A leaf that has taken an event.
fn leaf() -> Rig {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    rig.sync();
    rig
}

#[test]
fn a_stamp_is_said_back_once_all_is_merged_that_was_accepted_before_it() {
    let (mut rig, mut store) = (leaf(), TestStore::serving_in(ERA));
    rig.stamp(ERA, 50);
    for _ in 0..10 {
        rig.pass(100);
    }
    assert_eq!(rig.echoes(), NONE, "the cut has no answer");
    rig.merge_all(&mut store);
    rig.pass(100);
    assert_eq!(rig.echoes(), [50]);
    rig.stamp(ERA, 60);
    assert_eq!(rig.echoes(), [60], "nothing was accepted since");
}

#[test]
fn of_many_stamps_the_first_and_the_last_are_kept() {
    let (mut rig, mut store) = (leaf(), TestStore::serving_in(ERA));
    (51..100).for_each(|at| rig.stamp(ERA, at));
    rig.merge_all(&mut store);
    rig.pass(100);
    assert_eq!(rig.echoes(), [99]);
    rig.batch(1, 2, &likes("a"));
    rig.stamp(ERA, 100);
    assert_eq!(rig.echoes(), NONE, "more was accepted");
}

#[test]
fn the_leaf_s_own_clock_has_no_say() {
    let (mut rig, mut store) = (leaf(), TestStore::serving_in(ERA));
    rig.merge_all(&mut store);
    rig.pass(100);
    for (at, wall) in [(50, 0), (60, u64::MAX), (70, 1_000)] {
        rig.now.wall = WallMs(wall);
        rig.batch(1, at / 10 - 3, &likes("a"));
        rig.stamp(ERA, at);
        assert_eq!(rig.echoes(), NONE);
        rig.merge_all(&mut store);
        rig.pass(0);
        assert_eq!(rig.echoes(), [at]);
    }
}

#[test]
fn nothing_is_said_back_while_an_old_stream_is_not_merged() {
    let mut rig = leaf();
    rig.crash(&mut Chance::new(1));
    rig.connect_root();
    rig.sync();
    rig.stamp(ERA, 50);
    rig.pass(1_000);
    assert_eq!(rig.echoes(), NONE);
    rig.merge_all(&mut TestStore::serving_in(ERA));
    rig.pass(100);
    assert_eq!(rig.echoes(), [50]);
}

#[test]
fn before_a_stamp_of_another_process_is_said_back_the_store_has_answered_for_all() {
    let (mut rig, mut store) = (leaf(), TestStore::serving_in(ERA));
    let empty = TestStore::serving_in(LATER);
    rig.stamp(ERA, 50);
    rig.merge_all(&mut store);
    rig.pass(100);
    assert_eq!(rig.echoes(), [50]);

    // What it merged is forgotten, and nothing was accepted since.
    rig.pass(1_000);
    store = empty;
    rig.stamp(LATER, 60);
    assert_eq!(rig.echoes(), NONE);
    let asked = rig.cuts();
    assert_eq!(
        asked.iter().map(|cut| (cut.topic.as_str(), cut.from == cut.to)).collect::<Vec<_>>(),
        [("t", true)]
    );
    rig.stamp(ERA, 61);
    assert_eq!(rig.echoes(), NONE, "a root that has not heard of it yet");
    let outcome = store.merge(&asked[0]);
    rig.answer(&asked[0], Some(outcome));
    assert_eq!(rig.echoes(), NONE, "it has to be sent again");
    rig.merge_all(&mut store);
    rig.pass(100);
    assert_eq!(store.total(&counter("t", "a")), 1);
    rig.stamp(LATER, 70);
    assert_eq!(rig.echoes().last(), Some(&70));
    rig.alarms();
}

#[test]
fn a_late_answer_of_the_process_before_confirms_nothing() {
    let (mut rig, mut store) = (leaf(), TestStore::serving_in(ERA));
    rig.pass(100);
    let cut = rig.cuts().remove(0);
    let late = store.merge(&cut);
    store = TestStore::serving_in(LATER);
    rig.stamp(LATER, 50);
    rig.answer(&cut, Some(late));
    rig.pass(100);
    assert_eq!(rig.echoes(), NONE, "that merge is forgotten");
    for probe in rig.cuts() {
        let outcome = store.merge(&probe);
        rig.answer(&probe, Some(outcome));
    }
    rig.merge_all(&mut store);
    rig.pass(100);
    assert_eq!((rig.echoes(), store.total(&counter("t", "a"))), (vec![50], 1));
    rig.alarms();
}
