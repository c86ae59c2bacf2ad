use super::*;
use crate::machine::ids::FlushId;
use crate::machine::ids::SubmissionId;
use crate::testing::{Rig, TestStore, config, counter, leaf_node, name, topic};
use countree_common::cluster::{ClusterView, Node, NodeName};
use countree_common::key::{Counter, Item};
use countree_common::wire::rpc::Idempotency;

fn reset(key: u128, item: Option<&str>) -> Reset {
    Reset { key, topic: topic("t"), item: item.map(|i| Item::new(i).unwrap()), kind: None }
}

fn questions(rig: &mut Rig) -> Vec<Question> {
    let asked = rig.take(|o| matches!(o, Output::Ask { .. })).into_iter();
    asked.filter_map(|o| if let Output::Ask { question, .. } = o { Some(question) } else { None }).collect()
}

fn flushed(rig: &mut Rig) -> usize {
    rig.take(|o| matches!(o, Output::Flushed { .. })).len()
}

fn read(store: &TestStore) -> Answer {
    let total = |(c, total): (&Counter, &i64)| CounterTotal {
        item: c.item.clone(),
        kind: c.kind.clone(),
        total: *total,
    };
    let totals = store.totals().iter().map(total).collect();
    Answer::Totals { version: store.version(&topic("t")), totals }
}

fn answer(rig: &mut Rig, id: u64, answer: Answer) {
    rig.machine.handle_answer(rig.now, SubmissionId(id), answer);
    rig.collect();
}

/// Asks for a reset, and answers up to the question for the totals.
fn begin(rig: &mut Rig, id: u64, wanted: Reset, leaves: &[Node]) {
    rig.machine.handle_reset(rig.now, SubmissionId(id), wanted);
    rig.collect();
    assert_eq!(questions(rig), [Question::Members]);
    let view = ClusterView { epoch: 1, nodes: leaves.to_vec(), ..Default::default() };
    answer(rig, id, Answer::Members { view, away: Vec::new() });
    assert_eq!(questions(rig).len(), leaves.len(), "every leaf is asked");
    for (i, leaf) in leaves.iter().enumerate() {
        answer(rig, id, Answer::Flushed(leaf.name.clone(), Version::default()));
        let expected = if i + 1 == leaves.len() { vec![Question::Totals(topic("t"))] } else { Vec::new() };
        assert_eq!(questions(rig), expected, "the totals are read after the last");
    }
}

#[test]
fn what_came_before_is_gone_and_what_came_in_between_stays() {
    let mut rig = Rig::start(config());
    let mut store = TestStore::new(true);
    rig.submit(1, &[(counter("t", "a"), 5), (counter("t", "b"), 7)], Idempotency::None);
    rig.merge_all(&mut store);
    begin(&mut rig, 2, reset(9, Some("a")), &[leaf_node("leaf-0"), leaf_node("leaf-1")]);
    let read = read(&store);
    rig.submit(3, &[(counter("t", "a"), 100)], Idempotency::None);
    answer(&mut rig, 2, read);
    rig.merge_all(&mut store);
    assert_eq!(rig.submitted(), [(1, Ok(())), (3, Ok(())), (2, Ok(()))]);
    assert_eq!((store.total(&counter("t", "a")), store.total(&counter("t", "b"))), (100, 7));
}

