use super::*;
use countree_common::cluster::NodeName;

fn cut(range: (Lsn, Lsn), deltas: &[(&str, i64)]) -> Cut {
    let sum = |(item, delta): &(&str, i64)| CounterSum {
        item: Item::new(item).unwrap(),
        kind: Kind::new("like").unwrap(),
        delta: *delta,
    };
    Cut {
        stream: StreamId { leaf: NodeName::new("leaf-0").unwrap(), incarnation: 1 },
        topic: Topic::new("t").unwrap(),
        from: range.0,
        to: range.1,
        sums: deltas.iter().map(sum).collect(),
        events: deltas.len() as u64,
        era: 0,
    }
}

#[test]
fn a_cut_goes_in_once_and_in_its_place() {
    let mut document = Document::default();
    let first = cut((0, 4), &[("a", 2), ("b", -1)]);
    let Outcome::Applied(applied) = document.merge(&first, 0, true) else { panic!() };
    assert_eq!((applied.totals, applied.events, applied.durable), (vec![2, -1], 2, true));
    assert_eq!(applied.base, Version::default());
    let merged = document.clone();
    let stands = Outcome::Have { lsn: 4, events: 2, version: applied.version };
    for refused in [first, cut((5, 6), &[("a", 1)]), cut((3, 6), &[("a", 1)]), cut((4, 4), &[])] {
        assert_eq!(document.merge(&refused, 0, true), stands);
    }
    assert_eq!(document, merged);
}

#[test]
fn a_total_or_an_event_count_out_of_range_refuses_the_whole_cut() {
    let mut document = Document::default();
    document.merge(&cut((0, 1), &[("a", i64::MAX), ("b", 1)]), 0, false);
    let merged = document.clone();
    assert_eq!(document.merge(&cut((1, 2), &[("b", 1), ("a", 1)]), 0, false), Outcome::Overflow);
    let countless = Cut { events: u64::MAX, ..cut((1, 2), &[("b", 1)]) };
    assert_eq!(document.merge(&countless, 0, false), Outcome::Overflow);
    assert_eq!(document, merged);
}

#[test]
fn the_era_rises_with_a_cut_and_never_falls() {
    let mut document = Document::default();
    for (to, floor, era) in [(1, 3, 3), (2, 1, 3), (3, 4, 4)] {
        document.merge(&Cut { era: floor, ..cut((to - 1, to), &[("a", 1)]) }, 0, false);
        assert_eq!(document.version, Version { era, number: to });
    }
}

#[test]
fn an_era_of_another_process_is_not_taken_from_a_cut() {
    let mut document = Document::default();
    // The store was replaced under a clock that had stepped back: the leaf knows the eras from 9,000 on.
    for (to, asked, era) in [(1, 9_001, 700), (2, 444, 700), (3, 701, 701), (4, 9_001, 701), (5, 700, 701)] {
        document.merge(&Cut { era: asked, ..cut((to - 1, to), &[("a", 1)]) }, 700, false);
        assert_eq!(document.version, Version { era, number: to });
    }
}

#[test]
fn unsound_cuts_are_told_from_sound_ones() {
    for sound in [cut((0, 0), &[]), cut((0, 1), &[]), cut((0, 1), &[("a", 0), ("b", 1)])] {
        assert_eq!(check(&sound), Ok(()));
    }
    assert!(matches!(check(&cut((2, 1), &[])), Err(UnsoundCut::Backwards { .. })));
    assert!(matches!(check(&cut((1, 1), &[("a", 1)])), Err(UnsoundCut::FromNowhere(_))));
    assert!(matches!(check(&cut((0, 1), &[("a", 1), ("a", 2)])), Err(UnsoundCut::Twice { .. })));
}

#[test]
fn a_process_that_forgot_gives_no_version_a_second_time() {
    // Era 5 answers two merges; a process that has neither serves, then one that has the first.
    let mut first = Document::default();
    first.merge(&cut((0, 1), &[("a", 1)]), 5, false);
    let kept = first.clone();
    first.merge(&cut((1, 2), &[("a", 1)]), 5, false);
    let topic = Topic::new("t").unwrap();
    let mut seen = vec![kept.snapshot(&topic, 5).version, first.snapshot(&topic, 5).version];

    let mut empty = Document::default();
    assert_eq!(empty.snapshot(&topic, 6).version, Version::default(), "never counted, in every era");
    empty.merge(&cut((0, 2), &[("a", 2)]), 6, false);
    seen.push(empty.snapshot(&topic, 6).version);

    let mut kept = kept;
    seen.push(kept.snapshot(&topic, 7).version);
    let found = kept.merge(&cut((0, 2), &[("a", 2)]), 7, false);
    assert_eq!(found, Outcome::Have { lsn: 1, events: 1, version: Version { era: 7, number: 1 } });
    let Outcome::Applied(applied) = kept.merge(&cut((1, 2), &[("a", 1)]), 7, false) else { panic!() };
    assert_eq!(applied.base, *seen.last().unwrap(), "whoever read it needs only what has changed");
    seen.push(applied.version);
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}

#[test]
fn a_topic_is_forgotten_at_the_version_that_was_named_and_no_event_comes_in_again() {
    let mut document = Document::default();
    assert_eq!(document.forget(Version::default(), 5, true), ForgetOutcome::Unknown);
    let events = [cut((0, 1), &[("a", 1)]), cut((1, 2), &[("a", 2), ("b", 1)])];
    document.merge(&events[0], 5, false);
    let early = document.version;
    document.merge(&events[1], 5, false);
    let at = document.version;
    assert_eq!(document.forget(early, 5, true), ForgetOutcome::Moved(at), "more was merged since");
    let version = Version { era: 6, number: 3 };
    let gone = Tombstone { version, events: 3, was_gone: false, durable: true };
    assert_eq!(document.forget(at, 5, true), ForgetOutcome::Forgotten(gone));
    assert_eq!(document.forget(at, 5, true), ForgetOutcome::Forgotten(Tombstone { was_gone: true, ..gone }));
    assert!(document.totals.is_empty());
    for late in &events {
        assert!(matches!(document.merge(late, 5, false), Outcome::Have { lsn: 2, events: 3, .. }));
    }
    let Outcome::Applied(applied) = document.merge(&cut((2, 3), &[("a", 7)]), 5, false) else { panic!() };
    assert_eq!((applied.totals, applied.events, applied.version.number), (vec![7], 4, 4));
    assert!(applied.version > version && applied.version.era == version.era);
    assert!(matches!(document.forget(at, 5, true), ForgetOutcome::Moved(_)), "what was asked long ago");
}
