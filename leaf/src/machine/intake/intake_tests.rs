use crate::machine::config::LeafConfig;
use crate::machine::context::{DiskState, RETRY_AFTER_MS};
use crate::machine::output::Output;
use crate::testing::{Rig, TestStore, config, counter, likes, logged, view};
use countree_common::cluster::NodeName;
use countree_common::session::{Seq, SessionId};
use countree_common::wire::producer::{BusyReason, Durability, FromLeaf, ToLeaf};
use countree_common::wire::rpc::{Idempotency, Reply, SubmitError};

fn ack(seq: Seq) -> FromLeaf {
    FromLeaf::Ack { seq, durability: Durability::Disk }
}

/// Conversations that the leaf has ended.
fn closed(rig: &mut Rig) -> usize {
    rig.take(|o| matches!(o, Output::Close { .. })).len()
}

#[test]
fn nothing_is_acked_before_it_is_on_disk() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    rig.batch(1, 2, &likes("b"));
    rig.pass(500);
    assert_eq!(rig.said(1), []);
    rig.sync();
    assert_eq!(rig.said(1), [ack(2)], "acks are cumulative");
}

#[test]
fn a_repeat_is_acked_only_once_its_original_is_on_disk() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    rig.batch(1, 1, &likes("a"));
    rig.connect(2);
    rig.message(2, ToLeaf::Resume(SessionId(7)));
    rig.batch(2, 1, &likes("a"));
    assert_eq!((rig.said(1), rig.said(2)), (vec![], vec![]));
    rig.sync();
    assert_eq!(rig.said(1), [ack(1)]);
    assert_eq!(rig.said(2), [FromLeaf::Opened { session: SessionId(7), last: 1 }, ack(1)]);
    assert_eq!(logged(&rig, &counter("t", "a")), 1);
}

#[test]
fn a_gap_ends_the_conversation() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 2, &likes("a"));
    assert_eq!(closed(&mut rig), 1);
    rig.batch(1, 1, &likes("a"));
    rig.sync();
    assert_eq!((rig.said(1), logged(&rig, &counter("t", "a"))), (vec![], 0));
}

#[test]
fn a_batch_before_any_session_ends_the_conversation() {
    let mut rig = Rig::start(config());
    rig.connect(1);
    rig.batch(1, 1, &likes("a"));
    assert_eq!(closed(&mut rig), 1);
}

#[test]
fn after_busy_the_rest_is_ignored_and_the_names_stand() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.machine.handle_disk(DiskState::Full);
    rig.batch(1, 1, &likes("a"));
    rig.batch(1, 2, &likes("b"));
    let busy = FromLeaf::Busy { seq: 1, reason: BusyReason::DiskFull, retry_after_ms: RETRY_AFTER_MS };
    assert_eq!(rig.said(1), [busy]);
    assert_eq!(closed(&mut rig), 0);
    rig.machine.handle_disk(DiskState::Works);
    // These bring no names: the batches that were turned away have defined them.
    rig.batch(1, 1, &likes("a"));
    rig.batch(1, 2, &likes("b"));
    rig.sync();
    assert_eq!(rig.said(1), [ack(2)]);
    assert_eq!((logged(&rig, &counter("t", "a")), logged(&rig, &counter("t", "b"))), (1, 1));
}

/// A reset asks every listed leaf: it could miss events that an unlisted one had acked before it.
#[test]
fn nothing_is_taken_before_the_registry_lists_the_leaf() {
    let name = NodeName::new("leaf-9").unwrap();
    let mut rig = Rig::start(LeafConfig { leaf: name.clone(), ..config() });
    rig.connect(1);
    rig.message(1, ToLeaf::Open(SessionId(7)));
    rig.submit(2, &likes("a"), Idempotency::None);
    rig.sync();
    let reason = BusyReason::Joining;
    let said = rig.said(1);
    assert_eq!(said.last(), Some(&FromLeaf::Busy { seq: 0, reason, retry_after_ms: RETRY_AFTER_MS }));
    let busy = SubmitError::Busy { reason, retry_after_ms: RETRY_AFTER_MS };
    assert_eq!(rig.submitted(), [(2, Err(busy))]);

    let mut view = view();
    view.keys.owners.push(name);
    rig.see(view.clone());
    // A lease may run out, but a reset that asks all leaves still counts this one among them.
    view.keys.owners.pop();
    rig.see(view);
    rig.said(1);
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    rig.sync();
    assert_eq!(rig.said(1), [ack(1)]);
}

