use super::*;
use crate::machine::calls::CallId;
use crate::testing::{Chance, Rig, TestStore, config, counter, name, view};
use countree_common::cluster::{ClusterView, NodeName, PastOwners};
use countree_common::key::Counter;
use countree_common::time::WallMs;
use countree_common::wire::keys::{KeyState, Remembered};
use countree_common::wire::producer::FromLeaf;
use countree_common::wire::producer::ToLeaf;
use countree_common::wire::rpc::Idempotency;

fn likes() -> Vec<(Counter, i64)> {
    vec![(counter("t", "a"), 1)]
}

fn ended(last: u64) -> FromLeaf {
    FromLeaf::Ended { session: SessionId(7), last }
}

/// A leaf with one session of one batch, all of it on disk, that begins to leave.
fn leaving() -> Rig {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &likes());
    rig.sync();
    rig.said(1);
    drain(&mut rig);
    rig
}

fn drain(rig: &mut Rig) {
    rig.machine.handle_drain(rig.now);
    rig.collect();
}

fn owners(rig: &mut Rig, owners: &[&str]) {
    let mut seen = ClusterView { epoch: rig.machine.context.members.view().epoch + 1, ..view() };
    seen.keys.owners = owners.iter().map(|name| NodeName::new(name).unwrap()).collect();
    rig.see(seen);
}

/// The one question that is open.
fn asked(rig: &mut Rig) -> (CallId, Callee, Request) {
    let mut calls = rig.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    calls.remove(0)
}

fn left(rig: &mut Rig) -> Option<bool> {
    let left = rig.take(|o| matches!(o, Output::Left { .. })).pop();
    left.map(|output| matches!(output, Output::Left { keeps_keys: false }))
}

/// Answers every step as a cluster does whose store is as durable as `store`; returns what was asked.
fn see_off(rig: &mut Rig, store: &mut TestStore) -> Vec<Request> {
    see_off_with(rig, store, |rig, store, request| match request {
        Request::Publish(_) => Reply::Published { durable: store.is_durable },
        Request::SessionEnd { .. } => Reply::SessionEnd(Some(1)),
        Request::Ledgers => Reply::Ledgers(rig.machine.ledgers()),
        Request::Drained { handover, .. } => {
            Reply::Drained { keeps_keys: handover.successors.is_empty() && !handover.is_empty }
        }
        _ => Reply::Done,
    })
}

/// The same with answers of the test's own.
fn see_off_with(
    rig: &mut Rig,
    store: &mut TestStore,
    mut answer: impl FnMut(&Rig, &mut TestStore, &Request) -> Reply,
) -> Vec<Request> {
    let mut requests = Vec::new();
    for _ in 0..200 {
        rig.sync();
        rig.pass(100);
        rig.scanned();
        for cut in rig.cuts() {
            let outcome = store.merge(&cut);
            rig.answer(&cut, Some(outcome));
        }
        for (call, _, request) in rig.calls() {
            let reply = answer(rig, store, &request);
            requests.push(request);
            rig.reply(call, Some(reply));
        }
        if rig.outputs.iter().any(|o| matches!(o, Output::Left { .. })) {
            break;
        }
    }
    requests
}

#[test]
fn nobody_is_told_that_a_session_has_ended_before_the_seal_is_on_disk() {
    let mut rig = leaving();
    rig.connect(2);
    rig.message(2, ToLeaf::Resume(SessionId(7)));
    rig.pass(500);
    assert_eq!((rig.said(1), rig.said(2)), (vec![FromLeaf::Draining], vec![FromLeaf::Draining]));
    rig.sync();
    assert_eq!((rig.said(1), rig.said(2)), (vec![ended(1)], vec![ended(1)]));
}

#[test]
fn a_sealed_leaf_takes_nothing_and_says_so_to_all_that_come() {
    let mut rig = leaving();
    rig.batch(1, 2, &likes());
    rig.sync();
    rig.batch(1, 2, &likes());
    rig.connect(2);
    rig.message(2, ToLeaf::Open(SessionId(8)));
    rig.batch(2, 1, &likes());
    rig.sync();
    assert_eq!(rig.said(1), [FromLeaf::Draining, ended(1)]);
    assert_eq!(rig.said(2), [FromLeaf::Draining, FromLeaf::Ended { session: SessionId(8), last: 0 }]);
    let mut store = TestStore::new(true);
    rig.merge_all(&mut store);
    assert_eq!(store.total(&counter("t", "a")), 1);
}

