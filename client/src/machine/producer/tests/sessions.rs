use super::super::session::SESSION_IDLE;
use super::super::*;
use super::fixture::*;
use countree_common::session::SessionId;
use countree_common::wire::producer::{BusyReason, EventError, EventErrorCode, FromLeaf};

fn busy(seq: u64) -> FromLeaf {
    FromLeaf::Busy { seq, reason: BusyReason::Overload, retry_after_ms: 20 }
}

fn refused(seq: u64) -> FromLeaf {
    let error = EventError { code: EventErrorCode::TotalOverflow, message: "too much".into(), index: None };
    FromLeaf::Refused { seq, error }
}

#[test]
fn nothing_is_sent_before_the_session_is_in_the_log() {
    let mut f = Fixture::new(single(), &["leaf-0"]);
    f.send("c", 1);
    f.connect("leaf-0");
    assert_eq!(f.take_sent(), [("leaf-0".into(), Sent::Open(SessionId(100)))]);
    f.says("leaf-0", FromLeaf::Opened { session: SessionId(100), last: 0 });
    assert_eq!(f.batches(), [(1, vec![1])]);
}

#[test]
fn open_is_repeated_until_answered_and_then_only_resumed() {
    let mut f = Fixture::new(single(), &["leaf-0"]);
    f.send("c", 1);
    f.connect("leaf-0");
    f.lose("leaf-0");
    f.pass(MS * 50);
    f.connect("leaf-0");
    let open = || ("leaf-0".into(), Sent::Open(SessionId(100)));
    assert_eq!(f.take_sent(), [open(), open()]);
    f.says("leaf-0", FromLeaf::Opened { session: SessionId(100), last: 0 });
    f.take_sent();
    f.lose("leaf-0");
    f.pass(MS * 50);
    f.connect("leaf-0");
    assert_eq!(f.take_sent(), [("leaf-0".into(), Sent::Resume(SessionId(100)))]);
}

#[test]
fn a_new_connection_repeats_what_the_leaf_does_not_have_in_order_under_the_same_numbers() {
    let mut f = Fixture::ready(single());
    f.send_all(&[("a", 2), ("b", 3), ("c", 4)]);
    assert_eq!(f.batches(), [(1, vec![1]), (2, vec![2]), (3, vec![3]), (4, vec![4])]);
    f.says("leaf-0", ack(1));
    f.lose("leaf-0");
    f.pass(MS * 50);
    f.connect("leaf-0");
    f.send("d", 5);
    assert_eq!(f.batches(), [], "not before the leaf has said how far it got");
    f.says("leaf-0", FromLeaf::Opened { session: SessionId(100), last: 2 });
    assert_eq!(f.batches(), [(3, vec![3]), (4, vec![4]), (5, vec![5])]);
    assert_eq!(f.resolved, [(1, Fate::Acked), (1, Fate::Acked)]);
    f.says("leaf-0", ack(5));
    assert_eq!(f.resolved.len(), 5, "acks are cumulative");
    assert!(f.machine.is_empty());
}

#[test]
fn a_refused_batch_ends_the_session_and_what_followed_goes_into_a_new_one() {
    let mut f = Fixture::ready(single());
    f.send_all(&[("a", 2), ("b", 3), ("c", 4)]);
    f.take_sent();
    f.says("leaf-0", refused(3));
    assert_eq!(f.resolved, [(1, Fate::Rejected("too much".into()))]);
    assert_eq!(f.take_sent(), [], "batches 1 and 2 still await their acks");
    f.says("leaf-0", ack(2));
    assert_eq!(f.take_sent(), [("leaf-0".into(), Sent::Open(SessionId(101)))]);
    f.says("leaf-0", FromLeaf::Opened { session: SessionId(101), last: 0 });
    assert_eq!(f.batches(), [(1, vec![4])]);
}

#[test]
fn a_refused_session_whose_connection_is_lost_still_settles_its_earlier_batches() {
    let mut f = Fixture::ready(single());
    f.send_all(&[("a", 2), ("b", 3)]);
    f.says("leaf-0", refused(3));
    f.take_sent();
    f.lose("leaf-0");
    f.pass(MS * 50);
    f.connect("leaf-0");
    f.says("leaf-0", FromLeaf::Opened { session: SessionId(100), last: 1 });
    let resume = ("leaf-0".into(), Sent::Resume(SessionId(100)));
    assert_eq!(f.take_sent(), [resume, ("leaf-0".into(), Sent::Batch { seq: 2, deltas: vec![2] })]);
    f.says("leaf-0", ack(2));
    f.says("leaf-0", ack(2));
    assert!(f.machine.is_empty());
}

