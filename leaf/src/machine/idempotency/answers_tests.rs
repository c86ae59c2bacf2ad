use super::*;
use crate::machine::calls::{CallId, Callee};
use crate::machine::ids::SubmissionId;
use crate::testing::{Chance, Rig, config, counter, leaf_node, name, topic, view};
use countree_common::cluster::ClusterView;
use countree_common::key::Counter;
use countree_common::limits;
use countree_common::ring::Ring;
use countree_common::time::WallMs;
use countree_common::wire::keys::KeyState;
use countree_common::wire::producer::EventErrorCode;
use countree_common::wire::rpc::{Counted, Idempotency, Request, Reset};

/// leaf-0, which is under test, and leaf-1 own keys.
fn shared() -> ClusterView {
    let mut shared = ClusterView { epoch: 5, ..view() };
    shared.nodes.extend(["leaf-0", "leaf-1"].map(leaf_node));
    shared.keys.owners = vec![name("leaf-0"), name("leaf-1")];
    shared
}

fn rig() -> Rig {
    let mut rig = Rig::start(config());
    rig.see(shared());
    rig
}

/// The `n`th id that a leaf owns.
fn id_of(leaf: &str, n: usize) -> u128 {
    let ring = Ring::new([name("leaf-0"), name("leaf-1")]);
    (1..).filter(|id| ring.key_owner(*id) == Some(&name(leaf))).nth(n).unwrap()
}

fn key(id: u128) -> IdempotencyKey {
    IdempotencyKey::of_event(id, &topic("t"))
}

fn events() -> Vec<(Counter, i64)> {
    vec![(counter("t", "a"), 1), (counter("t", "b"), 1)]
}

/// Two events, of whose ids this leaf owns the first.
fn submit(rig: &mut Rig, id: u64) {
    let ids = vec![id_of("leaf-0", 0), id_of("leaf-1", 0)];
    rig.submit(id, &events(), Idempotency::Keyed { request: None, ids });
}

/// The one attempt that the other owner is to note.
fn noted(rig: &mut Rig) -> (CallId, Attempt) {
    let calls = rig.calls();
    match &calls[..] {
        [(call, Callee::Leaf(leaf), Request::NoteAttempt { keys, by })]
            if *leaf == name("leaf-1") && *keys == [key(id_of("leaf-1", 0))] =>
        {
            (*call, by.clone())
        }
        other => panic!("{other:?}"),
    }
}

fn nothing() -> Option<Reply> {
    Some(Reply::Remembered(Ok(Vec::new())))
}

fn used(id: u128, content: u128) -> Vec<Remembered> {
    vec![Remembered { key: key(id), at: WallMs(1_000), state: KeyState::Used { content } }]
}

fn counted(rig: &Rig) -> u64 {
    rig.machine.ledgers().iter().map(|l| l.ledger.accepted).sum()
}

fn attempts_of(rig: &mut Rig, attempt: &Attempt) -> Vec<Reply> {
    let about = [(key(id_of("leaf-1", 0)), attempt.clone())];
    rig.machine.handle_attempts(SubmissionId(9), &about);
    rig.collect();
    rig.answers().into_iter().map(|(_, reply)| reply).collect()
}

#[test]
fn one_leaf_takes_all_of_a_request_once_the_other_owner_has_noted_it() {
    let mut rig = rig();
    submit(&mut rig, 1);
    let (call, by) = noted(&mut rig);
    assert_eq!((counted(&rig), by.leaf), (0, name("leaf-0")));
    rig.reply(call, nothing());
    rig.sync();
    assert_eq!((rig.verdicts(), counted(&rig)), (vec![(1, Ok(Counted { is_replay: false }))], 2));
    submit(&mut rig, 2);
    assert_eq!(rig.verdicts(), [(2, Ok(Counted { is_replay: true }))], "it remembers all of the keys");
    assert_eq!((counted(&rig), rig.calls().len()), (2, 0));
}

#[test]
fn of_what_the_other_owner_knows_nothing_is_counted_again() {
    let mut rig = rig();
    submit(&mut rig, 1);
    let (call, _) = noted(&mut rig);
    rig.reply(call, Some(Reply::Remembered(Ok(used(id_of("leaf-1", 0), 0)))));
    rig.sync();
    assert_eq!((rig.verdicts(), counted(&rig)), (vec![(1, Ok(Counted { is_replay: false }))], 1));
    submit(&mut rig, 2);
    rig.sync();
    assert_eq!(rig.verdicts(), [(2, Ok(Counted { is_replay: true }))]);
}

