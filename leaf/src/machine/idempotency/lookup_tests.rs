use super::*;
use crate::machine::Output;
use crate::machine::calls::CallId;
use crate::machine::ids::SubmissionId;
use crate::testing::{Chance, Rig, config, counter, leaf_node, name, view};
use countree_common::cluster::{ClusterView, PastOwners};
use countree_common::ring::Ring;
use countree_common::time::WallMs;
use countree_common::wire::producer::EventErrorCode;
use countree_common::wire::rpc::{Idempotency, Request, Reset};

const MINUTE: u64 = 60_000;

fn names(leaves: &[&str]) -> Vec<NodeName> {
    leaves.iter().map(|leaf| name(leaf)).collect()
}

/// leaf-0 and leaf-1 own keys, and leaf-1 owned all of them until a minute ago.
fn grown(rig: &Rig) -> ClusterView {
    let mut grown = ClusterView { epoch: 5, ..view() };
    grown.nodes.extend(["leaf-0", "leaf-1"].map(leaf_node));
    grown.keys.owners = names(&["leaf-0", "leaf-1"]);
    let until = WallMs(rig.now.wall.0 - MINUTE);
    grown.keys.past = vec![PastOwners { until, owners: names(&["leaf-1"]) }];
    grown
}

/// A leaf under a view made of [`grown`].
fn rig(change: impl FnOnce(&mut ClusterView)) -> Rig {
    let mut rig = Rig::start(config());
    rig.pass(20 * MINUTE);
    rig.machine.handle_confirmation(rig.now);
    let mut view = grown(&rig);
    change(&mut view);
    rig.see(view);
    rig
}

/// The `n`th key that a leaf owns while leaf-0 and leaf-1 are the owners.
fn key_of(leaf: &str, n: usize) -> u128 {
    let ring = Ring::new(names(&["leaf-0", "leaf-1"]));
    (1..).filter(|key| ring.key_owner(*key) == Some(&name(leaf))).nth(n).unwrap()
}

fn submit(rig: &mut Rig, id: u64, content: u128) {
    let idempotency = Idempotency::Request { key: key_of("leaf-0", 0), content };
    rig.submit(id, &[(counter("t", "a"), 1)], idempotency);
}

fn questions(rig: &mut Rig) -> Vec<(CallId, IdempotencyKey)> {
    let question = |(call, callee, request)| match (callee, request) {
        (Callee::Leaf(leaf), Request::LookUpKeys { keys, epoch: 5 }) if leaf == name("leaf-1") => {
            (call, keys[0])
        }
        other => panic!("{other:?}"),
    };
    rig.calls().into_iter().map(question).collect()
}

fn remembers(key: IdempotencyKey, state: KeyState) -> Option<Reply> {
    Some(Reply::Remembered(Ok(vec![Remembered { key, at: WallMs(20 * MINUTE), state }])))
}

fn used(key: IdempotencyKey, content: u128) -> Option<Reply> {
    remembers(key, KeyState::Used { content })
}

fn nothing() -> Option<Reply> {
    Some(Reply::Remembered(Ok(Vec::new())))
}

fn counted(rig: &Rig) -> u64 {
    rig.machine.ledgers().iter().map(|l| l.ledger.accepted).sum()
}

/// The answer to the one request.
fn told(rig: &mut Rig) -> Result<(), SubmitError> {
    rig.sync();
    let mut told = rig.submitted();
    assert_eq!(told.len(), 1);
    told.remove(0).1
}

#[test]
fn a_key_is_new_once_those_who_owned_it_say_so() {
    let mut rig = rig(|_| {});
    submit(&mut rig, 1, 5);
    rig.sync();
    assert_eq!((rig.submitted(), counted(&rig)), (vec![], 0));
    let asked = questions(&mut rig);
    assert_eq!(asked.len(), 1);
    rig.reply(asked[0].0, nothing());
    assert_eq!((told(&mut rig), counted(&rig)), (Ok(()), 1));
    submit(&mut rig, 2, 5);
    assert_eq!((told(&mut rig), counted(&rig), rig.calls().len()), (Ok(()), 1, 0), "known from now on");
}

#[test]
fn a_key_that_another_leaf_remembers_is_not_counted_again_and_is_remembered_here_too() {
    let mut rig = rig(|_| {});
    submit(&mut rig, 1, 5);
    let (call, key) = questions(&mut rig)[0];
    rig.reply(call, used(key, 5));
    assert_eq!((told(&mut rig), counted(&rig)), (Ok(()), 0));
    rig.crash(&mut Chance::new(1));
    submit(&mut rig, 2, 5);
    assert_eq!((told(&mut rig), counted(&rig), rig.calls().len()), (Ok(()), 0, 0));
    submit(&mut rig, 3, 6);
    assert!(matches!(told(&mut rig), Err(SubmitError::Refused(e)) if e.code == EventErrorCode::KeyReused));
}

