use super::outcomes::OVERFLOW_RETRY;
use super::sending::{ANSWER_TIMEOUT, SUMS_SENT};
use super::topics::SUMS_OF_A_CUT;
use super::*;
use crate::log::recut::{Found, Piece, Recut, Stretch};

use crate::testing::{TestStore, decoded, leaf_name, root_name, sum, topic};
use countree_common::cluster::NodeName;
use countree_common::cut::{CounterSum, Cut, Outcome};
use countree_common::key::{Counter, Topic};
use countree_common::limits::{self, WINDOW_COUNTERS_PER_TOPIC};
use countree_common::time::Time;
use countree_common::wire::codec;
use countree_common::wire::uplink::{CutOutcome, ToRoot};
use std::ops::{Deref, DerefMut};

const RETENTION: Duration = Duration::from_secs(10);
const T0: Time = Time(1_000_000);

fn stream() -> StreamId {
    StreamId { leaf: leaf_name(), incarnation: 1 }
}

/// An uplink and the names of what it sends.
struct Way {
    uplink: StreamUplink,
    table: Table,
}

impl Deref for Way {
    type Target = StreamUplink;
    fn deref(&self) -> &StreamUplink {
        &self.uplink
    }
}

impl DerefMut for Way {
    fn deref_mut(&mut self) -> &mut StreamUplink {
        &mut self.uplink
    }
}

impl Way {
    fn cuts_to(&mut self, now: Time, root_of: impl Fn() -> Option<NodeName>) -> Vec<(NodeName, Cut)> {
        let ready = self.uplink.ready_cuts(now, |_| root_of());
        let cut = |topic| {
            let cut = self.uplink.cut(topic, self.table.names()).unwrap();
            decoded(&codec::encode(&ToRoot::Cuts(vec![cut])).unwrap()).remove(0)
        };
        ready.into_iter().map(|(root, topic)| (root, cut(topic))).collect()
    }

    fn next_scan(&mut self) -> Option<Recut> {
        self.uplink.next_scan(self.table.names())
    }

    fn handle_scan(&mut self, found: Found) -> Vec<(Topic, u64)> {
        self.uplink.handle_scan(found, &mut self.table)
    }
}

fn live() -> Way {
    Way { uplink: StreamUplink::live(stream(), RETENTION), table: Table::default() }
}

/// Offers a window of one topic with these sums, one event each.
fn offer(way: &mut Way, window: WindowId, to: Lsn, sums: Vec<CounterSum>) {
    for CounterSum { item, kind, delta } in sums {
        let counter = way.table.intern(&Counter { topic: topic("t"), item, kind });
        way.table.add([(counter, delta)].into_iter(), 0);
    }
    let sums = way.table.take_window();
    way.note_accepted(sums.events);
    way.offer(window, WallMs(window), to, sums.topics);
    assert!(way.ledger(0).balanced());
}

fn cuts(way: &mut Way, now: Time) -> Vec<Cut> {
    way.cuts_to(now, || Some(root_name())).into_iter().map(|(_, cut)| cut).collect()
}

fn answer(way: &mut Way, now: Time, cut: &Cut, outcome: Option<Outcome>) -> Findings {
    let Cut { stream, topic, from, to, .. } = cut.clone();
    let answer = CutOutcome { stream, topic, from, to, outcome };
    let findings = way.uplink.handle_outcome(now, way.table.names(), &answer, false);
    assert!(way.ledger(0).balanced(), "{:?}", way.ledger(0));
    findings
}

/// Lets the store merge what can be cut, until nothing more can.
fn merge(uplink: &mut Way, now: Time, store: &mut TestStore) -> Vec<Findings> {
    let mut findings = Vec::new();
    loop {
        let cuts = cuts(uplink, now);
        if cuts.is_empty() {
            return findings;
        }
        for cut in cuts {
            let outcome = store.merge(&cut);
            findings.push(answer(uplink, now, &cut, Some(outcome)));
        }
    }
}

fn piece(to: Lsn, sums: Vec<CounterSum>) -> Piece {
    Piece { to, events: sums.len() as u64, sums }
}

fn found(pieces: Vec<Piece>) -> Found {
    [(topic("t"), pieces)].into()
}