#[test]
fn an_id_that_the_other_owner_knows_for_something_else_refuses_all_of_the_request() {
    let mut rig = rig();
    submit(&mut rig, 1);
    let (call, _) = noted(&mut rig);
    rig.reply(call, Some(Reply::Remembered(Ok(used(id_of("leaf-1", 0), 77)))));
    rig.sync();
    let told = rig.submitted();
    let Err(SubmitError::Refused(e)) = &told[0].1 else { panic!("{told:?}") };
    assert_eq!((e.code, e.index, counted(&rig)), (EventErrorCode::KeyReused, Some(1), 0));
}

#[test]
fn a_taker_says_of_its_attempts_only_what_stays_true() {
    let mut rig = rig();
    submit(&mut rig, 1);
    let (call, first) = noted(&mut rig);
    let under_way = SubmitError::Busy { reason: BusyReason::UnderWay, retry_after_ms: RETRY_AFTER_MS };
    assert_eq!(attempts_of(&mut rig, &first), [Reply::Remembered(Err(under_way.clone()))], "not yet decided");
    rig.reply(call, Some(Reply::Remembered(Err(SubmitError::Draining))));
    assert_eq!(rig.submitted(), [(1, Err(SubmitError::Draining))]);
    assert_eq!(attempts_of(&mut rig, &first), [Reply::Remembered(Ok(vec![]))], "given up, for good");
    let later = Attempt { incarnation: rig.incarnation + 1, ..first.clone() };
    assert_eq!(attempts_of(&mut rig, &later), [Reply::Remembered(Err(under_way))], "of a start to come");

    submit(&mut rig, 2);
    let (call, second) = noted(&mut rig);
    assert_ne!(second, first);
    rig.reply(call, nothing());
    assert_eq!(attempts_of(&mut rig, &second), [], "not before it is on disk");
    rig.sync();
    let said = rig.answers();
    let [(9, Reply::Remembered(Ok(used)))] = &said[..] else { panic!("{said:?}") };
    assert!(matches!(used[..], [Remembered { state: KeyState::Used { .. }, .. }]));
}

#[test]
fn the_taker_knows_after_a_restart_what_it_took_and_what_it_did_not() {
    let mut rig = rig();
    submit(&mut rig, 1);
    let (_, lost) = noted(&mut rig);
    rig.crash(&mut Chance::new(1));
    rig.see(shared());
    assert_eq!(attempts_of(&mut rig, &lost), [Reply::Remembered(Ok(vec![]))]);
    submit(&mut rig, 2);
    let (call, taken) = noted(&mut rig);
    rig.reply(call, nothing());
    rig.sync();
    rig.crash(&mut Chance::new(1));
    let said = attempts_of(&mut rig, &taken);
    assert!(matches!(&said[..], [Reply::Remembered(Ok(used))] if used.len() == 1), "{said:?}");
}

fn note(rig: &mut Rig, id: u64, by: &Attempt) {
    rig.machine.handle_note(rig.now, SubmissionId(id), vec![key(id_of("leaf-0", 0))], by.clone());
    rig.collect();
}

fn of_leaf_1(number: u64) -> Attempt {
    Attempt { leaf: name("leaf-1"), incarnation: 1, number }
}

#[test]
fn a_note_is_on_disk_before_its_taker_is_told() {
    let mut rig = rig();
    note(&mut rig, 1, &of_leaf_1(1));
    assert_eq!(rig.answers(), []);
    rig.sync();
    assert_eq!(rig.answers(), [(1, Reply::Remembered(Ok(vec![])))]);
    rig.machine.handle_note(rig.now, SubmissionId(2), vec![key(id_of("leaf-1", 0))], of_leaf_1(2));
    rig.collect();
    let refused = Reply::Remembered(Err(SubmitError::NotOwner { epoch: 5 }));
    assert_eq!(rig.answers(), [(2, refused)], "another's key");
}