#[test]
fn sessions_that_a_seal_has_ended_never_go_on_and_new_ones_do() {
    let mut rig = leaving();
    rig.sync();
    // However often it starts: the seal is in a log that is gone by then.
    for _ in 0..3 {
        rig.crash(&mut Chance::new(1));
        rig.connect_root();
        rig.merge_all(&mut TestStore::new(true));
        rig.connect(1);
        rig.message(1, ToLeaf::Resume(SessionId(7)));
        rig.batch(1, 2, &likes());
        rig.sync();
        assert_eq!(rig.said(1), [ended(1)]);
    }
    rig.open(2, 8);
    rig.batch(2, 1, &likes());
    rig.sync();
    assert!(matches!(rig.said(2)[..], [FromLeaf::Ack { seq: 1, .. }]));
}

#[test]
fn a_seal_that_a_crash_took_ends_nothing() {
    let mut rig = leaving();
    rig.disk.pending.clear();
    rig.crash(&mut Chance::new(1));
    rig.connect(1);
    rig.message(1, ToLeaf::Resume(SessionId(7)));
    assert_eq!(rig.said(1), [FromLeaf::Opened { session: SessionId(7), last: 1 }]);
}

#[test]
fn a_leaf_leaves_step_by_step_and_a_durable_store_is_not_waited_for() {
    let mut rig = leaving();
    let began = rig.now.mono;
    owners(&mut rig, &["leaf-0"]);
    rig.sync();
    assert_eq!(rig.calls().len(), 0, "not all is merged");
    let requests = see_off(&mut rig, &mut TestStore::new(true));
    let [Request::Publish(table), Request::Retire(ledgers), Request::Drained { handover, .. }] =
        &requests[..]
    else {
        panic!("{requests:?}")
    };
    assert_eq!((&table.sessions[..], table.keep_ms), (&[(SessionId(7), 1)][..], 600_000));
    assert!(ledgers.iter().all(|l| l.sealed && l.ledger.in_flight == 0 && l.stream == rig.live()));
    assert!(handover.is_empty, "it had no keys");
    assert_eq!(left(&mut rig), Some(true));
    assert!(rig.now.mono.since(began) < SETTLING);
}

#[test]
fn a_store_that_may_forget_is_given_time_and_asked_once_more() {
    let mut rig = leaving();
    let began = rig.now.mono;
    let requests = see_off(&mut rig, &mut TestStore::new(false));
    assert_eq!(left(&mut rig), Some(true));
    assert!(rig.now.mono.since(began) >= SETTLING);
    let [.., Request::Retire(_), Request::SessionEnd { .. }, Request::Ledgers, Request::Drained { .. }] =
        &requests[..]
    else {
        panic!("{requests:?}")
    };
}

#[test]
fn a_leaf_without_sessions_has_no_word_of_the_store_to_leave_upon() {
    let mut rig = Rig::start(config());
    drain(&mut rig);
    let began = rig.now.mono;
    let requests = see_off(&mut rig, &mut TestStore::new(true));
    assert_eq!(left(&mut rig), Some(true));
    assert!(rig.now.mono.since(began) >= SETTLING);
    let [Request::Retire(_), Request::Ledgers, Request::Drained { .. }] = &requests[..] else {
        panic!("{requests:?}")
    };
}

#[test]
fn what_the_store_forgot_in_the_meantime_is_told_again() {
    let mut rig = leaving();
    let mut store = TestStore::new(false);
    let empty = store.clone();
    let mut has_forgotten = (false, false, false);
    let requests = see_off_with(&mut rig, &mut store, |rig, store, request| match request {
        Request::Publish(_) => Reply::Published { durable: false },
        Request::SessionEnd { .. } => {
            Reply::SessionEnd(std::mem::replace(&mut has_forgotten.0, true).then_some(1))
        }
        Request::Retire(_) => {
            if !std::mem::replace(&mut has_forgotten.1, true) {
                *store = empty.clone();
            }
            Reply::Done
        }
        Request::Ledgers if !std::mem::replace(&mut has_forgotten.2, true) => Reply::Ledgers(Vec::new()),
        Request::Ledgers => Reply::Ledgers(rig.machine.ledgers()),
        Request::Drained { .. } => Reply::Drained { keeps_keys: false },
        _ => Reply::Done,
    });
    let published = requests.iter().filter(|r| matches!(r, Request::Publish(_))).count();
    let retired = requests.iter().filter(|r| matches!(r, Request::Retire(_))).count();
    assert_eq!(left(&mut rig), Some(true));
    assert_eq!(store.total(&counter("t", "a")), 1);
    assert!(published >= 2, "the table was forgotten, too");
    assert!(retired >= 3, "and then the ledgers");
}

