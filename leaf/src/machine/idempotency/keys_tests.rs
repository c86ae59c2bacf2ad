use super::*;
use crate::testing::leaf_name;

fn key(hash: u128, scope: u64) -> IdempotencyKey {
    IdempotencyKey { hash, scope }
}

fn attempt(number: u64) -> Attempt {
    Attempt { leaf: leaf_name(), incarnation: 1, number }
}

fn used(hash: u128, scope: u64, content: u128) -> KeyUse {
    KeyUse { key: key(hash, scope), content }
}

#[test]
fn an_id_of_an_earlier_version_is_used_up_in_every_topic() {
    let mut keys = Keys::default();
    keys.note_use(used(1, 0, 0), 5, WallMs(1));
    keys.note_use(used(2, 7, 9), 6, WallMs(1));
    assert_eq!(keys.used(key(1, 7)), Some((5, used(1, 0, 0))));
    assert_eq!(keys.recall(key(1, 7)).unwrap().1.key, key(1, 0));
    assert_eq!(keys.used(key(2, 7)), Some((6, used(2, 7, 9))));
    assert_eq!((keys.used(key(2, 8)), keys.used(key(2, 0))), (None, None), "ids belong to their topics");
}

#[test]
fn a_note_is_no_use_and_gives_way_to_one() {
    let mut keys = Keys::default();
    keys.note_attempt(key(1, 7), attempt(1), 5, WallMs(1));
    assert_eq!(keys.used(key(1, 7)), None);
    assert_eq!(keys.notes(key(1, 7)), Some((5, &[attempt(1)][..])));
    keys.note_attempt(key(1, 7), attempt(2), 6, WallMs(2));
    assert_eq!(keys.notes(key(1, 7)), Some((6, &[attempt(2)][..])), "the one before was given up");
    let elsewhere = |state| Remembered { key: key(1, 7), at: WallMs(1), state };
    keys.absorb(&elsewhere(KeyState::Noted(vec![attempt(3)])), 7);
    assert_eq!(keys.notes(key(1, 7)), Some((7, &[attempt(2), attempt(3)][..])));
    assert!(keys.news(&elsewhere(KeyState::Used { content: 9 })));
    keys.absorb(&elsewhere(KeyState::Used { content: 9 }), 8);
    assert_eq!((keys.used(key(1, 7)), keys.notes(key(1, 7))), (Some((8, used(1, 7, 9))), None));
    assert!(!keys.news(&elsewhere(KeyState::Noted(vec![attempt(4)]))));
    keys.drop_notes(key(1, 7));
    assert!(keys.used(key(1, 7)).is_some(), "there are no notes to drop");
}

#[test]
fn keys_are_forgotten_past_the_horizon() {
    let mut keys = Keys::default();
    keys.note_use(used(1, 0, 5), 1, WallMs(1_000));
    keys.note_attempt(key(2, 0), attempt(1), 2, WallMs(2_000));
    keys.expire(WallMs(11_001), Duration::from_secs(10));
    assert!(keys.used(key(1, 0)).is_none() && keys.notes(key(2, 0)).is_some());
    keys.expire(WallMs(12_001), Duration::from_secs(10));
    assert!(keys.is_empty());
}