#[test]
fn one_cut_of_a_topic_is_under_way_and_it_is_repeated_verbatim() {
    let mut uplink = live();
    offer(&mut uplink, 1, 10, vec![sum("a", 1)]);
    let first = cuts(&mut uplink, T0);
    assert_eq!((first.len(), first[0].from, first[0].to), (1, 0, 10));
    offer(&mut uplink, 2, 20, vec![sum("a", 5)]);
    assert_eq!(cuts(&mut uplink, T0), []);
    uplink.handle_time(T0 + ANSWER_TIMEOUT);
    assert_eq!(cuts(&mut uplink, T0 + ANSWER_TIMEOUT), first);
    uplink.root_lost(&root_name());
    let other = NodeName::new("root-1").unwrap();
    let moved = uplink.cuts_to(T0, || Some(other.clone()));
    assert_eq!(moved, [(other, first[0].clone())], "another root gets the very same");
    answer(&mut uplink, T0, &first[0], None);
    assert_eq!(cuts(&mut uplink, T0), []);
    uplink.handle_time(T0 + ANSWER_TIMEOUT * 2);
    assert_eq!(cuts(&mut uplink, T0 + ANSWER_TIMEOUT * 2), first);
}

#[test]
fn a_repeat_that_was_merged_before_counts_once() {
    let (mut uplink, mut store) = (live(), TestStore::new(true));
    offer(&mut uplink, 1, 10, vec![sum("a", 1), sum("b", 2)]);
    let cut = cuts(&mut uplink, T0).pop().unwrap();
    let lost_answer = store.merge(&cut);
    let repeat = store.merge(&cut);
    assert!(matches!(repeat, Outcome::Have { lsn: 10, .. }));
    let findings = answer(&mut uplink, T0, &cut, Some(repeat));
    assert_eq!(findings, Findings::default());
    assert_eq!(uplink.ledger(0).merged, 2);
    answer(&mut uplink, T0, &cut, Some(lost_answer));
    assert_eq!(uplink.ledger(0).merged, 2, "an answer from the past changes nothing");
    assert!(uplink.is_idle());
}

#[test]
fn topics_without_a_connected_root_wait_and_keep_their_place() {
    let mut uplink = live();
    offer(&mut uplink, 1, 10, vec![sum("a", 1)]);
    assert_eq!(uplink.cuts_to(T0, || None), []);
    assert_eq!(cuts(&mut uplink, T0).len(), 1);
}

#[test]
fn small_cuts_wait_until_those_under_way_are_answered() {
    let mut way = live();
    let most = SUMS_SENT / SUMS_OF_A_CUT;
    for n in 0..2 * most {
        let counter = way.table.intern(&Counter::new(&format!("t{n}"), "a", "like").unwrap());
        way.table.add([(counter, 1)].into_iter(), 1);
    }
    let window = way.table.take_window();
    way.note_accepted(window.events);
    way.offer(1, WallMs(1), 1, window.topics);
    let sent = way.cuts_to(T0, || Some(root_name()));
    assert!((most / 2..=most).contains(&sent.len()), "{}", sent.len());
    assert!(way.cuts_to(T0, || Some(root_name())).is_empty());
    let mut store = TestStore::new(true);
    for (_, cut) in &sent[..100] {
        let outcome = store.merge(cut);
        answer(&mut way, T0, cut, Some(outcome));
    }
    assert!((50..=100).contains(&way.cuts_to(T0, || Some(root_name())).len()));
}

#[test]
fn windows_that_wait_are_sent_as_one_up_to_the_size_of_a_cut() {
    let (mut uplink, mut store) = (live(), TestStore::new(true));
    let many = |window: u64| (0..30_000).map(|i| sum(&format!("{window}-{i}"), 1)).collect();
    for window in 1..=6 {
        offer(&mut uplink, window, window * 10, many(window));
    }
    let mut sizes = Vec::new();
    while let Some(cut) = cuts(&mut uplink, T0).pop() {
        sizes.push(cut.sums.len());
        let outcome = store.merge(&cut);
        answer(&mut uplink, T0, &cut, Some(outcome));
    }
    assert_eq!(sizes.iter().sum::<usize>(), 180_000);
    assert!(sizes.iter().all(|size| *size <= limits::COUNTERS_PER_CUT), "{sizes:?}");
    assert!(sizes.len() < 6);
    assert_eq!(uplink.progress().merged_to(), 60);
}

