use super::*;
use crate::load::exactness::Expected;
use std::collections::BTreeSet;

fn plan() -> Plan {
    Plan {
        events: 10_007,
        keys: 50,
        topics: 7,
        exponent: 1.0,
        producers: 3,
        rate: Some(1_000.0),
        seed: 1,
        prefix: "loadtest-1".into(),
    }
}

#[test]
fn producers_share_all_events_and_totals_sum_up_to_them() {
    for (events, producers) in [(1, 4), (10_007, 3), (12, 4), (5, 5)] {
        let plan = Plan { events, producers, ..plan() };
        let shares: u64 = (0..producers).map(|p| plan.share(p)).sum();
        assert_eq!(shares, events);
        let mut expected = Expected::new(&plan);
        expected.add(&plan, &Zipf::new(plan.keys, plan.exponent));
        let totals = expected.totals;
        assert_eq!(totals.iter().sum::<u64>(), events);
        assert_eq!(totals.len(), 50);
    }
}

#[test]
fn the_same_seed_draws_the_same_and_producers_draw_apart() {
    let (plan, zipf) = (plan(), Zipf::new(50, 1.0));
    let draws = |plan: &Plan, producer| plan.draws(&zipf, producer).collect::<Vec<_>>();
    assert_eq!(draws(&plan, 0), draws(&plan, 0));
    assert_ne!(draws(&plan, 0)[..100], draws(&plan, 1)[..100]);
    assert_ne!(draws(&plan, 0), draws(&Plan { seed: 2, ..plan.clone() }, 0));
}

#[test]
fn events_are_due_evenly_over_all_producers() {
    let plan = plan();
    let mut due: Vec<_> = (0..3).flat_map(|p| (0..10).map(move |i| (p, i))).collect();
    due.sort_by_key(|&(p, i)| plan.due(p, i));
    for (number, (producer, index)) in due.into_iter().enumerate() {
        let expected = Duration::from_millis(number as u64);
        assert!(plan.due(producer, index).unwrap().abs_diff(expected) < Duration::from_micros(1));
    }
    assert_eq!(Plan { rate: None, ..plan }.due(0, 5), None);
}

#[test]
fn counters_are_apart_and_every_topic_has_one() {
    let counters = plan().counters().unwrap();
    assert_eq!(counters.iter().collect::<BTreeSet<_>>().len(), 50);
    assert_eq!(counters.iter().map(|c| &c.topic).collect::<BTreeSet<_>>().len(), 7);
}
