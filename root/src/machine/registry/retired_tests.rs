use super::*;

fn whole(events: u64) -> Ledger {
    Ledger { accepted: events, merged: events, in_flight: 0, declared_lost: 0 }
}

fn heard(accepted: u64, merged: u64) -> Ledger {
    Ledger { accepted, merged, in_flight: 0, declared_lost: accepted - merged }
}

fn give_up(streams: &mut RetiredStreams, incarnation: u64, ledger: Ledger) {
    streams.give_up(Heard { incarnation, at: WallMs(7), ledger });
}

fn sum(streams: &RetiredStreams) -> Ledger {
    let leaf = NodeName::new("leaf-0").unwrap();
    let mut sum = Ledger::default();
    streams.ledgers(&leaf).for_each(|of| sum += of.ledger);
    sum
}

#[test]
fn a_stream_that_is_given_up_is_lost_as_far_as_documents_do_not_hold_it() {
    for (held, expected) in [(0, heard(12, 0)), (11, heard(12, 11)), (12, whole(12)), (15, whole(15))] {
        let mut streams = RetiredStreams::default();
        give_up(&mut streams, 3, heard(12, 10));
        assert_eq!(sum(&streams), heard(12, 10));
        streams.know_held(3, held);
        assert_eq!(sum(&streams), expected);
        assert!(!streams.retire(3, whole(2)), "an older copy of the log knows less");
        assert_eq!((sum(&streams), streams.given_up().collect::<Vec<_>>()), (expected, vec![(3, WallMs(7))]));
    }
}

#[test]
fn what_is_known_to_be_merged_is_not_given_up() {
    let mut streams = RetiredStreams::default();
    streams.retire(3, whole(12));
    give_up(&mut streams, 3, heard(12, 10));
    streams.know_held(3, 7);
    assert_eq!((sum(&streams), streams.given_up().count()), (whole(12), 0));
    give_up(&mut streams, 3, heard(13, 12));
    assert_eq!((sum(&streams), streams.given_up().count()), (heard(13, 12), 1), "a part of it was retired");
}

#[test]
fn what_was_given_up_stays_open_to_correction_in_the_sum_of_old_streams() {
    let mut streams = RetiredStreams::default();
    give_up(&mut streams, 1, heard(12, 10));
    let last = 1 + KEPT_APART as u64;
    for incarnation in 2..=last {
        streams.retire(incarnation, whole(1));
    }
    streams.fold(last);
    assert_eq!((streams.folded_to(), streams.given_up().collect::<Vec<_>>()), (1, vec![(0, WallMs(7))]));
    let others = last - 1;
    streams.know_held(0, 11);
    assert_eq!(sum(&streams).declared_lost, 1);
    assert_eq!(sum(&streams).merged, 11 + others);
    give_up(&mut streams, 1, heard(99, 0));
    assert_eq!(sum(&streams).merged, 11 + others, "it is counted already");
}