#[test]
fn a_store_that_went_back_gets_what_it_forgot_and_a_new_era() {
    let (mut uplink, mut store) = (live(), TestStore::new(false));
    offer(&mut uplink, 1, 10, vec![sum("a", 1)]);
    merge(&mut uplink, T0, &mut store);
    let earlier = store.clone();
    let era = store.version(&topic("t")).era;
    offer(&mut uplink, 2, 20, vec![sum("a", 2)]);
    merge(&mut uplink, T0, &mut store);
    store = earlier;
    offer(&mut uplink, 3, 30, vec![sum("a", 4)]);
    let findings = merge(&mut uplink, T0, &mut store);
    assert!(findings[0].store_went_back);
    assert_eq!(uplink.progress().complete_to(), None, "no watermark while the store lacks what it had");
    assert_eq!(uplink.progress().merged_to(), 0, "and nothing may be trimmed");

    offer(&mut uplink, 4, 40, vec![sum("b", 8)]);
    let recut = uplink.next_scan().unwrap();
    assert_eq!((recut.first(), recut.last()), (11, 30));
    assert!(uplink.next_scan().is_none(), "one reading at a time");
    assert_eq!(cuts(&mut uplink, T0), [], "nothing goes while the log is read");
    uplink.handle_scan_failed();
    assert!(uplink.next_scan().is_some());
    let lost = uplink.handle_scan(found(vec![piece(20, vec![sum("a", 2)]), piece(30, vec![sum("a", 4)])]));
    assert_eq!(lost, []);
    assert!(uplink.ledger(0).balanced());
    let cut = cuts(&mut uplink, T0).pop().unwrap();
    assert_eq!((cut.from, cut.to, cut.era), (10, 20, era + 1));
    uplink.root_lost(&root_name());
    merge(&mut uplink, T0, &mut store);
    let totals = ["a", "b"].map(|item| store.total(&crate::testing::counter("t", item)));
    assert_eq!(totals, [7, 8]);
    assert_eq!(store.version(&topic("t")).era, era + 1);
    assert_eq!((uplink.ledger(0).merged, uplink.ledger(0).declared_lost), (4, 0));
    assert_eq!(uplink.progress().complete_to(), Some(WallMs(4)));
}

#[test]
fn what_the_store_forgot_and_the_log_no_longer_has_is_declared_lost() {
    let (mut uplink, mut store) = (live(), TestStore::new(false));
    let empty = store.clone();
    offer(&mut uplink, 1, 10, vec![sum("a", 1), sum("b", 1)]);
    merge(&mut uplink, T0, &mut store);
    offer(&mut uplink, 2, 20, vec![sum("a", 2)]);
    merge(&mut uplink, T0, &mut store);
    store = empty;
    offer(&mut uplink, 3, 30, vec![sum("a", 4)]);
    merge(&mut uplink, T0, &mut store);
    uplink.next_scan().unwrap();
    let lost = uplink.handle_scan(found(vec![piece(20, vec![sum("a", 2)]), piece(30, vec![sum("a", 4)])]));
    assert_eq!(lost, [(topic("t"), 2)]);
    let findings = merge(&mut uplink, T0, &mut store);
    assert!(findings.iter().all(|f| f.imbalance.is_none()), "{findings:?}");
    let ledger = uplink.ledger(0);
    assert_eq!((ledger.merged, ledger.declared_lost, ledger.balanced()), (2, 2, true));
}

#[test]
fn a_count_that_is_not_the_leafs_own_is_told() {
    let mut uplink = live();
    offer(&mut uplink, 1, 10, vec![sum("a", 1)]);
    let cut = cuts(&mut uplink, T0).pop().unwrap();
    let have = Outcome::Have { lsn: 10, events: 2, version: Default::default() };
    assert!(answer(&mut uplink, T0, &cut, Some(have)).imbalance.is_some());
}

fn sealed(last: Lsn, events: u64) -> Way {
    let topics = [(topic("t"), TopicInLog { last, events })].into();
    let (old, mut table) = (OldStream { end: 50, accepted: events + 3, topics }, Table::default());
    Way { uplink: StreamUplink::sealed(stream(), old, RETENTION, &mut table), table }
}

#[test]
fn a_sealed_stream_asks_for_its_position_and_never_guesses() {
    let mut uplink = sealed(40, 2);
    assert_eq!(uplink.ledger(0).merged, 3, "what was trimmed had been merged");
    let probe = cuts(&mut uplink, T0).pop().unwrap();
    assert_eq!((probe.from, probe.to, probe.sums.len(), probe.events), (0, 0, 0, 0));
    assert!(uplink.next_scan().is_none() && !uplink.is_drained());
    let have = Outcome::Have { lsn: 30, events: 3, version: Default::default() };
    answer(&mut uplink, T0, &probe, Some(have));
    let recut = uplink.next_scan().unwrap();
    assert_eq!((recut.first(), recut.last()), (31, 40));
    uplink.handle_scan(found(vec![piece(40, vec![sum("a", 1)])]));
    assert_eq!(uplink.ledger(0).merged, 4, "one of the two had been merged");
    let cut = cuts(&mut uplink, T0).pop().unwrap();
    assert_eq!((cut.from, cut.to), (30, 40));
    let have = Outcome::Have { lsn: 40, events: 4, version: Default::default() };
    answer(&mut uplink, T0, &cut, Some(have));
    assert!(uplink.is_drained() && uplink.ledger(0).merged == 5);
}

