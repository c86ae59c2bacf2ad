use super::super::testing::{snapshot, totals, update, version};
use super::*;

fn names(document: &Document, base: Version) -> Vec<(String, i64)> {
    document.changed_since(base).map(|t| (t.item.as_str().to_owned(), t.total)).collect()
}

#[test]
fn it_says_what_changed_since_any_version_it_saw() {
    let mut document = Document::new(snapshot("t", (0, 5), &[("a", 1), ("b", 2)]), Time(0));
    document.advance(version(0, 6), totals(&[("a", 3)]), Time(1));
    document.advance(version(0, 8), totals(&[("b", 4), ("c", 1)]), Time(2));
    document.advance(version(0, 9), totals(&[("a", 7)]), Time(3));
    assert_eq!(names(&document, version(0, 9)), []);
    assert_eq!(names(&document, version(0, 8)), [("a".into(), 7)]);
    assert_eq!(names(&document, version(0, 5)), [("a".into(), 7), ("c".into(), 1), ("b".into(), 4)]);
    assert_eq!(document.arrival_after(version(0, 6)), Some(Time(2)));
}

#[test]
fn it_does_not_pretend_to_know_what_came_before_its_first_snapshot() {
    let document = Document::new(snapshot("t", (1, 5), &[("a", 1)]), Time(0));
    assert!(document.knows_since(version(1, 5)));
    assert!(!document.knows_since(version(1, 4)));
    assert!(!document.knows_since(version(1, 6)), "nor what it has not seen yet");
    assert!(!document.knows_since(version(0, 9)), "nor another era");
}

#[test]
fn updates_fit_from_their_base_on_and_within_the_era() {
    let document = Document::new(snapshot("t", (1, 5), &[("a", 1)]), Time(0));
    let fit = |base, version| document.fit(&update("t", base, version, &[("a", 2)]));
    assert_eq!(fit((1, 5), (1, 6)), Fit::Next);
    assert_eq!(fit((1, 3), (1, 6)), Fit::Next, "it holds what changed after 1-3, so after 1-5 too");
    assert_eq!(fit((1, 4), (1, 5)), Fit::Old);
    assert_eq!(fit((1, 6), (1, 7)), Fit::Gap);
    assert_eq!(fit((0, 9), (0, 10)), Fit::Gap, "a lower era may be the later one");
    assert_eq!(fit((1, 5), (2, 6)), Fit::Gap, "another era: the same number may mean other totals");
}

#[test]
fn its_memory_of_changes_is_bounded_by_its_counters() {
    let mut document = Document::new(snapshot("t", (0, 0), &[]), Time(0));
    for n in 1..10_000i64 {
        document.advance(version(0, n as u64), totals(&[("a", n), ("b", -n)]), Time(0));
    }
    assert!(document.recent.len() <= 2 * document.counters() + 64 + 2);
    assert_eq!(document.changed_since(version(0, 0)).count(), 2);
}
