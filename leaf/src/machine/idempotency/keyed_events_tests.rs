use super::*;
use crate::testing::counter;
use countree_common::delta::Delta;
use countree_common::time::WallMs;

fn event(topic: &str, item: &str, delta: i64) -> Event {
    Event { counter: counter(topic, item), delta: Delta::new(delta).unwrap() }
}

fn order(events: &[Event], request: Option<(u128, u128)>, ids: &[u128]) -> Result<KeyedEvents, EventError> {
    let idempotency = Idempotency::Keyed { request, ids: ids.to_vec() };
    KeyedEvents::new(Submission { events: events.to_vec(), idempotency })
}

/// Takes an order whole; returns the places of its new events.
fn take(keys: &mut Keys, order: &KeyedEvents) -> Result<Vec<u32>, EventError> {
    let fresh = order.sort_out(keys)?;
    fresh.uses.iter().for_each(|used| keys.note_use(*used, 1, WallMs(1)));
    Ok(fresh.events.iter().map(|(place, _)| *place).collect())
}

fn is_reused(result: Result<Vec<u32>, EventError>, index: Option<u32>) -> bool {
    matches!(result, Err(e) if e.code == EventErrorCode::KeyReused && e.index == index)
}

#[test]
fn ids_hold_under_a_request_key_and_the_key_holds_beside_ids() {
    let mut keys = Keys::default();
    let (one, two, three) = (event("t", "a", 1), event("t", "b", 2), event("t", "c", 3));
    let first = order(&[one.clone(), two.clone()], Some((100, 5)), &[1, 2]).unwrap();
    assert_eq!(take(&mut keys, &first), Ok(vec![0, 1]));
    assert_eq!(take(&mut keys, &first), Ok(vec![]), "a repeat under both");
    let larger = order(&[one.clone(), two.clone(), three.clone()], Some((101, 6)), &[1, 2, 3]).unwrap();
    assert_eq!(take(&mut keys, &larger), Ok(vec![2]), "under another key the ids hold");
    let same_key = order(std::slice::from_ref(&three), Some((101, 7)), &[4]).unwrap();
    assert!(is_reused(take(&mut keys, &same_key), None), "beside other ids the key holds");
    let nothing_new = order(&[three, two], Some((102, 8)), &[3, 2]).unwrap();
    assert_eq!(take(&mut keys, &nothing_new), Ok(vec![]));
    assert!(keys.used(IdempotencyKey::of_request(102)).is_some(), "its key is used up all the same");
}

#[test]
fn an_id_stands_for_one_event_of_its_topic() {
    let mut keys = Keys::default();
    assert_eq!(take(&mut keys, &order(&[event("t", "a", 1)], None, &[1]).unwrap()), Ok(vec![0]));
    for other in [event("t", "b", 1), event("t", "a", 2)] {
        let request = order(&[event("t", "z", 1), other], None, &[0, 1]).unwrap();
        assert!(is_reused(take(&mut keys, &request), Some(1)));
    }
    assert_eq!(take(&mut keys, &order(&[event("u", "a", 1)], None, &[1]).unwrap()), Ok(vec![0]));
}

#[test]
fn one_id_twice_in_a_request_is_one_event_or_a_mistake() {
    let mut keys = Keys::default();
    let twice = order(&[event("t", "a", 1), event("t", "a", 1), event("t", "a", 1)], None, &[1, 1, 0]);
    assert_eq!(take(&mut keys, &twice.unwrap()), Ok(vec![0, 2]));
    let two = order(&[event("t", "b", 1), event("t", "b", 5)], None, &[2, 2]);
    assert!(is_reused(two.map(|_| vec![]), Some(1)));
}

#[test]
fn what_an_earlier_version_counted_matches_any_content() {
    let mut keys = Keys::default();
    let old = Submission { events: vec![event("t", "a", 1)], idempotency: Idempotency::Events(vec![1]) };
    assert_eq!(take(&mut keys, &KeyedEvents::new(old).unwrap()), Ok(vec![0]));
    for topic in ["t", "u"] {
        assert_eq!(take(&mut keys, &order(&[event(topic, "b", 2)], None, &[1]).unwrap()), Ok(vec![]));
    }
}

#[test]
fn each_event_has_an_id_or_none_has() {
    assert!(order(&[event("t", "a", 1)], None, &[1, 2]).is_err());
    assert!(order(&[event("t", "a", 1)], Some((1, 1)), &[]).is_ok());
}