#[test]
fn a_busy_leaf_is_sent_the_same_again_after_the_wait() {
    let mut f = Fixture::ready(single());
    f.send_all(&[("a", 2), ("b", 3)]);
    f.take_sent();
    f.says("leaf-0", busy(2));
    f.says("leaf-0", busy(2));
    f.send("d", 4);
    f.pass(MS * 19);
    assert_eq!(f.batches(), []);
    assert_eq!(f.machine.queued_events(), 1, "new events wait");
    f.pass(MS);
    assert_eq!(f.batches(), [(2, vec![2]), (3, vec![3]), (4, vec![4])]);
    f.says("leaf-0", ack(4));
    assert_eq!(f.resolved, vec![(1, Fate::Acked); 4]);
}

#[test]
fn a_leaf_too_busy_to_open_a_session_is_asked_again() {
    let mut f = Fixture::new(single(), &["leaf-0"]);
    f.send("c", 1);
    f.connect("leaf-0");
    f.take_sent();
    f.says("leaf-0", busy(1));
    f.pass(MS * 20);
    assert_eq!(f.take_sent(), [("leaf-0".into(), Sent::Open(SessionId(100)))]);
}

#[test]
fn a_forgotten_session_leaves_its_batches_in_doubt_and_a_new_one_goes_on() {
    let mut f = Fixture::ready(single());
    f.take_sent();
    f.lose("leaf-0");
    f.pass(MS * 50);
    f.connect("leaf-0");
    f.send("a", 2);
    f.says("leaf-0", FromLeaf::Expired(SessionId(100)));
    assert!(matches!(f.resolved[..], [(1, Fate::InDoubt(_))]));
    f.says("leaf-0", FromLeaf::Opened { session: SessionId(101), last: 0 });
    assert_eq!(f.batches(), [(1, vec![2])]);
}

#[test]
fn a_session_idle_for_long_is_left_behind_before_it_can_expire() {
    let mut f = Fixture::ready(single());
    f.says("leaf-0", ack(1));
    f.take_sent();
    f.pass(SESSION_IDLE);
    f.send("a", 2);
    assert_eq!(f.take_sent(), [("leaf-0".into(), Sent::Open(SessionId(101)))]);
    f.says("leaf-0", FromLeaf::Opened { session: SessionId(101), last: 0 });
    assert_eq!(f.batches(), [(1, vec![2])]);
}

#[test]
fn a_leaf_that_stays_silent_is_given_up_what_was_sent_is_in_doubt_and_the_rest_rejected() {
    let mut f = Fixture::ready(ProducerOptions { in_flight_batches: 1, ..single() });
    f.send("never-sent", 2);
    f.pass(single().give_up);
    assert!(matches!(f.resolved[..], [(1, Fate::Rejected(_)), (1, Fate::InDoubt(_))]), "{:?}", f.resolved);
    assert!(f.machine.is_empty());
}

#[test]
fn a_leaf_that_acks_what_was_never_sent_is_not_believed() {
    let mut f = Fixture::ready(single());
    f.says("leaf-0", ack(2));
    assert!(matches!(f.resolved[..], [(1, Fate::InDoubt(_))]));
    assert!(f.links.is_empty(), "and is disconnected");
}

#[test]
fn at_most_so_many_batches_await_an_answer() {
    let mut f = Fixture::ready(ProducerOptions { in_flight_batches: 2, ..single() });
    f.send_all(&[("a", 2), ("b", 3), ("c", 4)]);
    assert_eq!(f.batches().len(), 2);
    assert_eq!(f.machine.queued_events(), 2);
    f.says("leaf-0", ack(1));
    assert_eq!(f.batches(), [(3, vec![3])]);
}

#[test]
fn news_of_an_older_link_is_ignored() {
    let mut f = Fixture::ready(single());
    let old = f.links["leaf-0"];
    f.lose("leaf-0");
    f.pass(MS * 50);
    f.connect("leaf-0");
    f.machine.handle_message(f.now, &name("leaf-0"), old, ack(1));
    f.machine.handle_lost(f.now, &name("leaf-0"), old, "again".into());
    assert!(f.machine.poll_output().is_none());
}

#[test]
fn a_leaf_that_owes_answers_for_long_is_looked_for_elsewhere() {
    let mut f = Fixture::ready(single());
    assert!(!f.machine.is_cut_off(f.now));
    f.pass(MS * 1_000);
    assert!(f.machine.is_cut_off(f.now));
    f.says("leaf-0", ack(1));
    assert!(!f.machine.is_cut_off(f.now));
}
