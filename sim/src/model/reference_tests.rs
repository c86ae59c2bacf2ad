use super::*;

fn told(told: Told) -> (Truth, BTreeMap<Counter, i64>) {
    let mut truth = Truth::new(&mut Random::new(1), 1, 1);
    let mut random = Random::new(3);
    let mut totals = BTreeMap::new();
    for i in 0..12 {
        let id = truth.next_event(&mut random, Time(i)).unwrap();
        let event = &truth.events[id];
        *totals.entry(event.counter.clone()).or_default() += event.delta.get();
        truth.tell(id, told, Time(100)).unwrap();
    }
    (truth, totals)
}

fn check(truth: &Truth, totals: &BTreeMap<Counter, i64>) -> Result<(), String> {
    truth.check(totals, |_| false)
}

#[test]
fn totals_that_hold_each_event_once_are_right() {
    let (truth, totals) = told(Told::Acked);
    assert_eq!(check(&truth, &totals), Ok(()));
    assert_eq!(truth.counted(&totals), 12);
    let is_like = |delta: i64| truth.events.iter().any(|e| e.delta.get().signum() == delta);
    assert!(is_like(1) && is_like(-1), "likes and unlikes");
}

#[test]
fn every_event_that_is_lost_is_noticed() {
    let (truth, totals) = told(Told::Acked);
    for event in &truth.events {
        let mut totals = totals.clone();
        *totals.get_mut(&event.counter).unwrap() -= event.delta.get();
        assert!(check(&truth, &totals).unwrap_err().contains("counted 0 times"));
    }
}

#[test]
fn every_event_that_is_doubled_is_noticed_at_once_even_in_doubt() {
    let (truth, totals) = told(Told::InDoubt);
    for event in &truth.events {
        let mut totals = totals.clone();
        let total = totals.get_mut(&event.counter).unwrap();
        *total += event.delta.get();
        assert!(truth.check_once(&event.counter, *total).unwrap_err().contains("counted 2 times"));
        assert!(check(&truth, &totals).unwrap_err().contains("counted 2 times"));
    }
}

#[test]
fn an_event_in_doubt_may_be_missing_and_a_rejected_one_must_be() {
    for may in [Told::InDoubt, Told::Nobody] {
        assert_eq!(check(&told(may).0, &BTreeMap::new()), Ok(()));
    }
    let (truth, totals) = told(Told::Rejected);
    assert_eq!(check(&truth, &BTreeMap::new()), Ok(()));
    assert!(check(&truth, &totals).is_err());
}

#[test]
fn a_client_is_told_once() {
    let (mut truth, _) = told(Told::Acked);
    assert!(truth.tell(0, Told::InDoubt, Time(101)).is_err());
}

#[test]
fn a_reset_takes_what_was_acked_before_it_and_nothing_else() {
    let (mut truth, totals) = told(Told::Acked);
    let topic = truth.topics().remove(0);
    let gone: BTreeMap<_, _> = totals.keys().map(|counter| (counter.clone(), 0)).collect();

    let before = truth.resets.ask(topic.clone(), None, None, Time(0));
    truth.resets.done(before, Time(0));
    assert_eq!(check(&truth, &totals), Ok(()), "events that came after a reset stay");
    assert!(check(&truth, &gone).is_err());

    let around = truth.resets.ask(topic.clone(), None, None, Time(50));
    assert_eq!(check(&truth, &totals), Ok(()), "events that came while a reset was open may stay");
    assert_eq!(check(&truth, &gone), Ok(()), "or go");
    truth.resets.refused(around);
    assert!(check(&truth, &gone).is_err());

    let after = truth.resets.ask(topic, None, None, Time(100));
    truth.resets.done(after, Time(200));
    assert_eq!(check(&truth, &gone), Ok(()), "events acked before a reset are gone");
    assert!(check(&truth, &totals).is_err());
    truth.note_folder_lost(0, Time(99));
    assert!(check(&truth, &totals).is_err(), "the reset came later");
    truth.note_folder_lost(0, Time(300));
    assert_eq!(check(&truth, &totals), Ok(()), "the reset may have been lost, too");
}
