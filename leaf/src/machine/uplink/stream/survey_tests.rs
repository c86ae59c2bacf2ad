use super::*;
use crate::machine::counters::table::Table;
use crate::machine::uplink::stream::Findings;
use crate::testing::{leaf_name, root_name, topic};
use countree_common::cut::{Applied, Outcome};
use countree_common::document::Version;
use countree_common::key::Topic;
use countree_common::stream::StreamId;
use countree_common::time::WallMs;
use countree_common::wire::uplink::CutOutcome;

const T0: Time = Time(1_000_000_000);

/// A stream whose topics a durable store has merged, and their names.
fn merged(topics: usize) -> (StreamUplink, Table) {
    let stream = StreamId { leaf: leaf_name(), incarnation: 1 };
    let (mut uplink, mut table) = (StreamUplink::live(stream, Duration::from_secs(10)), Table::default());
    for i in 0..topics {
        let counter = table.intern(&crate::testing::counter(&format!("t{i}"), "a"));
        table.add([(counter, 1)].into_iter(), 0);
    }
    let window = table.take_window();
    uplink.note_accepted(window.events);
    uplink.offer(1, WallMs(1), 10, window.topics);
    for (_, id) in uplink.ready_cuts(T0, |_| Some(root_name())) {
        let of = uplink.cut(id, table.names()).unwrap().topic;
        let applied = Applied {
            version: Version::default(),
            base: Version::default(),
            totals: vec![1],
            events: 1,
            durable: true,
        };
        answer(&mut uplink, &table, &of, (0, 10), Outcome::Applied(applied));
    }
    assert!(uplink.is_idle());
    (uplink, table)
}

fn answer(
    uplink: &mut StreamUplink,
    table: &Table,
    of: &Topic,
    (from, to): (u64, u64),
    outcome: Outcome,
) -> Findings {
    let stream = uplink.stream().clone();
    let answer = CutOutcome { stream, topic: of.clone(), from, to, outcome: Some(outcome) };
    uplink.handle_outcome(T0, table.names(), &answer, false)
}

fn asked(uplink: &mut StreamUplink) -> usize {
    uplink.ready_cuts(T0, |_| Some(root_name())).len()
}

#[test]
fn every_topic_is_asked_about_again_and_again_also_what_the_store_called_durable() {
    let (mut uplink, _) = merged(5);
    assert_eq!((uplink.survey(T0, 2), asked(&mut uplink)), (2, 2));
    assert_eq!((uplink.survey(T0, 2), uplink.survey(T0, 2), asked(&mut uplink)), (2, 1, 3));
    assert_eq!(uplink.survey(T0 + SURVEY_GAP / 2, 2), 0, "a few topics are not asked about all the time");
    assert_eq!(uplink.survey(T0 + SURVEY_GAP, 2), 2);
}

#[test]
fn a_document_that_is_gone_is_read_back() {
    let (mut uplink, table) = merged(1);
    uplink.ask_again();
    assert_eq!(asked(&mut uplink), 1);
    let have = Outcome::Have { lsn: 0, events: 0, version: Version::default() };
    let findings = answer(&mut uplink, &table, &topic("t0"), (10, 10), have);
    assert!(findings.store_went_back);
    let recut = uplink.next_scan(table.names()).unwrap();
    assert_eq!((recut.first(), recut.last()), (1, 10));
    assert_eq!(uplink.ledger(0).merged, 1, "until the log has shown what it holds");
}

#[test]
fn a_number_of_events_that_was_edited_is_told_once() {
    let (mut uplink, table) = merged(1);
    for is_told in [true, false] {
        uplink.ask_again();
        assert_eq!(asked(&mut uplink), 1);
        let have = Outcome::Have { lsn: 10, events: 7, version: Version::default() };
        let findings = answer(&mut uplink, &table, &topic("t0"), (10, 10), have);
        assert_eq!(findings.imbalance.is_some(), is_told);
    }
}
