use super::*;
use crate::machine::ids::ConnectionId;
use crate::testing::{Rig, config};
use countree_common::wire::producer::ToLeaf;

fn about(leaf: &str, session: u128) -> ToLeaf {
    ToLeaf::FindSessionEnd { leaf: NodeName::new(leaf).unwrap(), session: SessionId(session) }
}

fn told(session: u128, last: Option<u64>) -> FromLeaf {
    FromLeaf::SessionEnd { session: SessionId(session), last }
}

#[test]
fn a_session_with_a_leaf_that_is_gone_is_asked_about_once_for_all_who_ask() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.connect(2);
    rig.message(1, about("leaf-9", 5));
    rig.message(2, about("leaf-9", 5));
    let calls = rig.calls();
    let [(call, Callee::Root, Request::SessionEnd { leaf, session: SessionId(5) })] = &calls[..] else {
        panic!("{calls:?}")
    };
    assert_eq!(leaf.as_str(), "leaf-9");
    rig.machine.handle_disconnected(ConnectionId(2));
    rig.reply(*call, Some(Reply::SessionEnd(Some(3))));
    assert_eq!((rig.said(1), rig.said(2)), (vec![told(5, Some(3))], vec![]));
    rig.batch(1, 1, &[(crate::testing::counter("t", "a"), 1)]);
    rig.sync();
    assert!(matches!(rig.said(1)[..], [FromLeaf::Ack { seq: 1, .. }]), "its own session goes on");
}

#[test]
fn nobodys_answer_settles_nothing_and_may_be_asked_for_again() {
    let mut rig = Rig::start(config());
    rig.connect(1);
    for reply in [None, Some(Reply::Failed("no store".into())), Some(Reply::SessionEnd(None))] {
        rig.message(1, about("leaf-9", 5));
        let call = rig.calls()[0].0;
        rig.reply(call, reply);
        assert_eq!(rig.said(1), [told(5, None)]);
    }
}

#[test]
fn a_leaf_that_is_asked_about_a_session_with_itself_settles_nothing() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.message(1, about("leaf-0", 7));
    assert_eq!((rig.said(1), rig.calls().len()), (vec![told(7, None)], 0));
}

#[test]
fn no_more_questions_wait_than_there_is_room_for() {
    let mut rig = Rig::start(config());
    rig.connect(1);
    (0..=ASKED as u128).for_each(|session| rig.message(1, about("leaf-9", session)));
    assert_eq!(rig.calls().len(), ASKED);
    assert_eq!(rig.said(1), [told(ASKED as u128, None)]);
}

#[test]
fn a_session_that_a_leaf_of_the_same_name_ended_is_looked_up_before_it_is_called_expired() {
    let mut rig = Rig::start(config());
    rig.connect(1);
    let session = SessionId(5);
    let busy = FromLeaf::Busy { seq: 0, reason: BusyReason::Overload, retry_after_ms: RETRY_AFTER_MS };
    let answers = [
        (None, busy),
        (Some(Reply::SessionEnd(Some(3))), FromLeaf::Ended { session, last: 3 }),
        (Some(Reply::SessionEnd(None)), FromLeaf::Expired(session)),
    ];
    for (reply, said) in answers {
        rig.message(1, ToLeaf::Resume(session));
        let calls = rig.calls();
        let [(call, Callee::Root, Request::SessionEnd { leaf, .. })] = &calls[..] else {
            panic!("{calls:?}")
        };
        assert_eq!(leaf.as_str(), "leaf-0");
        assert_eq!(rig.said(1), [], "nothing is said on a guess");
        rig.reply(*call, reply);
        assert_eq!(rig.said(1), [said]);
    }
}
