use super::*;
use crate::delta::Delta;
use crate::key::Counter;

fn event(topic: &str, item: &str, delta: i64) -> Event {
    Event { counter: Counter::new(topic, item, "like").unwrap(), delta: Delta::new(delta).unwrap() }
}

fn attempt(number: u64) -> Attempt {
    Attempt { leaf: NodeName::new("leaf-0").unwrap(), incarnation: 1, number }
}

#[test]
fn an_id_belongs_to_its_topic_and_a_request_key_to_none() {
    let of = |topic: &str| IdempotencyKey::of_event(7, &Topic::new(topic).unwrap());
    assert_ne!(of("a"), of("b"));
    assert_eq!(of("a").unscoped(), of("b").unscoped());
    assert_eq!(IdempotencyKey::of_request(7), of("a").unscoped());
}

#[test]
fn content_tells_events_apart() {
    let of = |events: &[Event]| content(events);
    let one = event("t", "ab", 1);
    let others = [event("ta", "b", 1), event("t", "ab", 2), event("t", "ac", 1)];
    assert!(others.iter().all(|other| of(std::slice::from_ref(other)) != of(std::slice::from_ref(&one))));
    assert_ne!(of(&[one.clone(), others[0].clone()]), of(&[others[0].clone(), one.clone()]));
    assert_eq!(of(std::slice::from_ref(&one)), of(std::slice::from_ref(&one)));
}

#[test]
fn content_that_is_not_known_matches_any() {
    let key = IdempotencyKey::of_request(1);
    assert!(KeyUse { key, content: 5 }.matches(5) && !KeyUse { key, content: 5 }.matches(6));
    assert!(KeyUse { key, content: 0 }.matches(6));
}

#[test]
fn a_use_outweighs_notes_and_notes_add_up() {
    let mut state = KeyState::Noted(vec![attempt(2)]);
    assert!(state.absorb(&KeyState::Noted(vec![attempt(1), attempt(2)])));
    assert!(!state.absorb(&KeyState::Noted(vec![attempt(1)])));
    assert_eq!(state, KeyState::Noted(vec![attempt(1), attempt(2)]));
    assert!(state.absorb(&KeyState::Used { content: 5 }));
    assert!(
        !state.absorb(&KeyState::Noted(vec![attempt(3)])) && !state.absorb(&KeyState::Used { content: 6 })
    );
    assert_eq!(state, KeyState::Used { content: 5 });
}
