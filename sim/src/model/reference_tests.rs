use super::*;

fn answered(status: EventStatus) -> (ReferenceModel, BTreeMap<Counter, i64>) {
    let mut model = ReferenceModel::new(&mut Random::new(1), 1, 1);
    let mut random = Random::new(3);
    let mut totals = BTreeMap::new();
    for i in 0..12 {
        let id = model.next_event(&mut random, Time(i)).unwrap();
        let event = &model.events[id];
        *totals.entry(event.counter.clone()).or_default() += event.delta.get();
        model.set_status(id, status, Time(100)).unwrap();
    }
    (model, totals)
}

fn check(model: &ReferenceModel, totals: &BTreeMap<Counter, i64>) -> Result<(), String> {
    model.check(totals, |_| false)
}

#[test]
fn totals_that_hold_each_event_once_are_right() {
    let (model, totals) = answered(EventStatus::Acked);
    assert_eq!(check(&model, &totals), Ok(()));
    assert_eq!(model.counted(&totals), 12);
    let is_like = |delta: i64| model.events.iter().any(|e| e.delta.get().signum() == delta);
    assert!(is_like(1) && is_like(-1), "likes and unlikes");
}

#[test]
fn every_event_that_is_lost_is_noticed() {
    let (model, totals) = answered(EventStatus::Acked);
    for event in &model.events {
        let mut totals = totals.clone();
        *totals.get_mut(&event.counter).unwrap() -= event.delta.get();
        assert!(check(&model, &totals).unwrap_err().contains("counted 0 times"));
    }
}

#[test]
fn every_event_that_is_doubled_is_noticed_at_once_even_in_doubt() {
    let (model, totals) = answered(EventStatus::InDoubt);
    for event in &model.events {
        let mut totals = totals.clone();
        let total = totals.get_mut(&event.counter).unwrap();
        *total += event.delta.get();
        assert!(model.check_once(&event.counter, *total).unwrap_err().contains("counted 2 times"));
        assert!(check(&model, &totals).unwrap_err().contains("counted 2 times"));
    }
}

#[test]
fn an_event_in_doubt_may_be_missing_and_a_rejected_one_must_be() {
    for may in [EventStatus::InDoubt, EventStatus::Abandoned] {
        assert_eq!(check(&answered(may).0, &BTreeMap::new()), Ok(()));
    }
    let (model, totals) = answered(EventStatus::Rejected);
    assert_eq!(check(&model, &BTreeMap::new()), Ok(()));
    assert!(check(&model, &totals).is_err());
}

#[test]
fn an_event_is_answered_once() {
    let (mut model, _) = answered(EventStatus::Acked);
    assert!(model.set_status(0, EventStatus::InDoubt, Time(101)).is_err());
}

#[test]
fn a_reset_takes_what_was_acked_before_it_and_nothing_else() {
    let (mut model, totals) = answered(EventStatus::Acked);
    let topic = model.topics().remove(0);
    let gone: BTreeMap<_, _> = totals.keys().map(|counter| (counter.clone(), 0)).collect();

    let before = model.resets.ask(topic.clone(), None, None, Time(0));
    model.resets.done(before, Time(0));
    assert_eq!(check(&model, &totals), Ok(()), "events that came after a reset stay");
    assert!(check(&model, &gone).is_err());

    let around = model.resets.ask(topic.clone(), None, None, Time(50));
    assert_eq!(check(&model, &totals), Ok(()), "events that came while a reset was open may stay");
    assert_eq!(check(&model, &gone), Ok(()), "or go");
    model.resets.refused(around);
    assert!(check(&model, &gone).is_err());

    let after = model.resets.ask(topic, None, None, Time(100));
    model.resets.done(after, Time(200));
    assert_eq!(check(&model, &gone), Ok(()), "events acked before a reset are gone");
    assert!(check(&model, &totals).is_err());
    model.losses.note_folder(0, Time(99));
    assert!(check(&model, &totals).is_err(), "the reset came later");
    model.losses.note_folder(0, Time(300));
    assert_eq!(check(&model, &totals), Ok(()), "the reset may have been lost, too");
}
