use super::*;
use crate::machine::ids::FlushId;
use crate::machine::ids::SubmissionId;
use crate::machine::resets::Answer;
use crate::testing::{Rig, config, leaf_node, name, topic};
use countree_common::cluster::ClusterView;

fn version(era: u64, number: u64) -> Version {
    Version { era, number }
}

fn gone(at: Version, was_gone: bool) -> Tombstone {
    Tombstone { version: at, events: 5, was_gone, durable: true }
}

fn questions(rig: &mut Rig) -> Vec<Question> {
    let asked = rig.take(|o| matches!(o, Output::Ask { .. })).into_iter();
    asked.filter_map(|o| if let Output::Ask { question, .. } = o { Some(question) } else { None }).collect()
}

fn told(rig: &mut Rig) -> Vec<Result<Option<Tombstone>, SubmitError>> {
    let told = rig.take(|o| matches!(o, Output::Forgotten { .. })).into_iter();
    told.filter_map(|o| if let Output::Forgotten { result, .. } = o { Some(result) } else { None }).collect()
}

fn answer(rig: &mut Rig, answer: Answer) {
    rig.machine.handle_answer(rig.now, SubmissionId(1), answer);
    rig.collect();
}

fn forget_at(at: Version) -> Question {
    Question::Forget { topic: topic("t"), at }
}

/// Asks for a topic to be forgotten, and answers up to what the store is asked.
fn begin(rig: &mut Rig, flushed: &[Version]) {
    rig.machine.handle_forget(SubmissionId(1), topic("t"));
    rig.collect();
    assert_eq!(questions(rig), [Question::Members]);
    let leaves = [leaf_node("leaf-0"), leaf_node("leaf-1")];
    let view = ClusterView { epoch: 1, nodes: leaves.to_vec(), ..Default::default() };
    answer(rig, Answer::Members { view, away: Vec::new() });
    flush(rig, flushed);
}

fn flush(rig: &mut Rig, flushed: &[Version]) {
    assert_eq!(questions(rig).len(), flushed.len(), "every leaf is asked");
    for (leaf, version) in ["leaf-0", "leaf-1"].into_iter().zip(flushed) {
        assert_eq!(questions(rig), [], "the store is asked after the last leaf");
        answer(rig, Answer::Flushed(name(leaf), *version));
    }
}

#[test]
fn the_store_forgets_at_the_version_that_holds_what_every_leaf_had_accepted() {
    let mut rig = Rig::start(config());
    begin(&mut rig, &[version(3, 7), version(3, 9)]);
    assert_eq!(questions(&mut rig), [forget_at(version(3, 9))]);
    answer(&mut rig, Answer::ForgetOutcome(ForgetOutcome::Forgotten(gone(version(4, 10), false))));
    assert_eq!(told(&mut rig), [Ok(Some(gone(version(4, 10), false)))]);
}

#[test]
fn what_is_merged_meanwhile_is_forgotten_too() {
    let mut rig = Rig::start(config());
    begin(&mut rig, &[version(3, 7), Version::default()]);
    questions(&mut rig);
    answer(&mut rig, Answer::ForgetOutcome(ForgetOutcome::Moved(version(3, 8))));
    assert_eq!(questions(&mut rig), [forget_at(version(3, 8))]);
    answer(&mut rig, Answer::ForgetOutcome(ForgetOutcome::Forgotten(gone(version(4, 9), false))));
    assert_eq!(told(&mut rig).len(), 1);
}

#[test]
fn a_store_that_went_back_is_not_asked_before_the_leaves_have_sent_what_it_lacks() {
    let mut rig = Rig::start(config());
    begin(&mut rig, &[version(3, 7), version(3, 9)]);
    questions(&mut rig);
    answer(&mut rig, Answer::ForgetOutcome(ForgetOutcome::Moved(version(4, 8))));
    flush(&mut rig, &[version(4, 11), version(4, 10)]);
    assert_eq!(questions(&mut rig), [forget_at(version(4, 11))]);
}

#[test]
fn a_topic_that_was_gone_before_is_answered_once_nothing_of_it_is_on_its_way() {
    let mut rig = Rig::start(config());
    begin(&mut rig, &[version(3, 9), Version::default()]);
    questions(&mut rig);
    let tombstone = gone(version(4, 10), true);
    answer(&mut rig, Answer::ForgetOutcome(ForgetOutcome::Forgotten(tombstone)));
    assert_eq!(told(&mut rig), [], "a leaf named an earlier era");
    flush(&mut rig, &[version(4, 10), Version::default()]);
    assert_eq!(questions(&mut rig), [forget_at(version(4, 10))]);
    answer(&mut rig, Answer::ForgetOutcome(ForgetOutcome::Forgotten(tombstone)));
    assert_eq!(told(&mut rig), [Ok(Some(tombstone))]);
}

#[test]
fn a_topic_that_nobody_knows_is_unknown() {
    let mut rig = Rig::start(config());
    begin(&mut rig, &[Version::default(); 2]);
    assert_eq!(questions(&mut rig), [forget_at(Version::default())]);
    answer(&mut rig, Answer::ForgetOutcome(ForgetOutcome::Unknown));
    assert_eq!(told(&mut rig), [Ok(None)]);
}

#[test]
fn a_store_that_does_not_answer_is_asked_until_it_does_and_nobody_resets_the_topic_meanwhile() {
    let mut rig = Rig::start(config());
    begin(&mut rig, &[version(3, 7); 2]);
    for _ in 0..3 {
        assert_eq!(questions(&mut rig), [forget_at(version(3, 7))]);
        answer(&mut rig, Answer::Silence);
        assert_eq!((told(&mut rig), questions(&mut rig)), (vec![], vec![]));
        let is_taken =
            rig.machine.handle_flush(rig.now, FlushId(9), &topic("t"), &name("leaf-1"), Version::default());
        assert!(!is_taken, "another leaf that resets the topic has to wait");
        rig.pass(1_000);
    }
    answer(&mut rig, Answer::ForgetOutcome(ForgetOutcome::Forgotten(gone(version(4, 8), false))));
    assert_eq!(told(&mut rig).len(), 1);
    assert!(rig.machine.handle_flush(rig.now, FlushId(9), &topic("t"), &name("leaf-1"), Version::default()));
}

/// The first question had its effect, and only its answer was lost; then a leaf can't be asked any more.
#[test]
fn it_is_not_said_that_nothing_changed_where_the_store_was_silent_once() {
    let mut rig = Rig::start(config());
    begin(&mut rig, &[version(3, 7); 2]);
    answer(&mut rig, Answer::Silence);
    rig.pass(1_000);
    answer(&mut rig, Answer::ForgetOutcome(ForgetOutcome::Forgotten(gone(version(4, 8), true))));
    answer(&mut rig, Answer::Silence);
    assert_eq!(told(&mut rig), [Err(SubmitError::InDoubt)]);
}

#[test]
fn nothing_is_forgotten_while_a_leaf_is_away() {
    let mut rig = Rig::start(config());
    rig.machine.handle_forget(SubmissionId(1), topic("t"));
    rig.collect();
    questions(&mut rig);
    let view = ClusterView { epoch: 1, nodes: vec![leaf_node("leaf-0")], ..Default::default() };
    answer(&mut rig, Answer::Members { view, away: vec![name("leaf-1")] });
    assert_eq!(told(&mut rig), [Err(SubmitError::Away(vec![name("leaf-1")]))]);
    assert_eq!(questions(&mut rig), []);
}