/// A leaf that is not in the view may have come later than the view. If it were taken for one that has left, a key that
/// it is about to use up would pass for a free one.
#[test]
fn a_leaf_that_was_never_in_the_view_has_not_left() {
    let mut rig = Rig::start(config());
    note(&mut rig, 1, &of_leaf_1(1));
    assert!(matches!(rig.answers()[..], [(1, Reply::Failed(_))]), "its note is not taken by this view");
    // A leaving leaf has seen the attempt's leaf, and hands its note over.
    let own = id_of("leaf-0", 0);
    let state = KeyState::Noted(vec![of_leaf_1(1)]);
    rig.machine.handle_inheritance(
        rig.now,
        SubmissionId(2),
        &[Remembered { key: key(own), at: WallMs(1_000), state }],
    );
    rig.collect();
    rig.sync();
    assert_eq!(rig.submitted(), [(2, Ok(()))]);
    let one = |rig: &mut Rig, id| {
        rig.submit(id, &events()[..1], Idempotency::Keyed { request: None, ids: vec![own] });
    };
    one(&mut rig, 3);
    assert_eq!(rig.submitted(), [(3, Err(SubmitError::Away(vec![name("leaf-1")])))]);
    rig.see(shared());
    one(&mut rig, 4);
    assert!(matches!(&rig.calls()[..], [(_, Callee::Leaf(leaf), _)] if *leaf == name("leaf-1")));
    // leaf-1 leaves: those that stay have been given all that it took.
    let mut without = ClusterView { epoch: 6, ..shared() };
    without.nodes.retain(|node| node.name != name("leaf-1"));
    without.keys.owners.retain(|owner| *owner != name("leaf-1"));
    rig.see(without);
    one(&mut rig, 5);
    rig.sync();
    assert_eq!(rig.submitted(), [(5, Ok(()))]);
}

#[test]
fn a_repeat_follows_the_note_to_its_taker() {
    let (own, ask) = (id_of("leaf-0", 0), |rig: &mut Rig| {
        let calls = rig.calls();
        match &calls[..] {
            [(call, Callee::Leaf(leaf), Request::AttemptOutcomes(about))] if *leaf == name("leaf-1") => {
                assert_eq!(*about, [(key(id_of("leaf-0", 0)), of_leaf_1(1))]);
                *call
            }
            other => panic!("{other:?}"),
        }
    });
    for crashes in [false, true] {
        let mut rig = rig();
        note(&mut rig, 1, &of_leaf_1(1));
        rig.sync();
        if crashes {
            rig.crash(&mut Chance::new(1));
            rig.see(shared());
            rig.sync();
        }
        let one = |rig: &mut Rig, id| {
            rig.submit(id, &events()[..1], Idempotency::Keyed { request: None, ids: vec![own] });
        };
        // The attempt's leaf can't be asked for now.
        one(&mut rig, 2);
        let call = ask(&mut rig);
        rig.reply(call, None);
        assert_eq!(rig.submitted(), [(2, Err(SubmitError::Away(vec![name("leaf-1")])))]);
        // The attempt was given up: another may be noted for the key now, and it is asked about from then on.
        note(&mut rig, 3, &of_leaf_1(2));
        let call = ask(&mut rig);
        rig.reply(call, nothing());
        rig.sync();
        assert_eq!(rig.machine.idempotency.keys().notes(key(own)).unwrap().1, [of_leaf_1(2)]);
        // That attempt counted.
        one(&mut rig, 4);
        let (call, _, _) = rig.calls().remove(0);
        let content = countree_common::wire::keys::content([&countree_common::event::Event {
            counter: counter("t", "a"),
            delta: countree_common::delta::Delta::new(1).unwrap(),
        }]);
        rig.reply(call, Some(Reply::Remembered(Ok(used(own, content)))));
        rig.sync();
        assert_eq!((rig.verdicts().pop(), counted(&rig)), (Some((4, Ok(Counted { is_replay: true }))), 0));
        one(&mut rig, 5);
        assert_eq!((rig.verdicts(), rig.calls().len()), (vec![(5, Ok(Counted { is_replay: true }))], 0));
    }
}

