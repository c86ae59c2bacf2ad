use super::*;
use std::collections::BTreeSet;

const EVENTS: u32 = 6_000;

fn events(senders: u16) -> Vec<Event> {
    let catalogue = EventCatalogue::new("t", 3).unwrap();
    let ids = (0..senders).flat_map(|sender| (0..EVENTS).map(move |index| EventId { sender, index }));
    ids.map(|id| catalogue.event(id).unwrap()).collect()
}

fn totals<'a>(events: impl IntoIterator<Item = &'a Event>) -> BTreeMap<Counter, i64> {
    let mut totals = BTreeMap::new();
    for event in events {
        *totals.entry(event.counter.clone()).or_default() += event.delta.get();
    }
    totals
}

#[test]
fn each_event_is_found_as_often_as_it_was_counted_and_nothing_is_left() {
    let events = events(3);
    // Lost, right, doubled, tripled, in turn.
    let times = |place: usize| place % 4;
    let counted =
        events.iter().enumerate().flat_map(|(place, event)| std::iter::repeat_n(event, times(place)));
    let mut totals = totals(counted);
    for (place, event) in events.iter().enumerate() {
        // The low two digits' carry can't happen: three is the largest digit.
        assert_eq!(event.take_out(&mut totals), times(place) as u64, "{event:?}");
    }
    assert!(totals.values().all(|&rest| rest == 0));
}

#[test]
fn no_two_events_add_the_same_to_one_counter_and_lone_deltas_differ() {
    let events = events(4);
    let all: BTreeSet<_> = events.iter().map(|e| (e.counter.clone(), e.delta.get())).collect();
    assert_eq!(all.len(), events.len());
    let alone: Vec<_> = events.iter().filter(|e| e.shape == Shape::Alone).collect();
    let deltas: BTreeSet<_> = alone.iter().map(|e| e.delta.get()).collect();
    assert_eq!((alone.len(), deltas.len()), (events.len() / 8, events.len() / 8));
}

#[test]
fn shared_counters_are_shared_by_two_senders_for_long() {
    let events = events(2);
    let first = &events[1];
    let same: Vec<_> = events.iter().enumerate().filter(|(_, e)| e.counter == first.counter).collect();
    assert_eq!(same.len(), DIGITS as usize);
    assert!(same.iter().any(|&(place, _)| place >= EVENTS as usize), "the other sender's");
    let own = same.iter().filter(|&&(place, _)| place < EVENTS as usize);
    assert!(own.map(|&(place, _)| place).max() > Some(1_000));
}

#[test]
fn a_total_that_no_events_make_stays() {
    let events = events(1);
    for event in &events[..2] {
        let mut totals = BTreeMap::from([(event.counter.clone(), -1_i64 - (1 << 60))]);
        assert_eq!(event.take_out(&mut totals), 0);
        assert!(totals.values().all(|&rest| rest != 0));
    }
}