/// An event was merged, then an earlier reset's negative; the store forgets both, or the negative alone, before the
/// totals are read, and is sent them again.
#[test]
fn totals_that_the_store_went_back_to_are_not_what_a_reset_takes_away() {
    for remembers_the_event in [true, false] {
        let mut rig = Rig::start(config());
        let mut store = TestStore::new(false);
        let before = store.clone();
        rig.submit(1, &[(counter("t", "a"), 1)], Idempotency::None);
        rig.merge_all(&mut store);
        let event_alone = store.clone();
        begin(&mut rig, 2, reset(8, None), &[leaf_node("leaf-0")]);
        answer(&mut rig, 2, read(&store));
        rig.merge_all(&mut store);
        assert_eq!(store.total(&counter("t", "a")), 0);

        rig.machine.handle_reset(rig.now, SubmissionId(3), reset(9, None));
        rig.collect();
        questions(&mut rig);
        let view = ClusterView { epoch: 1, nodes: vec![leaf_node("leaf-0")], ..Default::default() };
        answer(&mut rig, 3, Answer::Members { view, away: Vec::new() });
        questions(&mut rig);
        answer(&mut rig, 3, Answer::Flushed(name("leaf-0"), store.version(&topic("t"))));
        assert_eq!(questions(&mut rig), [Question::Totals(topic("t"))]);

        store = if remembers_the_event { event_alone } else { before };
        let gone_back_to = store.version(&topic("t"));
        answer(&mut rig, 3, read(&store));
        let again = Question::Flush { topic: topic("t"), leaf: leaf_node("leaf-0"), read: gone_back_to };
        assert_eq!(questions(&mut rig), [again], "the leaf is asked again, and asks the store");

        rig.machine.handle_flush(rig.now, FlushId(7), &topic("t"), &name("leaf-0"), gone_back_to);
        rig.collect();
        rig.pass(2_000);
        rig.merge_all(&mut store);
        answer(&mut rig, 3, Answer::Flushed(name("leaf-0"), store.version(&topic("t"))));
        answer(&mut rig, 3, read(&store));
        rig.merge_all(&mut store);
        assert_eq!(store.total(&counter("t", "a")), 0, "neither −1 nor 1");
        assert_eq!(rig.submitted().last(), Some(&(3, Ok(()))));
    }
}

#[test]
fn a_reset_whose_store_does_not_come_back_to_what_was_merged_changes_nothing() {
    let mut rig = Rig::start(config());
    rig.machine.handle_reset(rig.now, SubmissionId(1), reset(9, None));
    rig.collect();
    questions(&mut rig);
    let view =
        ClusterView { epoch: 1, nodes: vec![leaf_node("leaf-0"), leaf_node("leaf-1")], ..Default::default() };
    answer(&mut rig, 1, Answer::Members { view, away: Vec::new() });
    for told in [(1, 5), (2, 1), (1, 5)] {
        assert_eq!(questions(&mut rig).len(), 2, "all are asked, and asked again");
        answer(&mut rig, 1, Answer::Flushed(name("leaf-0"), Version { era: 1, number: 3 }));
        let (era, number) = told;
        answer(&mut rig, 1, Answer::Flushed(name("leaf-1"), Version { era, number }));
        assert_eq!(questions(&mut rig), [Question::Totals(topic("t"))]);
        answer(&mut rig, 1, Answer::Totals { version: Version { era: 1, number: 4 }, totals: Vec::new() });
    }
    assert_eq!(rig.submitted(), [(1, Err(SubmitError::Unreachable))]);
    assert_eq!(rig.machine.ledgers()[0].ledger.accepted, 0);
}

#[test]
fn a_repeat_changes_nothing_and_another_use_of_its_id_is_refused() {
    let mut rig = Rig::start(config());
    let mut store = TestStore::new(true);
    rig.submit(1, &[(counter("t", "a"), 5)], Idempotency::None);
    rig.merge_all(&mut store);
    begin(&mut rig, 2, reset(9, None), &[leaf_node("leaf-0")]);
    answer(&mut rig, 2, read(&store));
    rig.submit(3, &[(counter("t", "a"), 1)], Idempotency::None);
    rig.merge_all(&mut store);
    rig.submitted();
    rig.machine.handle_reset(rig.now, SubmissionId(4), reset(9, None));
    rig.machine.handle_reset(rig.now, SubmissionId(5), reset(9, Some("a")));
    rig.collect();
    assert!(questions(&mut rig).is_empty());
    let said = rig.submitted();
    assert_eq!(said[0], (4, Ok(())));
    assert!(matches!(said[1], (5, Err(SubmitError::Refused(_)))), "{said:?}");
    assert_eq!(store.total(&counter("t", "a")), 1);
}

