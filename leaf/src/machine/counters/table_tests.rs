use super::*;
use crate::testing::{counter, topic};
use countree_common::key::Counter;

fn add(table: &mut Table, counter: &Counter, delta: i64) {
    let id = table.intern(counter);
    table.add([(id, delta)].into_iter(), delta.unsigned_abs());
}

/// The window's sums as (topic, item, sum), and each topic's events.
fn taken(table: &mut Table) -> (Vec<(String, String, i64)>, Vec<u64>) {
    let window = table.take_window();
    let name = |sum: &Sum| {
        let name = table.names().name(sum.counter).unwrap();
        (name.topic.to_owned(), name.item.to_owned(), sum.delta)
    };
    let sums = window.topics.iter().flat_map(|of_topic| &of_topic.sums).map(name).collect();
    (sums, window.topics.iter().map(|of_topic| of_topic.events).collect())
}

fn named(topic: &str, item: &str, sum: i64) -> (String, String, i64) {
    (topic.into(), item.into(), sum)
}

#[test]
fn a_window_holds_each_topic_and_counter_once_and_leaves_zeros() {
    let mut table = Table::default();
    for (of, item, delta) in [("t", "a", 2), ("u", "a", 5), ("t", "b", -1), ("t", "a", 3)] {
        add(&mut table, &counter(of, item), delta);
    }
    assert_eq!((table.events(), table.volume()), (4, 11));
    let sums = vec![named("t", "a", 5), named("t", "b", -1), named("u", "a", 5)];
    assert_eq!(taken(&mut table), (sums, vec![3, 1]));
    assert_eq!(table.take_window(), Window::default());
    assert_eq!(table.names().counters(), 3, "names stay known");
}

#[test]
fn likes_and_unlikes_that_cancel_are_still_events() {
    let mut table = Table::default();
    add(&mut table, &counter("t", "a"), 1);
    add(&mut table, &counter("t", "a"), -1);
    assert_eq!(taken(&mut table), (vec![named("t", "a", 0)], vec![2]));
}

#[test]
fn the_busiest_counters_come_first() {
    let mut table = Table::default();
    for item in 0..30 {
        (0..item).for_each(|_| add(&mut table, &counter("t", &format!("{item}")), 1));
    }
    let busiest: Vec<u64> = table.take_window().busiest.iter().map(|(_, hits)| *hits).collect();
    assert_eq!(busiest, (20..30).rev().collect::<Vec<_>>());
}

#[test]
fn a_topic_with_very_many_changes_fills_the_window() {
    let mut table = Table::default();
    for i in 0..limits::WINDOW_COUNTERS_PER_TOPIC {
        assert!(!table.is_window_full());
        add(&mut table, &counter("t", &format!("{i}")), 1);
        add(&mut table, &counter(&format!("t{i}"), "a"), 1);
    }
    assert!(table.is_window_full());
    table.take_window();
    assert!(!table.is_window_full());
}

#[test]
fn each_segment_is_told_once_what_an_id_means() {
    let mut table = Table::default();
    let id = table.intern(&counter("t", "a"));
    let told = |table: &mut Table, segment| table.define([id, id].into_iter(), segment).len();
    let once = 4 + 3 + "talike".len();
    assert_eq!([told(&mut table, 1), told(&mut table, 1), told(&mut table, 2)], [once, 0, once]);
}

#[test]
fn what_is_neither_marked_nor_in_the_window_is_forgotten() {
    let mut table = Table::default();
    let [marked, open, idle] = ["marked", "open", "idle"].map(|item| table.intern(&counter("t", item)));
    table.define([marked, open, idle].into_iter(), 1);
    table.add([(open, 7)].into_iter(), 7);
    let mut used = Marks::none(table.names());
    used.mark([marked]);
    table.keep(used);
    assert_eq!(table.names().counters(), 2);
    assert_eq!(table.names().topic_id(&topic("t")), Some(0), "topics stay");
    assert_eq!((table.intern(&counter("t", "marked")), table.intern(&counter("t", "open"))), (marked, open));
    let reused = table.intern(&counter("t", "another"));
    assert_eq!(reused, idle);
    assert!(!table.define([reused].into_iter(), 1).is_empty(), "the log defines it anew");
    assert_eq!(taken(&mut table).0, [named("t", "open", 7)]);
}