#[test]
fn only_what_is_new_of_a_request_is_counted() {
    let mut rig = rig(|_| {});
    let ids: Vec<_> = (0..3).map(|n| key_of("leaf-0", n)).collect();
    let events: Vec<_> = ["a", "b", "c"].map(|item| (counter("t", item), 1)).to_vec();
    rig.submit(1, &events, Idempotency::Keyed { request: None, ids: ids.clone() });
    let calls = rig.calls();
    let [(call, _, Request::LookUpKeys { keys, .. })] = &calls[..] else { panic!("one question: {calls:?}") };
    assert_eq!(keys.len(), 3);
    let known = IdempotencyKey::of_event(ids[1], &crate::testing::topic("t"));
    rig.reply(*call, used(known, 0));
    assert_eq!((told(&mut rig), counted(&rig)), (Ok(()), 2));
}

#[test]
fn where_nobody_can_say_nothing_is_counted() {
    let away = || Err(SubmitError::Away(names(&["leaf-1"])));
    for silence in [None, Some(Reply::Failed("an older view".into())), used(IdempotencyKey::of_request(0), 5)]
    {
        let mut rig = rig(|_| {});
        submit(&mut rig, 1, 5);
        let call = questions(&mut rig)[0].0;
        rig.reply(call, silence);
        assert_eq!((told(&mut rig), counted(&rig)), (away(), 0));
    }
    let cases: [(fn(&mut ClusterView), _); 4] = [
        (|view| view.nodes.retain(|node| node.name != name("leaf-1")), away()),
        (|view| view.keys.lost = vec![(name("leaf-1"), view.keys.past[0].until)], Err(SubmitError::KeyLost)),
        (
            |view| {
                view.keys.past[0].owners = names(&["leaf-0"]);
                view.keys.lost = vec![(name("leaf-0"), view.keys.past[0].until)];
            },
            Err(SubmitError::KeyLost),
        ),
        (|view| view.keys.whole_from = WallMs(15 * MINUTE), Err(SubmitError::KeyLost)),
    ];
    for (change, expected) in cases {
        let mut rig = rig(change);
        submit(&mut rig, 1, 5);
        assert_eq!((told(&mut rig), counted(&rig), rig.calls().len()), (expected, 0, 0));
    }
}

#[test]
fn nobody_is_asked_who_has_nothing_to_say() {
    let cases: [fn(&mut ClusterView); 3] = [
        // It has handed its keys over.
        |view| view.keys.past[0].owners = names(&["leaf-9"]),
        // Longer ago than keys live.
        |view| view.keys.past[0].until = WallMs(9 * MINUTE),
        |view| view.keys.past[0].owners = names(&["leaf-0"]),
    ];
    for change in cases {
        let mut rig = rig(change);
        submit(&mut rig, 1, 5);
        assert_eq!((told(&mut rig), counted(&rig), rig.calls().len()), (Ok(()), 1, 0));
    }
}

#[test]
fn nothing_is_reset_under_anothers_key() {
    let mut rig = rig(|_| {});
    rig.machine.handle_reset(rig.now, SubmissionId(1), reset(key_of("leaf-1", 0)));
    rig.collect();
    assert_eq!((told(&mut rig), rig.calls().len()), (Err(SubmitError::NotOwner { epoch: 5 }), 0));
}

#[test]
fn answers_from_before_a_change_are_worth_nothing() {
    let mut rig = rig(|_| {});
    submit(&mut rig, 1, 5);
    let call = questions(&mut rig)[0].0;
    let newer = ClusterView { epoch: 6, ..grown(&rig) };
    rig.see(newer);
    rig.reply(call, nothing());
    assert_eq!((told(&mut rig), counted(&rig)), (Err(SubmitError::NotOwner { epoch: 6 }), 0));
}

#[test]
fn a_leaf_whose_view_nobody_confirms_takes_no_keys() {
    let mut rig = rig(|view| view.keys.past.clear());
    rig.pass(5 * MINUTE + 1);
    submit(&mut rig, 1, 5);
    assert_eq!((told(&mut rig), counted(&rig)), (Err(SubmitError::Unreachable), 0));
    rig.machine.handle_confirmation(rig.now);
    submit(&mut rig, 2, 5);
    assert_eq!((told(&mut rig), counted(&rig)), (Ok(()), 1));
}

#[test]
fn no_more_requests_wait_than_there_is_room_for() {
    let mut rig = rig(|_| {});
    (0..=REQUESTS as u64).for_each(|id| submit(&mut rig, id, 5));
    assert_eq!(questions(&mut rig).len(), REQUESTS);
    let full = SubmitError::Busy { reason: BusyReason::Overload, retry_after_ms: RETRY_AFTER_MS };
    assert_eq!(rig.submitted(), [(REQUESTS as u64, Err(full))]);
}

fn reset(key: u128) -> Reset {
    Reset { key, topic: crate::testing::topic("t"), item: None, kind: None }
}

#[test]
fn a_reset_that_another_leaf_has_done_is_not_done_again() {
    let mut rig = rig(|_| {});
    let key = key_of("leaf-0", 0);
    rig.machine.handle_reset(rig.now, SubmissionId(1), reset(key));
    rig.collect();
    let asked = questions(&mut rig);
    assert_eq!(asked.len(), 1);
    let content = crate::machine::resets::content(&reset(key));
    rig.machine.handle_reply(rig.now, asked[0].0, used(IdempotencyKey::of_request(key), content));
    rig.collect();
    assert_eq!(told(&mut rig), Ok(()));
    assert!(rig.take(|o| matches!(o, Output::Ask { .. })).is_empty(), "nothing is reset");
}
