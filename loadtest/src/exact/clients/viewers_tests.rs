use super::*;
use countree_common::document::{CounterTotal, counts};
use countree_common::time::WallMs;

fn view(era: u64, version: u64, totals: &[(&str, i64)]) -> TopicView {
    let totals = totals.iter().map(|&(item, total)| {
        let Counter { item, kind, .. } = counter(item);
        CounterTotal { item, kind, total }
    });
    let topic = counter("a").topic;
    TopicView {
        topic,
        era,
        version,
        complete_to: WallMs(0),
        away: Vec::new(),
        counts: counts(totals),
        is_snapshot: false,
    }
}

fn counter(item: &str) -> Counter {
    Counter::new("t", item, "like").unwrap()
}

fn totals(totals: &[(&str, i64)]) -> BTreeMap<Counter, i64> {
    totals.iter().map(|&(item, total)| (counter(item), total)).collect()
}

#[test]
fn what_was_shown_last_stands() {
    let shown = Shown::default();
    shown.take(view(0, 1, &[("a", 1), ("b", -5)]));
    shown.take(view(0, 2, &[("a", 5)]));
    assert_eq!(shown.differences(&totals(&[("a", 5), ("b", -5)])), (0, None));
    assert_eq!(shown.steps_back().0, 0);
    let (differences, example) = shown.differences(&totals(&[("a", 6), ("c", 1)]));
    assert_eq!(differences, 3);
    assert!(example.unwrap().contains("Some(5)"));
}

#[test]
fn steps_back_are_seen() {
    let shown = Shown::default();
    shown.take(view(1, 5, &[("a", 3)]));
    shown.take(view(1, 4, &[]));
    shown.take(view(1, 6, &[("a", 2)]));
    shown.take(view(0, 9, &[]));
    let (times, steps) = shown.steps_back();
    assert_eq!((times, steps.len()), (3, 3), "{steps:?}");
}

#[test]
fn a_new_era_starts_from_nothing() {
    let shown = Shown::default();
    shown.take(view(1, 5, &[("a", 3), ("b", 1)]));
    shown.take(view(2, 1, &[("a", 2)]));
    assert_eq!(shown.steps_back().0, 0);
    assert_eq!(shown.differences(&totals(&[("a", 2)])), (0, None));
}