#[test]
fn the_names_of_a_repeated_batch_stand() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    rig.connect(2);
    rig.message(2, ToLeaf::Resume(SessionId(7)));
    rig.batch(2, 1, &likes("a"));
    rig.batch(2, 2, &likes("a"));
    rig.sync();
    assert_eq!(logged(&rig, &counter("t", "a")), 2);
}

#[test]
fn a_session_that_is_not_known_is_refused_and_counts_nothing() {
    let mut rig = Rig::start(config());
    rig.connect(1);
    rig.message(1, ToLeaf::Resume(SessionId(7)));
    rig.batch(1, 1, &likes("a"));
    rig.batch(1, 2, &likes("a"));
    rig.sync();
    rig.answer_calls(&Reply::SessionEnd(None));
    assert_eq!(rig.said(1), [FromLeaf::Expired(SessionId(7))]);
    assert_eq!(logged(&rig, &counter("t", "a")), 0);
}

#[test]
fn a_session_is_forgotten_past_its_horizon_and_not_before() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.open(2, 8);
    rig.pass(599_000);
    rig.batch(1, 1, &likes("a"));
    rig.sync();
    rig.pass(2_000);
    for (connection, session) in [(3, 7), (4, 8)] {
        rig.connect(connection);
        rig.message(connection, ToLeaf::Resume(SessionId(session)));
    }
    rig.answer_calls(&Reply::SessionEnd(None));
    assert_eq!(rig.said(3), [FromLeaf::Opened { session: SessionId(7), last: 1 }]);
    assert_eq!(rig.said(4), [FromLeaf::Expired(SessionId(8))]);
}

#[test]
fn a_refused_batch_counts_nothing_nor_does_any_after_it() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    let mut bad = countree_common::wire::batch::BatchBuilder::default();
    bad.name(&counter("t", "a"));
    bad.event(5, countree_common::delta::Delta::ONE);
    rig.body(1, &bad.build(1));
    rig.batch(1, 2, &likes("b"));
    rig.sync();
    let said = rig.said(1);
    assert!(matches!(&said[..], [FromLeaf::Refused { seq: 1, .. }]), "{said:?}");
    assert_eq!((logged(&rig, &counter("t", "a")), logged(&rig, &counter("t", "b"))), (0, 0));
}

#[test]
fn a_failed_disk_acks_nothing_any_more() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    rig.machine.handle_disk(DiskState::Failed);
    rig.machine.handle_disk(DiskState::Works);
    rig.batch(1, 2, &likes("a"));
    rig.pass(1_000);
    assert!(matches!(rig.said(1)[..], [FromLeaf::Busy { seq: 2, .. }]));
    assert!(rig.machine.trouble().is_some());
}

#[test]
fn a_draining_leaf_answers_for_what_it_has_and_takes_no_more() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    rig.machine.handle_drain(rig.now);
    rig.batch(1, 2, &likes("a"));
    rig.batch(1, 3, &likes("a"));
    rig.submit(1, &likes("a"), Idempotency::None);
    rig.connect(2);
    assert!(!rig.machine.is_drained());
    assert_eq!(rig.submitted(), [(1, Err(SubmitError::Draining))]);
    let mut store = TestStore::new(true);
    rig.merge_all(&mut store);
    let ended = FromLeaf::Ended { session: SessionId(7), last: 1 };
    assert_eq!(rig.said(1), [FromLeaf::Draining, ack(1), ended.clone()]);
    assert_eq!(rig.said(2), [FromLeaf::Draining]);
    rig.message(2, ToLeaf::Resume(SessionId(7)));
    assert_eq!(rig.said(2), [ended]);
    assert_eq!(store.total(&counter("t", "a")), 1);
}
