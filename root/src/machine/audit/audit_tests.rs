use super::*;
use countree_common::audit::{AuditRecords, GivenUp};
use countree_common::cluster::NodeName;

fn leaf() -> NodeName {
    NodeName::new("leaf-0").unwrap()
}

fn stream(incarnation: u64) -> StreamId {
    StreamId { leaf: leaf(), incarnation }
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn ledger(incarnation: u64, accepted: u64, merged: u64) -> StreamLedger {
    let ledger = Ledger { accepted, merged, in_flight: accepted - merged, declared_lost: 0 };
    StreamLedger { stream: stream(incarnation), sealed: false, ledger }
}

/// Everything that the registry and one leaf say, and what the store holds.
#[derive(Debug, Clone, Default)]
struct Cluster {
    records: AuditRecords,
    leaf: Vec<StreamLedger>,
    is_silent: bool,
    is_full: bool,
    documents: Vec<(&'static str, u64, u64)>,
    unreadable: Vec<&'static str>,
}

impl Cluster {
    /// A leaf with a retired stream and a live one, each with one topic.
    fn settled() -> Self {
        let starts = vec![(leaf(), 2)];
        Self {
            records: AuditRecords { retired: vec![ledger(1, 10, 10)], starts, ..AuditRecords::default() },
            leaf: vec![ledger(2, 5, 5)],
            documents: vec![("old", 1, 10), ("new", 2, 5)],
            ..Self::default()
        }
    }

    fn account(&self) -> Account {
        let answer = (!self.is_silent).then(|| self.leaf.clone());
        Account::new(self.records.clone(), vec![(leaf(), answer)])
    }

    fn read(&self, round: &mut Round) {
        for (name, incarnation, events) in &self.documents {
            let is_read = round.is_full() || round.streams().any(|s| *s == stream(*incarnation));
            let events = [(stream(*incarnation), *events)].into_iter().filter(|_| is_read);
            round.handle_document(&topic(name), events, 0);
        }
        self.unreadable.iter().for_each(|name| round.handle_unreadable(topic(name)));
    }

    /// A whole round during which nothing happens.
    fn audited_by(&self, auditor: &mut Auditor) -> Findings {
        let mut round = Round::begin(self.account(), self.is_full);
        self.read(&mut round);
        auditor.handle_round(round, &self.account(), WallMs(1))
    }

    /// Runs two rounds, and applies their corrections to the registry.
    fn corrected_by(&mut self, auditor: &mut Auditor) -> Vec<Correction> {
        assert_eq!(self.audited_by(auditor).corrections, []);
        let corrections = self.audited_by(auditor).corrections;
        for correction in corrections.clone() {
            match correction {
                Correction::Lost(stream, events) => {
                    self.records.lost.retain(|(of, _)| *of != stream);
                    self.records.lost.push((stream, events));
                }
                Correction::Held(stream, held) => {
                    let of = self.records.retired.iter_mut().find(|of| of.stream == stream).unwrap();
                    let accepted = of.ledger.accepted.max(held);
                    of.ledger =
                        Ledger { accepted, merged: held, in_flight: 0, declared_lost: accepted - held };
                }
                Correction::Claimed(ledger) => self.records.retired.push(ledger),
            }
        }
        corrections
    }
}

fn gap(incarnation: u64, events: u64) -> StreamGap {
    StreamGap { stream: stream(incarnation), events }
}

#[test]
fn documents_that_hold_what_was_merged_are_in_order() {
    let findings = Cluster::settled().audited_by(&mut Auditor::default());
    assert!(findings.check.balanced());
    assert_eq!((findings.check.documents, findings.check.held), (2, 15));
    assert_eq!((findings.corrections, findings.leaves_should_ask), (vec![], false));
}

#[test]
fn a_topic_of_a_retired_stream_that_is_gone_is_found_named_and_declared_lost() {
    let (mut auditor, mut cluster) = (Auditor::default(), Cluster::settled());
    cluster.audited_by(&mut auditor);
    cluster.documents.retain(|(name, ..)| *name != "old");
    let findings = cluster.audited_by(&mut auditor);
    assert_eq!(findings.check.short, [gap(1, 10)]);
    assert_eq!(findings.check.topics, [TopicGap { topic: topic("old"), events: 10 }]);
    assert!(!findings.check.balanced() && findings.leaves_should_ask);
    assert_eq!(findings.corrections, [], "a leaf may be sending it again");
    let certain = cluster.corrected_by(&mut Auditor::default());
    assert_eq!(certain, [Correction::Lost(stream(1), 10)]);
    let findings = cluster.audited_by(&mut auditor);
    assert!(findings.check.balanced(), "it is in the ledger as lost");
    assert_eq!(findings.check.topics.len(), 1, "and still named");
}

#[test]
fn what_comes_back_is_lost_no_more() {
    let (mut auditor, mut cluster) = (Auditor::default(), Cluster::settled());
    let whole = cluster.documents.clone();
    cluster.documents.retain(|(name, ..)| *name != "old");
    cluster.corrected_by(&mut auditor);
    cluster.documents = whole;
    assert_eq!(cluster.audited_by(&mut auditor).check.over, [gap(1, 10)]);
    assert_eq!(cluster.audited_by(&mut auditor).corrections, [Correction::Lost(stream(1), 0)]);
}

#[test]
fn an_edited_number_is_found_either_way() {
    let mut cluster = Cluster::settled();
    cluster.documents[0].2 = 9;
    assert_eq!(cluster.audited_by(&mut Auditor::default()).check.short, [gap(1, 1)]);
    cluster.documents[0].2 = 11;
    let mut auditor = Auditor::default();
    for _ in 0..3 {
        let findings = cluster.audited_by(&mut auditor);
        assert_eq!((findings.check.over, findings.corrections), (vec![gap(1, 1)], vec![]));
    }
}

#[test]
fn merges_during_a_round_are_no_difference() {
    let mut cluster = Cluster::settled();
    cluster.leaf = vec![ledger(2, 9, 5)];
    for (held, merged) in [(5, 5), (7, 9), (12, 12)] {
        let mut round = Round::begin(cluster.account(), false);
        let mut then = cluster.clone();
        then.documents[1].2 = held;
        then.read(&mut round);
        then.leaf = vec![ledger(2, 12, merged)];
        let findings = Auditor::default().handle_round(round, &then.account(), WallMs(1));
        assert!(findings.check.balanced(), "{held} {merged}: {findings:?}");
    }
}

#[test]
fn what_was_merged_before_a_round_has_to_be_there_however_much_is_merged_meanwhile() {
    let cluster = Cluster::settled();
    let mut round = Round::begin(cluster.account(), false);
    let mut then = cluster.clone();
    then.documents[1].2 = 4;
    then.read(&mut round);
    then.leaf = vec![ledger(2, 1_000, 900)];
    let findings = Auditor::default().handle_round(round, &then.account(), WallMs(1));
    assert_eq!(findings.check.short, [gap(2, 1)]);
}

#[test]
fn what_a_leaf_has_taken_back_to_send_it_again_is_not_missed() {
    let cluster = Cluster::settled();
    let mut round = Round::begin(cluster.account(), false);
    let mut then = cluster.clone();
    then.documents[1].2 = 2;
    then.read(&mut round);
    then.leaf = vec![ledger(2, 5, 2)];
    assert!(Auditor::default().handle_round(round, &then.account(), WallMs(1)).check.balanced());
}

#[test]
fn nothing_is_said_of_a_leaf_that_can_not_be_asked() {
    let mut cluster = Cluster { is_silent: true, ..Cluster::settled() };
    cluster.documents[1].2 = 900;
    cluster.is_full = true;
    let findings = cluster.audited_by(&mut Auditor::default());
    assert!(findings.check.balanced());
    assert_eq!(findings.check.not_compared, [stream(2)]);
    cluster.documents[0].2 = 3;
    assert_eq!(
        cluster.audited_by(&mut Auditor::default()).check.short,
        [gap(1, 7)],
        "retired: the registry knows"
    );
}

#[test]
fn a_stream_without_a_ledger_is_an_imbalance_until_the_registry_takes_it_over() {
    let (mut auditor, mut cluster) = (Auditor::default(), Cluster::settled());
    cluster.records.retired.clear();
    cluster.is_full = true;
    let findings = cluster.audited_by(&mut Auditor::default());
    assert_eq!(findings.check.over, [gap(1, 10)]);
    let claimed = StreamLedger { sealed: true, ..ledger(1, 10, 10) };
    assert_eq!(cluster.corrected_by(&mut auditor), [Correction::Claimed(claimed)]);
    assert!(cluster.audited_by(&mut auditor).check.balanced());
}

#[test]
fn the_oldest_streams_of_a_leaf_are_compared_as_one() {
    let mut cluster = Cluster::settled();
    cluster.records.retired = vec![ledger(0, 10, 10), ledger(3, 4, 4)];
    cluster.records.folded = vec![(leaf(), 2)];
    cluster.records.starts = vec![(leaf(), 4)];
    cluster.leaf = vec![ledger(4, 0, 0)];
    cluster.documents = vec![("a", 1, 7), ("b", 2, 3), ("c", 3, 4)];
    let findings = cluster.audited_by(&mut Auditor::default());
    assert_eq!(findings.check.not_compared, [stream(0)], "nobody knows the names of those");
    cluster.is_full = true;
    assert!(cluster.audited_by(&mut Auditor::default()).check.balanced());
    cluster.documents[1].2 = 2;
    let mut auditor = Auditor::default();
    assert_eq!(cluster.audited_by(&mut auditor).check.short, [gap(0, 1)]);
    assert_eq!(cluster.audited_by(&mut auditor).corrections, [Correction::Lost(stream(0), 1)]);
}

#[test]
fn of_a_log_that_was_given_up_only_documents_say_how_much_was_merged() {
    for (held, lost) in [(10, 2), (11, 1), (12, 0), (15, 0), (3, 9)] {
        let (mut auditor, mut cluster) = (Auditor::default(), Cluster::settled());
        let mut heard = ledger(1, 12, 10);
        (heard.ledger.in_flight, heard.ledger.declared_lost) = (0, 2);
        cluster.records.retired = vec![heard];
        cluster.records.given_up = vec![GivenUp { stream: stream(1), heard_at: WallMs(1) }];
        cluster.leaf = vec![ledger(1, 2, 2)];
        cluster.documents = vec![("a", 1, held)];
        let corrections = cluster.corrected_by(&mut auditor);
        let expected = if held == 10 { vec![] } else { vec![Correction::Held(stream(1), held)] };
        assert_eq!(corrections, expected);
        let known = cluster.account().ledger(&stream(1)).unwrap();
        assert_eq!((known.merged, known.declared_lost, known.balanced()), (held, lost, true));
        assert!(cluster.corrected_by(&mut auditor).is_empty());
        assert!(cluster.audited_by(&mut auditor).check.balanced());
    }
}

#[test]
fn a_topic_that_a_scan_brings_twice_counts_once() {
    let mut cluster = Cluster::settled();
    cluster.documents.push(cluster.documents[0]);
    let findings = cluster.audited_by(&mut Auditor::default());
    assert!(findings.check.balanced());
    assert_eq!(findings.check.documents, 2);
}

#[test]
fn a_document_that_can_not_be_read_is_told_and_nothing_is_declared_lost_meanwhile() {
    let (mut auditor, mut cluster) = (Auditor::default(), Cluster::settled());
    cluster.documents.remove(0);
    cluster.unreadable.push("old");
    for _ in 0..3 {
        let findings = cluster.audited_by(&mut auditor);
        assert_eq!((findings.check.unreadable, findings.corrections), (vec![topic("old")], vec![]));
    }
}