#[test]
fn the_note_of_a_leaf_that_left_came_to_nothing_and_of_a_lost_one_nobody_can_say() {
    for (is_lost, expected) in [(false, (Ok(()), 1)), (true, (Err(SubmitError::KeyLost), 0))] {
        let mut rig = rig();
        note(&mut rig, 1, &of_leaf_1(1));
        let mut alone = ClusterView { epoch: 6, ..shared() };
        alone.nodes.retain(|node| node.name != name("leaf-1"));
        alone.keys.owners = vec![name("leaf-0")];
        if is_lost {
            alone.keys.lost = vec![(name("leaf-1"), rig.now.wall)];
        }
        rig.see(alone);
        let ids = vec![id_of("leaf-0", 0)];
        rig.submit(2, &events()[..1], Idempotency::Keyed { request: None, ids });
        rig.sync();
        assert_eq!((rig.submitted().remove(0).1, counted(&rig)), expected);
    }
}

#[test]
fn many_keys_of_one_owner_are_noted_at_once() {
    let mut rig = rig();
    let ids: Vec<_> = (0..limits::HTTP_EVENTS as u128).map(|i| i + 1).collect();
    let events: Vec<_> = ids.iter().map(|_| (counter("t", "a"), 1)).collect();
    rig.submit(1, &events, Idempotency::Keyed { request: None, ids });
    let calls = rig.calls();
    assert_eq!(calls.len(), 1);
    rig.reply(calls[0].0, nothing());
    rig.sync();
    assert_eq!((rig.submitted(), counted(&rig)), (vec![(1, Ok(()))], limits::HTTP_EVENTS as u64));
}

/// The answer of a leaf about a key that another owns by that epoch.
fn recall(rig: &mut Rig, id: u128, epoch: u64) -> Vec<Reply> {
    rig.machine.handle_recall(rig.now, SubmissionId(9), &[key(id)], epoch);
    rig.collect();
    rig.answers().into_iter().map(|(_, reply)| reply).collect()
}

#[test]
fn a_leaf_that_is_asked_says_only_what_stays_true() {
    let mut rig = rig();
    let (own, others) = (id_of("leaf-0", 0), id_of("leaf-1", 0));
    assert!(matches!(recall(&mut rig, others, 6)[..], [Reply::Failed(_)]), "it may own the key until then");
    assert!(matches!(recall(&mut rig, own, 5)[..], [Reply::Failed(_)]), "it may take the key itself");
    assert_eq!(recall(&mut rig, others, 5), [Reply::Remembered(Ok(vec![]))]);
    note(&mut rig, 1, &of_leaf_1(1));
    assert!(matches!(recall(&mut rig, own, 5)[..], [Reply::Failed(_)]), "it may note the key anew");
}

/// The node that the asker's view calls by this leaf's name was an earlier start, which has left with what it knew.
#[test]
fn a_leaf_does_not_answer_for_its_start_before() {
    let mut rig = rig();
    let (others, listed) = (id_of("leaf-1", 0), view().epoch);
    assert!(matches!(recall(&mut rig, others, listed - 1)[..], [Reply::Failed(_)]));
    assert_eq!(recall(&mut rig, others, listed), [Reply::Remembered(Ok(vec![]))]);
}

#[test]
fn a_leaf_that_is_asked_waits_until_what_it_knows_is_on_disk() {
    let mut rig = rig();
    let own = id_of("leaf-0", 0);
    rig.submit(1, &events()[..1], Idempotency::Keyed { request: None, ids: vec![own] });
    assert_eq!(recall(&mut rig, own, 5), []);
    rig.sync();
    let answers = rig.answers();
    assert!(matches!(&answers[..], [(9, Reply::Remembered(Ok(used)))] if used.len() == 1), "{answers:?}");
}

#[test]
fn nobody_is_told_that_a_key_is_new_while_a_reset_goes_on_under_it() {
    let mut rig = rig();
    let own = id_of("leaf-0", 0);
    rig.machine.handle_reset(
        rig.now,
        SubmissionId(1),
        Reset { key: own, topic: topic("t"), item: None, kind: None },
    );
    let mut later = shared();
    (later.epoch, later.keys.owners) = (6, vec![name("leaf-1")]);
    rig.see(later);
    rig.machine.handle_recall(rig.now, SubmissionId(2), &[IdempotencyKey::of_request(own)], 6);
    rig.collect();
    let answers = rig.answers();
    assert!(matches!(&answers[..], [(2, Reply::Failed(_))]), "{answers:?}");
}
