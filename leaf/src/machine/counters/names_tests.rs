use super::*;
use crate::testing::{counter, topic};

fn intern(names: &mut Names, topic: &str, item: &str, kind: &str) -> CounterId {
    names.intern((&Counter::new(topic, item, kind).unwrap()).into())
}

#[test]
fn many_names_at_once_are_what_they_are_one_by_one() {
    let counters: Vec<Counter> =
        (0..3 * PREFETCHED).map(|n| counter("t", &format!("{}", n * n % 50))).collect();
    let known = &counters[PREFETCHED / 2];
    let (mut together, mut apart) = (Names::default(), Names::default());
    assert_eq!(together.intern(known.into()), apart.intern(known.into()));
    let names: Vec<CounterName<'_>> = counters.iter().map(CounterName::from).collect();
    let mut ids = Vec::new();
    together.intern_all(&names, |id| ids.push(id));
    assert_eq!(ids, names.iter().map(|name| apart.intern(*name)).collect::<Vec<_>>());
    assert_eq!(together.counters(), apart.counters());
}

#[test]
fn names_that_run_together_stay_apart() {
    let mut names = Names::default();
    let ids =
        [("t", "ab", "c"), ("t", "a", "bc"), ("ta", "b", "c")].map(|(t, i, k)| intern(&mut names, t, i, k));
    assert_eq!(ids, [0, 1, 2]);
    assert_eq!(intern(&mut names, "t", "ab", "c"), 0);
    assert_eq!(names.item_and_kind(1), Some(("a", "bc")));
    assert_eq!(names.topic_of(2), names.topic_id(&topic("ta")));
}

#[test]
fn the_longest_names_come_back() {
    let mut names = Names::default();
    let [t, i, k] = [limits::TOPIC_BYTES, limits::ITEM_BYTES, limits::KIND_BYTES].map(|n| "x".repeat(n));
    let id = intern(&mut names, &t, &i, &k);
    assert_eq!(names.name(id), Some(CounterName { topic: &t, item: &i, kind: &k }));
}

#[test]
fn a_definition_reads_back() {
    let mut names = Names::default();
    let id = intern(&mut names, "t", "a", "like");
    let definitions = names.define(&[id]);
    let name = batch::Names::new(&definitions[4..]).next();
    assert_eq!(name, Some((&b"t"[..], &b"a"[..], &b"like"[..])));
}

#[test]
fn ids_and_bytes_of_the_forgotten_are_used_again() {
    let mut names = Names::default();
    let ids: Vec<_> =
        (0..1_000).map(|i| names.intern((&counter("t", &format!("item-{i}"))).into())).collect();
    let bytes = names.text.len();
    let mut used = Marks::none(&names);
    used.mark(ids.iter().copied().filter(|id| id % 2 == 0));
    names.keep(&used);
    assert_eq!((names.counters(), names.ids()), (500, 1_000));
    assert!(names.text.len() <= bytes / 2 + 1_000);
    assert_eq!(names.name(1), None);
    for id in ids.into_iter().filter(|id| id % 2 == 0) {
        assert_eq!(names.item_and_kind(id).unwrap().0, format!("item-{id}"));
    }
    let fresh: Vec<_> = (0..500).map(|i| names.intern((&counter("t", &format!("new-{i}"))).into())).collect();
    assert_eq!((names.counters(), names.ids()), (1_000, 1_000));
    assert_eq!(names.item_and_kind(fresh[0]).unwrap().0, "new-0");
}