#[test]
fn a_sealed_stream_that_was_merged_whole_is_drained_by_the_answer() {
    let mut uplink = sealed(40, 2);
    let probe = cuts(&mut uplink, T0).pop().unwrap();
    let have = Outcome::Have { lsn: 40, events: 5, version: Default::default() };
    answer(&mut uplink, T0, &probe, Some(have));
    assert!(uplink.is_drained());
    assert!(!uplink.is_settled(), "the store may still forget it");
    assert_eq!(uplink.ledger(0).merged, 5);
}

/// Answers probes for as long as there are any; returns when they came.
fn probes(uplink: &mut Way, store: &mut TestStore) -> Vec<u64> {
    let mut times = Vec::new();
    while let Some(now) = uplink.next_timeout() {
        uplink.handle_time(now);
        for cut in cuts(uplink, now) {
            assert_eq!((cut.from, cut.sums.len()), (cut.to, 0));
            times.push(now.since(T0).as_secs());
            let outcome = store.merge(&cut);
            assert_eq!(answer(uplink, now, &cut, Some(outcome)), Findings::default());
        }
    }
    times
}

#[test]
fn an_idle_topic_is_asked_about_until_the_retention_has_passed() {
    let (mut uplink, mut store) = (live(), TestStore::new(false));
    offer(&mut uplink, 1, 10, vec![sum("a", 1)]);
    merge(&mut uplink, T0, &mut store);
    assert!(!uplink.is_proven(T0));
    assert_eq!(probes(&mut uplink, &mut store), [1, 2, 4, 8, 10]);
    assert!(uplink.is_proven(T0));
}

#[test]
fn a_topic_without_an_answer_holds_the_log() {
    let (mut uplink, mut store) = (live(), TestStore::new(false));
    offer(&mut uplink, 1, 10, vec![sum("a", 1)]);
    merge(&mut uplink, T0, &mut store);
    let late = T0 + RETENTION * 100;
    uplink.handle_time(late);
    let probe = cuts(&mut uplink, late).pop().unwrap();
    assert!(!uplink.is_proven(T0));
    let outcome = store.merge(&probe);
    answer(&mut uplink, late, &probe, Some(outcome));
    assert!(uplink.is_proven(T0));
}

#[test]
fn what_the_store_calls_durable_is_not_asked_about() {
    let (mut uplink, mut store) = (live(), TestStore::new(true));
    offer(&mut uplink, 1, 10, vec![sum("a", 1)]);
    merge(&mut uplink, T0, &mut store);
    assert!(uplink.is_proven(T0));
    assert_eq!(probes(&mut uplink, &mut store), [0; 0]);
}

#[test]
fn a_total_that_does_not_fit_is_tried_again_until_it_does() {
    let (mut uplink, mut store) = (live(), TestStore::new(true));
    let a = crate::testing::counter("t", "a");
    store.set_total(a.clone(), i64::MAX);
    offer(&mut uplink, 1, 10, vec![sum("a", 1)]);
    let cut = cuts(&mut uplink, T0).pop().unwrap();
    let outcome = store.merge(&cut);
    assert!(answer(&mut uplink, T0, &cut, Some(outcome)).overflow);
    assert!(!uplink.is_idle());
    store.set_total(a.clone(), 5);
    uplink.handle_time(T0 + OVERFLOW_RETRY);
    merge(&mut uplink, T0, &mut store);
    assert_eq!((store.total(&a), uplink.is_idle()), (6, true));
}

#[test]
fn a_reading_of_the_log_is_cut_in_pieces_that_fit() {
    use crate::log::record::{Record, Submission};
    use countree_common::wire::batch::{put_event, put_name};
    let mut recut = Recut::new([(topic("t"), Stretch { from: 1, to: 12 })].into());
    for lsn in 1..=20 {
        let (mut names, mut words) = (Vec::new(), Vec::new());
        for id in 0..5_000 {
            put_name(&crate::testing::counter("t", &format!("{lsn}-{id}")), &mut names);
            put_event(id, 1, &mut words);
        }
        let (at, keys) = (WallMs(1), Vec::new());
        let record = Submission { at, keys, names: &names, event_count: 5_000, words: &words };
        recut.record(lsn, &Record::Submission(record)).unwrap();
    }
    let pieces = recut.finish().remove(&topic("t")).unwrap();
    assert_eq!(pieces.iter().map(|p| p.events).sum::<u64>(), 11 * 5_000, "from 2 to 12");
    assert_eq!(pieces.last().unwrap().to, 12);
    let fits = |p: &Piece| p.sums.len() < WINDOW_COUNTERS_PER_TOPIC + 5_000;
    assert!(pieces.len() > 2 && pieces.iter().all(fits));
}