#[test]
fn a_step_without_an_answer_is_repeated() {
    let mut rig = leaving();
    rig.merge_all(&mut TestStore::new(true));
    for refusal in [None, Some(Reply::Failed("no store".into())), Some(Reply::Done)] {
        let (call, callee, request) = asked(&mut rig);
        assert!(callee == Callee::Root && matches!(request, Request::Publish(_)), "{request:?}");
        rig.reply(call, refusal);
        assert_eq!(rig.calls().len(), 0, "not at once");
        rig.pass(200);
    }
}

#[test]
fn keys_go_to_their_owners_among_those_who_stay() {
    let mut rig = Rig::start(config());
    for key in 1..=20 {
        rig.submit(key as u64, &likes(), Idempotency::Request { key, content: 5 });
    }
    owners(&mut rig, &["leaf-0", "leaf-1", "leaf-2"]);
    rig.sync();
    drain(&mut rig);
    let mut store = TestStore::new(true);
    let handed = |requests: &[Request]| -> Vec<Remembered> {
        let keys = |r: &Request| if let Request::TakeOverKeys(keys) = r { keys.clone() } else { Vec::new() };
        requests.iter().flat_map(keys).collect()
    };
    let requests = see_off(&mut rig, &mut store);
    let mut keys: Vec<_> = handed(&requests).into_iter().map(|of| (of.key.hash, of.state)).collect();
    keys.sort_unstable_by_key(|(key, _)| *key);
    let used = |key| (key, KeyState::Used { content: 5 });
    assert_eq!(keys, (1..=20).map(used).collect::<Vec<_>>());
    assert!(requests.iter().filter(|r| matches!(r, Request::TakeOverKeys(_))).count() > 1, "to both of them");
    let Some(Request::Drained { handover: KeyHandover { successors, .. }, .. }) = requests.last() else {
        panic!("{requests:?}")
    };
    assert_eq!(successors.iter().map(NodeName::as_str).collect::<Vec<_>>(), ["leaf-1", "leaf-2"]);
}

#[test]
fn when_the_owners_are_others_by_now_keys_are_handed_over_again() {
    let mut rig = Rig::start(config());
    rig.submit(1, &likes(), Idempotency::Request { key: 1, content: 5 });
    owners(&mut rig, &["leaf-0", "leaf-1"]);
    rig.sync();
    drain(&mut rig);
    rig.merge_all(&mut TestStore::new(true));
    let mut given = Vec::new();
    for _ in 0..100 {
        rig.pass(100);
        for (call, callee, request) in rig.calls() {
            let reply = match (&request, callee) {
                (Request::TakeOverKeys(_), Callee::Leaf(successor)) => {
                    given.push(successor.to_string());
                    Reply::Done
                }
                (Request::Drained { handover, .. }, _) if handover.successors[0].as_str() == "leaf-1" => {
                    owners(&mut rig, &["leaf-0", "leaf-2"]);
                    Reply::Failed("the owners are others".into())
                }
                (Request::Drained { .. }, _) => Reply::Drained { keeps_keys: false },
                (Request::Ledgers, _) => Reply::Ledgers(rig.machine.ledgers()),
                _ => Reply::Done,
            };
            rig.reply(call, Some(reply));
        }
    }
    assert_eq!(given, ["leaf-1", "leaf-2"]);
    assert_eq!(left(&mut rig), Some(true));
}

