use super::*;
use crate::machine::ids::SubmissionId;
use crate::testing::{Chance, Rig, config, counter};
use countree_common::time::WallMs;
use countree_common::wire::keys::{Attempt, IdempotencyKey, KeyState};
use countree_common::wire::rpc::Idempotency;

fn used(key: u128, at: u64) -> Remembered {
    let state = KeyState::Used { content: 5 };
    Remembered { key: IdempotencyKey::of_request(key), at: WallMs(at), state }
}

fn inherit(rig: &mut Rig, id: u64, keys: &[Remembered]) {
    rig.machine.handle_inheritance(rig.now, SubmissionId(id), keys);
    rig.collect();
}

fn repeats(rig: &mut Rig, id: u64, key: u128) {
    rig.submit(id, &[(counter("t", "a"), 1)], Idempotency::Request { key, content: 5 });
}

#[test]
fn inherited_keys_are_on_disk_before_their_leaf_is_told() {
    let mut rig = Rig::start(config());
    inherit(&mut rig, 1, &[used(3, 900), used(4, 900)]);
    inherit(&mut rig, 2, &[used(3, 900)]);
    assert_eq!(rig.submitted(), [], "a repeat waits for its original");
    rig.sync();
    assert_eq!(rig.submitted(), [(1, Ok(())), (2, Ok(()))]);
}

#[test]
fn an_inherited_key_makes_a_repeat_harmless_restarts_included() {
    let mut rig = Rig::start(config());
    inherit(&mut rig, 1, &[used(3, 900)]);
    rig.sync();
    for _ in 0..3 {
        rig.crash(&mut Chance::new(1));
        rig.sync();
        repeats(&mut rig, 2, 3);
        rig.sync();
        assert_eq!(rig.submitted(), [(2, Ok(()))]);
        assert_eq!(rig.machine.ledgers().iter().map(|l| l.ledger.accepted).sum::<u64>(), 0);
    }
}

#[test]
fn a_key_that_is_known_here_stays_what_it_is() {
    let mut rig = Rig::start(config());
    repeats(&mut rig, 1, 3);
    inherit(&mut rig, 2, &[Remembered { state: KeyState::Used { content: 6 }, ..used(3, 900) }]);
    rig.sync();
    rig.submitted();
    repeats(&mut rig, 3, 3);
    assert_eq!(rig.submitted(), [(3, Ok(()))]);
}

#[test]
fn a_leaving_leaf_takes_keys_until_it_has_none_to_hand_over_any_more() {
    let mut rig = Rig::start(config());
    rig.machine.handle_drain(rig.now);
    inherit(&mut rig, 1, &[used(3, 900)]);
    rig.sync();
    assert_eq!(rig.submitted(), [(1, Ok(()))]);
    assert!(!rig.machine.idempotency.keys().is_empty());
}

#[test]
fn inherited_keys_are_aged_from_when_they_came_since_the_other_leaf_has_another_clock() {
    for at in [0, 900, 1 << 50] {
        let mut rig = Rig::start(config());
        rig.pass(700_000);
        inherit(&mut rig, 1, &[used(3, at)]);
        rig.sync();
        assert_eq!(rig.submitted(), [(1, Ok(()))]);
        rig.pass(599_000);
        assert!(!rig.machine.idempotency.keys().is_empty(), "{at}");
        rig.pass(2_000);
        assert!(rig.machine.idempotency.keys().is_empty(), "{at}");
    }
}

#[test]
fn an_inherited_note_is_no_use_and_stays_over_restarts() {
    let mut rig = Rig::start(config());
    let by = Attempt { leaf: NodeName::new("leaf-7").unwrap(), incarnation: 2, number: 9 };
    let state = KeyState::Noted(vec![by.clone()]);
    inherit(&mut rig, 1, &[Remembered { state, ..used(3, 900) }]);
    rig.sync();
    rig.crash(&mut Chance::new(1));
    let key = IdempotencyKey::of_request(3);
    assert_eq!(
        (rig.machine.idempotency.keys().notes(key), rig.machine.idempotency.keys().used(key)),
        (Some((0, &[by][..])), None)
    );
    inherit(&mut rig, 2, &[used(3, 900)]);
    rig.sync();
    rig.crash(&mut Chance::new(1));
    assert!(rig.machine.idempotency.keys().used(key).is_some(), "and gives way to a use");
}