#[test]
fn a_reset_that_can_not_know_everything_changes_nothing() {
    let mut rig = Rig::start(config());
    let away = vec![NodeName::new("leaf-1").unwrap()];
    rig.machine.handle_reset(rig.now, SubmissionId(1), reset(9, None));
    answer(&mut rig, 1, Answer::Members { view: ClusterView::default(), away: away.clone() });
    rig.machine.handle_reset(rig.now, SubmissionId(2), reset(9, None));
    answer(&mut rig, 2, Answer::Silence);
    assert_eq!(rig.submitted(), [(1, Err(SubmitError::Away(away))), (2, Err(SubmitError::Unreachable))]);
    assert_eq!(rig.machine.ledgers()[0].ledger.accepted, 0);
}

#[test]
fn a_flush_waits_for_all_that_was_accepted_before_it() {
    let mut rig = Rig::start(config());
    let mut store = TestStore::new(true);
    rig.machine.handle_flush(rig.now, FlushId(1), &topic("t"), &name("leaf-1"), Version::default());
    rig.collect();
    assert_eq!(flushed(&mut rig), 1, "nothing was accepted yet");
    rig.submit(1, &[(counter("t", "a"), 5)], Idempotency::None);
    rig.machine.handle_flush(rig.now, FlushId(2), &topic("t"), &name("leaf-1"), Version::default());
    rig.sync();
    rig.pass(100);
    assert_eq!(flushed(&mut rig), 0, "its cut is under way");
    rig.merge_all(&mut store);
    rig.pass(100);
    assert_eq!(flushed(&mut rig), 1);
}

#[test]
fn two_resets_of_a_topic_do_not_subtract_the_same_totals() {
    let mut rig = Rig::start(config());
    rig.machine.handle_reset(rig.now, SubmissionId(1), reset(1, None));
    rig.machine.handle_reset(rig.now, SubmissionId(2), reset(2, None));
    rig.collect();
    assert!(matches!(rig.submitted()[..], [(2, Err(SubmitError::Busy { .. }))]));
}

#[test]
fn two_leaves_do_not_reset_a_topic_at_once() {
    let mut rig = Rig::start(config());
    rig.machine.handle_reset(rig.now, SubmissionId(1), reset(1, None));
    assert!(
        !rig.machine.handle_flush(rig.now, FlushId(2), &topic("t"), &name("leaf-1"), Version::default()),
        "the other's reset waits for this one"
    );
    assert!(
        rig.machine.handle_flush(rig.now, FlushId(3), &topic("t"), &name("leaf-0"), Version::default()),
        "this one asks every leaf"
    );
    assert!(
        rig.machine.handle_flush(rig.now, FlushId(4), &topic("u"), &name("leaf-1"), Version::default()),
        "other topics are others' affair"
    );
    answer(&mut rig, 1, Answer::Silence);
    assert!(rig.machine.handle_flush(rig.now, FlushId(5), &topic("t"), &name("leaf-1"), Version::default()));
}

#[test]
fn a_reset_without_a_key_is_never_a_repeat() {
    let mut rig = Rig::start(config());
    let mut store = TestStore::new(true);
    for id in [1, 3] {
        rig.submit(id, &[(counter("t", "a"), 5)], Idempotency::None);
        rig.merge_all(&mut store);
        begin(&mut rig, id + 1, reset(0, None), &[leaf_node("leaf-0")]);
        answer(&mut rig, id + 1, read(&store));
        rig.merge_all(&mut store);
        assert_eq!(store.total(&counter("t", "a")), 0);
    }
    assert!(rig.submitted().iter().all(|(_, result)| result.is_ok()));
}

#[test]
fn a_leaf_that_is_not_listed_yet_resets_nothing() {
    let mut rig = Rig::start(config());
    rig.machine.handle_reset(rig.now, SubmissionId(1), reset(9, None));
    rig.collect();
    for nodes in [Vec::new(), vec![leaf_node("leaf-1")]] {
        assert_eq!(questions(&mut rig), [Question::Members]);
        let view = ClusterView { epoch: 1, nodes, ..Default::default() };
        answer(&mut rig, 1, Answer::Members { view, away: Vec::new() });
        assert_eq!(rig.submitted(), [(1, Err(SubmitError::Unreachable))]);
        rig.machine.handle_reset(rig.now, SubmissionId(1), reset(9, None));
        rig.collect();
    }
}