/// The successor has left and come back: in the view it has the same name, and it may know nothing.
#[test]
fn a_successor_that_was_away_in_between_is_given_the_keys_again() {
    let mut rig = Rig::start(config());
    rig.submit(1, &likes(), Idempotency::Request { key: 1, content: 5 });
    owners(&mut rig, &["leaf-0", "leaf-1"]);
    rig.sync();
    drain(&mut rig);
    rig.merge_all(&mut TestStore::new(true));
    let (mut handed_over, mut epochs) = (0, Vec::new());
    for _ in 0..100 {
        rig.pass(100);
        for (call, _, request) in rig.calls() {
            let reply = match request {
                Request::TakeOverKeys(_) => {
                    handed_over += 1;
                    Reply::Done
                }
                Request::Drained { handover: KeyHandover { epoch, .. }, .. } if epochs.is_empty() => {
                    epochs.push(epoch);
                    let mut seen = ClusterView { epoch: epoch + 2, ..view() };
                    seen.keys.owners = vec![name("leaf-0"), name("leaf-1")];
                    let past = |until, owners| PastOwners { until: WallMs(until), owners };
                    seen.keys.past = vec![past(9, vec![name("leaf-0")]), past(8, seen.keys.owners.clone())];
                    rig.see(seen);
                    Reply::Failed("the owners are others".into())
                }
                Request::Drained { handover: KeyHandover { epoch, .. }, .. } => {
                    epochs.push(epoch);
                    Reply::Drained { keeps_keys: false }
                }
                Request::Ledgers => Reply::Ledgers(rig.machine.ledgers()),
                _ => Reply::Done,
            };
            rig.reply(call, Some(reply));
        }
    }
    let again = epochs[0] + 2;
    assert_eq!((handed_over, epochs, left(&mut rig)), (2, vec![again - 2, again], Some(true)));
}

/// The registry found nobody to take its keys, and another leaf has joined since.
#[test]
fn whether_a_leaf_keeps_its_keys_is_for_the_registry_to_say() {
    let mut rig = Rig::start(config());
    rig.submit(1, &likes(), Idempotency::Request { key: 1, content: 5 });
    owners(&mut rig, &["leaf-0", "leaf-1"]);
    rig.sync();
    drain(&mut rig);
    see_off_with(&mut rig, &mut TestStore::new(true), |rig, _, request| match request {
        Request::Ledgers => Reply::Ledgers(rig.machine.ledgers()),
        Request::Drained { .. } => Reply::Drained { keeps_keys: true },
        _ => Reply::Done,
    });
    assert_eq!(left(&mut rig), Some(false));
}

#[test]
fn the_last_leaf_keeps_its_keys_and_says_so() {
    let mut rig = Rig::start(config());
    owners(&mut rig, &["leaf-0"]);
    rig.submit(1, &likes(), Idempotency::Request { key: 1, content: 5 });
    rig.sync();
    drain(&mut rig);
    let requests = see_off(&mut rig, &mut TestStore::new(true));
    assert_eq!(left(&mut rig), Some(false));
    assert!(
        matches!(requests.last(), Some(Request::Drained { handover, .. }) if handover.successors.is_empty())
    );
}

#[test]
fn a_leaf_whose_keys_have_expired_keeps_its_folder_if_the_registry_takes_it_for_kept() {
    let mut rig = leaving();
    see_off_with(&mut rig, &mut TestStore::new(true), |rig, _, request| match request {
        Request::Publish(_) => Reply::Published { durable: true },
        Request::Ledgers => Reply::Ledgers(rig.machine.ledgers()),
        Request::Drained { handover, .. } => Reply::Drained { keeps_keys: handover.is_empty },
        _ => Reply::Done,
    });
    assert_eq!(left(&mut rig), Some(false));
}

#[test]
fn the_table_goes_in_pieces_that_leave_nothing_out() {
    let mut rig = Rig::start(config());
    let sessions = limits::SESSIONS_PER_LEAF as u128;
    rig.connect(1);
    (0..sessions).for_each(|session| rig.message(1, ToLeaf::Open(SessionId(session))));
    rig.sync();
    drain(&mut rig);
    let requests = see_off(&mut rig, &mut TestStore::new(true));
    let pieces = requests.iter().filter_map(|r| if let Request::Publish(t) = r { Some(t) } else { None });
    let published: Vec<_> = pieces.flat_map(|table| table.sessions.iter().map(|(id, _)| id.0)).collect();
    assert_eq!(published, (0..sessions).collect::<Vec<_>>());
}
