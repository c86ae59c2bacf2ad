use super::*;
use crate::testing::{counter, sum, topic};

fn add(table: &mut Table, counter: &Counter, delta: i64) {
    let id = table.intern(counter);
    table.add(id, delta);
    table.note_batch(1, delta.unsigned_abs());
}

#[test]
fn a_window_holds_each_topic_and_counter_once_and_leaves_zeros() {
    let mut table = Table::default();
    for (of, item, delta) in [("t", "a", 2), ("u", "a", 5), ("t", "b", -1), ("t", "a", 3)] {
        add(&mut table, &counter(of, item), delta);
    }
    let window = table.take_window();
    assert_eq!((window.events, window.volume), (4, 11));
    let t = TopicSums { topic: topic("t"), sums: vec![sum("a", 5), sum("b", -1)], events: 3 };
    let u = TopicSums { topic: topic("u"), sums: vec![sum("a", 5)], events: 1 };
    assert_eq!(window.topics, [t, u]);
    assert_eq!(table.take_window(), Window::default());
    assert_eq!(table.counters(), 3, "names stay known");
}

#[test]
fn likes_and_unlikes_that_cancel_are_still_events() {
    let mut table = Table::default();
    add(&mut table, &counter("t", "a"), 1);
    add(&mut table, &counter("t", "a"), -1);
    let window = table.take_window();
    assert_eq!(window.topics, [TopicSums { topic: topic("t"), sums: vec![sum("a", 0)], events: 2 }]);
}

#[test]
fn names_that_run_together_stay_apart() {
    let mut table = Table::default();
    let names = [("t", "ab", "c"), ("t", "a", "bc"), ("ta", "b", "c")];
    let ids = names.map(|(t, i, k)| table.intern(&Counter::new(t, i, k).unwrap()));
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    assert_eq!(ids[0], table.intern(&Counter::new("t", "ab", "c").unwrap()));
}

#[test]
fn the_busiest_items_come_first() {
    let mut table = Table::default();
    for item in 0..30 {
        (0..item).for_each(|_| add(&mut table, &counter("t", &format!("{item}")), 1));
    }
    let busiest: Vec<u64> = table.take_window().busiest.iter().map(|b| b.hits).collect();
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
