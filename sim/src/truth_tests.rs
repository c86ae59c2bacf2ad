use super::*;

fn told(told: Told) -> (Truth, BTreeMap<Counter, i64>) {
    let mut truth = Truth::new(&mut Random::new(1), 1, 1);
    let mut random = Random::new(2);
    let mut totals = BTreeMap::new();
    for i in 0..12 {
        let event = truth.next_event(&mut random, 0, Time(i)).unwrap();
        *totals.entry(event.counter.clone()).or_default() += event.delta.get();
    }
    truth.events.iter_mut().for_each(|e| e.told = told);
    (truth, totals)
}

#[test]
fn totals_that_hold_each_event_once_are_right() {
    let (truth, totals) = told(Told::Acked);
    assert_eq!(truth.check(&totals), Ok(()));
    assert_eq!(truth.counted(&totals), 12);
}

#[test]
fn every_event_that_is_lost_is_noticed() {
    let (truth, totals) = told(Told::Acked);
    for event in &truth.events {
        let mut totals = totals.clone();
        *totals.get_mut(&event.counter).unwrap() -= event.delta.get();
        assert!(truth.check(&totals).unwrap_err().contains("counted 0 times"));
    }
}

#[test]
fn every_event_that_is_doubled_is_noticed_even_in_doubt() {
    let (truth, totals) = told(Told::InDoubt);
    for event in &truth.events {
        let mut totals = totals.clone();
        *totals.get_mut(&event.counter).unwrap() += event.delta.get();
        assert!(truth.check(&totals).unwrap_err().contains("counted 2 times"));
    }
}

#[test]
fn an_event_in_doubt_may_be_missing_and_a_rejected_one_must_be() {
    assert_eq!(told(Told::InDoubt).0.check(&BTreeMap::new()), Ok(()));
    let (truth, totals) = told(Told::Rejected);
    assert_eq!(truth.check(&BTreeMap::new()), Ok(()));
    assert!(truth.check(&totals).is_err());
}
