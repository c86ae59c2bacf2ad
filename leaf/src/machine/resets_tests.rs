use super::*;
use crate::testing::{Rig, TestStore, config, counter, topic};
use countree_common::cluster::NodeName;
use countree_common::key::Item;
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

fn totals(store: &TestStore) -> Vec<CounterTotal> {
    let total = |(c, total): (&Counter, &i64)| CounterTotal {
        item: c.item.clone(),
        kind: c.kind.clone(),
        total: *total,
    };
    store.totals().iter().map(total).collect()
}

fn answer(rig: &mut Rig, id: SubmissionId, answer: Answer) {
    rig.machine.handle_answer(rig.now, id, answer);
    rig.collect();
}

fn name(leaf: &str) -> NodeName {
    NodeName::new(leaf).unwrap()
}

fn leaf(leaf: &str) -> Node {
    let quic = ([127, 0, 0, 1], 1).into();
    Node { name: name(leaf), tier: Tier::Leaf, quic, http: None, incarnation: 1 }
}

/// Asks for a reset, and answers up to the question for the totals.
fn begin(rig: &mut Rig, id: SubmissionId, wanted: Reset, leaves: &[Node]) {
    rig.machine.handle_reset(rig.now, id, wanted);
    rig.collect();
    assert_eq!(questions(rig), [Question::Members]);
    let view = ClusterView { epoch: 1, nodes: leaves.to_vec(), ..Default::default() };
    answer(rig, id, Answer::Members { view, away: Vec::new() });
    assert_eq!(questions(rig).len(), leaves.len(), "every leaf is asked");
    for (i, leaf) in leaves.iter().enumerate() {
        answer(rig, id, Answer::Flushed(leaf.name.clone()));
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
    begin(&mut rig, 2, reset(9, Some("a")), &[leaf("leaf-0"), leaf("leaf-1")]);
    let read = totals(&store);
    rig.submit(3, &[(counter("t", "a"), 100)], Idempotency::None);
    answer(&mut rig, 2, Answer::Totals(read));
    rig.merge_all(&mut store);
    assert_eq!(rig.submitted(), [(1, Ok(())), (3, Ok(())), (2, Ok(()))]);
    assert_eq!((store.total(&counter("t", "a")), store.total(&counter("t", "b"))), (100, 7));
}

#[test]
fn a_repeat_changes_nothing_and_another_use_of_its_id_is_refused() {
    let mut rig = Rig::start(config());
    let mut store = TestStore::new(true);
    rig.submit(1, &[(counter("t", "a"), 5)], Idempotency::None);
    rig.merge_all(&mut store);
    begin(&mut rig, 2, reset(9, None), &[leaf("leaf-0")]);
    answer(&mut rig, 2, Answer::Totals(totals(&store)));
    rig.submit(3, &[(counter("t", "a"), 1)], Idempotency::None);
    rig.merge_all(&mut store);
    rig.submitted();
    rig.machine.handle_reset(rig.now, 4, reset(9, None));
    rig.machine.handle_reset(rig.now, 5, reset(9, Some("a")));
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
    rig.machine.handle_reset(rig.now, 1, reset(9, None));
    answer(&mut rig, 1, Answer::Members { view: ClusterView::default(), away: away.clone() });
    rig.machine.handle_reset(rig.now, 2, reset(9, None));
    answer(&mut rig, 2, Answer::Silence);
    assert_eq!(rig.submitted(), [(1, Err(SubmitError::Away(away))), (2, Err(SubmitError::Unreachable))]);
    assert_eq!(rig.machine.ledgers()[0].ledger.accepted, 0);
}

#[test]
fn a_flush_waits_for_all_that_was_accepted_before_it() {
    let mut rig = Rig::start(config());
    let mut store = TestStore::new(true);
    rig.machine.handle_flush(rig.now, 1, &topic("t"), &name("leaf-1"));
    rig.collect();
    assert_eq!(flushed(&mut rig), 1, "nothing was accepted yet");
    rig.submit(1, &[(counter("t", "a"), 5)], Idempotency::None);
    rig.machine.handle_flush(rig.now, 2, &topic("t"), &name("leaf-1"));
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
    rig.machine.handle_reset(rig.now, 1, reset(1, None));
    rig.machine.handle_reset(rig.now, 2, reset(2, None));
    rig.collect();
    assert!(matches!(rig.submitted()[..], [(2, Err(SubmitError::Busy { .. }))]));
}

#[test]
fn two_leaves_do_not_reset_a_topic_at_once() {
    let mut rig = Rig::start(config());
    rig.machine.handle_reset(rig.now, 1, reset(1, None));
    assert!(
        !rig.machine.handle_flush(rig.now, 2, &topic("t"), &name("leaf-1")),
        "the other's reset waits for this one"
    );
    assert!(rig.machine.handle_flush(rig.now, 3, &topic("t"), &name("leaf-0")), "this one asks every leaf");
    assert!(
        rig.machine.handle_flush(rig.now, 4, &topic("u"), &name("leaf-1")),
        "other topics are others' affair"
    );
    answer(&mut rig, 1, Answer::Silence);
    assert!(rig.machine.handle_flush(rig.now, 5, &topic("t"), &name("leaf-1")));
}

#[test]
fn a_reset_without_a_key_is_never_a_repeat() {
    let mut rig = Rig::start(config());
    let mut store = TestStore::new(true);
    for id in [1, 3] {
        rig.submit(id, &[(counter("t", "a"), 5)], Idempotency::None);
        rig.merge_all(&mut store);
        begin(&mut rig, id + 1, reset(0, None), &[leaf("leaf-0")]);
        answer(&mut rig, id + 1, Answer::Totals(totals(&store)));
        rig.merge_all(&mut store);
        assert_eq!(store.total(&counter("t", "a")), 0);
    }
    assert!(rig.submitted().iter().all(|(_, result)| result.is_ok()));
}

#[test]
fn a_leaf_that_is_not_listed_yet_resets_nothing() {
    let mut rig = Rig::start(config());
    rig.machine.handle_reset(rig.now, 1, reset(9, None));
    rig.collect();
    for nodes in [Vec::new(), vec![leaf("leaf-1")]] {
        assert_eq!(questions(&mut rig), [Question::Members]);
        let view = ClusterView { epoch: 1, nodes, ..Default::default() };
        answer(&mut rig, 1, Answer::Members { view, away: Vec::new() });
        assert_eq!(rig.submitted(), [(1, Err(SubmitError::Unreachable))]);
        rig.machine.handle_reset(rig.now, 1, reset(9, None));
        rig.collect();
    }
}
