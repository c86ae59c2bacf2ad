use super::*;
use countree_common::document::{CounterTotal, counts};
use countree_common::time::WallMs;

fn counter(item: &str) -> Counter {
    Counter::new("t", item, "like").unwrap()
}

fn view(totals: &[(&str, i64)]) -> TopicView {
    let totals = totals.iter().map(|&(item, total)| {
        let Counter { item, kind, .. } = counter(item);
        CounterTotal { item, kind, total }
    });
    TopicView {
        topic: counter("a").topic,
        era: 0,
        version: 1,
        complete_to: WallMs(0),
        away: Vec::new(),
        counts: counts(totals),
        is_snapshot: true,
    }
}

fn differences(expected: &[(&str, i64)], view: Option<TopicView>) -> Vec<(String, i64, i64)> {
    let expected = expected.iter().map(|&(item, total)| (counter(item), total)).collect();
    compare(&counter("a").topic, &expected, view.as_ref())
        .into_iter()
        .map(|d| (d.counter.item.to_string(), d.expected, d.counted))
        .collect()
}

#[test]
fn equal_totals_have_no_difference() {
    assert_eq!(differences(&[("a", 1), ("b", 2)], Some(view(&[("a", 1), ("b", 2)]))), []);
    assert_eq!(differences(&[], None), []);
}

#[test]
fn missing_extra_and_strange_counts_all_show() {
    let found = differences(&[("a", 1), ("b", 2), ("c", 3)], Some(view(&[("a", 2), ("c", 3), ("d", 4)])));
    assert_eq!(found, [("a".into(), 1, 2), ("b".into(), 2, 0), ("d".into(), 0, 4)]);
    assert_eq!(differences(&[("a", 1)], None), [("a".into(), 1, 0)]);
}

#[test]
fn topics_expect_all_events_of_the_plan() {
    let plan = Plan {
        events: 5_000,
        keys: 300,
        topics: 8,
        exponent: 1.1,
        producers: 3,
        rate: None,
        seed: 3,
        prefix: "loadtest-1".into(),
    };
    let zipf = Zipf::new(plan.keys, plan.exponent);
    let mut expected = Expected::new(&plan);
    expected.add(&plan, &zipf);
    expected.add(&Plan { seed: 4, ..plan.clone() }, &zipf);
    let topics: Vec<_> = (0..8).map(|topic| expected.of_topic(&plan, topic).unwrap()).collect();
    assert_eq!(topics.iter().flat_map(BTreeMap::values).sum::<i64>(), 10_000);
    assert!(topics.iter().zip(0..).all(|(totals, topic)| {
        let topic = plan.topic(topic).unwrap();
        !totals.is_empty() && totals.keys().all(|counter| counter.topic == topic)
    }));
}
