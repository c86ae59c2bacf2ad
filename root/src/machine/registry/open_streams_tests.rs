use super::*;

fn leaf() -> NodeName {
    NodeName::new("a").unwrap()
}

fn end(incarnation: u64, last: u64, accepted: u64) -> LogEnd {
    LogEnd { incarnation, last, accepted }
}

fn reached(last: u64, accepted: u64, merged: u64) -> StreamProgress {
    let in_flight = accepted - merged;
    StreamProgress { last, ledger: Ledger { accepted, merged, in_flight, declared_lost: 0 } }
}

/// Streams 3 and 4 are open, and have come so far.
fn open() -> OpenStreams {
    let mut open = OpenStreams::default();
    for incarnation in [3, 4] {
        open.open(&leaf(), incarnation, WallMs(1));
        open.reach(&leaf(), incarnation, reached(10, 100, 90), WallMs(2));
    }
    open
}

fn missing(open: &OpenStreams) -> Vec<u64> {
    let streams = open.by_leaf.get(&leaf()).into_iter().flatten();
    streams.filter(|(_, open)| open.missing.is_some()).map(|(incarnation, _)| *incarnation).collect()
}

#[test]
fn a_log_that_holds_at_least_what_was_heard_of_it_lacks_nothing() {
    let mut open = open();
    assert!(!open.compare(&leaf(), &[end(3, 10, 100), end(4, 17, 160), end(5, 0, 0)]));
    assert_eq!((missing(&open), open.forgetful().count()), (vec![], 0));
    assert!(!OpenStreams::default().compare(&leaf(), &[]), "a new leaf");
}

#[test]
fn a_log_that_is_gone_or_older_lacks_what_was_heard_of_it() {
    let cases: [(&[LogEnd], &[u64]); 3] =
        [(&[], &[3, 4]), (&[end(2, 9, 9), end(3, 10, 100)], &[4]), (&[end(3, 10, 100), end(4, 9, 80)], &[4])];
    for (log, lacking) in cases {
        let mut open = open();
        assert!(open.compare(&leaf(), log));
        assert_eq!(missing(&open), lacking);
        assert!(!open.compare(&leaf(), log), "no news the second time");
        assert_eq!((missing(&open).as_slice(), open.forgetful().count()), (lacking, 1));
    }
}

#[test]
fn a_log_that_is_found_again_is_missing_no_more() {
    let mut open = open();
    assert!(open.compare(&leaf(), &[]));
    open.open(&leaf(), 5, WallMs(1));
    assert!(open.compare(&leaf(), &[end(3, 10, 100), end(4, 10, 100)]), "but what came after it is");
    assert_eq!(missing(&open), [5]);
}

#[test]
fn what_is_given_up_is_lost_as_far_as_it_is_known() {
    let mut open = open();
    open.compare(&leaf(), &[end(4, 5, 60)]);
    let shown: Vec<_> = open.ledgers().map(|of| (of.stream.incarnation, of.ledger.in_flight)).collect();
    assert_eq!(shown, [(3, 10)], "part of stream 4 is in its leaf's own ledgers");
    let lost = Ledger { accepted: 100, merged: 90, in_flight: 0, declared_lost: 10 };
    let heard = |incarnation| Heard { incarnation, at: WallMs(2), ledger: lost };
    assert_eq!(open.give_up(&leaf(), true), [heard(3), heard(4)]);
    assert_eq!(open.forgetful().count(), 0);
}

#[test]
fn a_stream_is_watched_over_until_it_is_merged() {
    let ledger = |accepted| reached(0, accepted, accepted).ledger;
    let mut open = open();
    open.close(&leaf(), 3, &ledger(100));
    open.compare(&leaf(), &[end(4, 5, 60)]);
    open.close(&leaf(), 4, &ledger(60));
    assert_eq!(missing(&open), [4], "only a part of it is merged");
    open.close(&leaf(), 4, &ledger(100));
    assert_eq!(missing(&open), [0; 0], "another process had the whole");
}

#[test]
fn a_leaf_that_left_may_come_back_empty_unless_it_has_kept_its_keys() {
    for keeps_keys in [false, true] {
        let mut open = open();
        open.close(&leaf(), 3, &reached(0, 100, 100).ledger);
        open.settle(&leaf(), 4, keeps_keys);
        assert_eq!(open.compare(&leaf(), &[]), keeps_keys, "nobody knows those keys");
        assert_eq!(open.forgetful().count(), 0, "all of it was merged");
    }
}

#[test]
fn a_leaf_that_left_before_it_was_listed_has_its_keys_in_its_last_log_alone() {
    let mut open = open();
    open.settle(&leaf(), 5, true);
    assert!(!open.clone().compare(&leaf(), &[end(5, 0, 0)]));
    assert!(open.compare(&leaf(), &[]));
}

#[test]
fn a_leaf_that_is_killed_while_it_leaves_has_its_keys_in_its_last_log_alone() {
    for (log, is_forgotten) in [(vec![end(4, 10, 100)], false), (vec![end(3, 10, 100)], true), (vec![], true)]
    {
        let mut open = open();
        for incarnation in [3, 4] {
            open.close(&leaf(), incarnation, &reached(0, 100, 100).ledger);
        }
        assert_eq!(open.compare(&leaf(), &log), is_forgotten);
        assert_eq!((open.forgetful().count(), open.ledgers().count()), (0, 0), "all of it was merged");
        open.open(&leaf(), 5, WallMs(1));
        assert!(!open.compare(&leaf(), &[end(5, 0, 0)]), "a later start has taken the keys over");
    }
}

#[test]
fn no_more_streams_are_watched_over_than_there_is_room_for() {
    let mut open = OpenStreams::default();
    (1..=100).for_each(|incarnation| assert!(!open.open(&leaf(), incarnation, WallMs(1))));
    open.compare(&leaf(), &[]);
    assert_eq!(missing(&open).len(), OPEN_PER_LEAF);
}

/// A join that arrives when its start is long in the view, or gone, says nothing about the log of the one that lives.
#[test]
fn only_the_log_of_a_start_that_is_in_the_view_counts() {
    let mut open = open();
    let streams = |open: &mut OpenStreams, incarnation, log: &[LogEnd]| {
        open.join(&leaf(), incarnation, log).into_iter().map(|stream| stream.incarnation).collect::<Vec<_>>()
    };
    let whole = [end(3, 10, 100), end(4, 10, 100)];
    assert_eq!(streams(&mut open, 5, &whole), [0; 0]);
    assert_eq!(streams(&mut open, 6, &[]), [3, 4], "the start is answered by what its log lacks");
    assert_eq!(missing(&open), [0; 0], "and nothing else follows from it");
    assert!(!open.open(&leaf(), 5, WallMs(3)));
    assert_eq!(streams(&mut open, 7, &whole[..1]), [4, 5]);
    assert!(open.open(&leaf(), 7, WallMs(4)));
    assert_eq!(missing(&open), [4, 5]);
    assert!(open.joining.is_empty(), "what was before the start that lives is over");
}

#[test]
fn a_log_that_there_was_no_room_for_is_taken_for_an_empty_one() {
    let mut open = open();
    let whole = [end(3, 10, 100), end(4, 10, 100)];
    for incarnation in 5..=5 + JOINING_PER_LEAF as u64 {
        open.join(&leaf(), incarnation, &whole);
    }
    assert_eq!(open.joining[&leaf()].len(), JOINING_PER_LEAF);
    assert!(!open.clone().open(&leaf(), 6, WallMs(3)));
    assert!(open.open(&leaf(), 5, WallMs(3)));
}
