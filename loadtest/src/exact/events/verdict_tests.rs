use super::*;

fn catalogue() -> EventCatalogue {
    EventCatalogue::new("t", 2).unwrap()
}

fn group(indices: Range<u32>, acked: u64, rejected: u64, in_doubt: u64) -> Group {
    Group { sender: 1, indices, fate: Fate { acked, rejected, in_doubt } }
}

fn totals(indices: impl IntoIterator<Item = u32>) -> BTreeMap<Counter, i64> {
    let mut totals = BTreeMap::new();
    for index in indices {
        let event = catalogue().event(EventId { sender: 1, index }).unwrap();
        *totals.entry(event.counter).or_default() += event.delta.get();
    }
    totals
}

fn judge(groups: &[Group], totals: BTreeMap<Counter, i64>) -> Verdict {
    Verdict::new(&catalogue(), groups, totals).unwrap()
}

#[test]
fn all_acked_and_all_there_is_exact() {
    let verdict = judge(&[group(0..40, 40, 0, 0), group(40..50, 10, 0, 0)], totals(0..50));
    assert!(verdict.is_exact(0));
    assert_eq!((verdict.sent, verdict.acked, verdict.counted), (50, 50, 50));
}

#[test]
fn a_lost_event_and_a_doubled_one_don_t_cancel_out() {
    let verdict = judge(&[group(0..40, 40, 0, 0)], totals(0..39));
    assert!(!verdict.is_exact(0) && verdict.is_exact(1));
    let verdict = judge(&[group(0..40, 40, 0, 0)], totals((0..39).chain([7])));
    assert!(!verdict.is_exact(1));
    assert_eq!((verdict.lost, verdict.doubled, verdict.strange), (1, 1, 0));
    assert_eq!((verdict.examples.len(), verdict.missing.len()), (1, 1));
}

#[test]
fn what_is_in_doubt_may_be_there_or_not_but_not_twice() {
    for there in 30..=33 {
        let verdict = judge(&[group(0..33, 30, 0, 3)], totals(0..there));
        assert!(verdict.is_exact(0));
        assert_eq!(verdict.in_doubt_counted, u64::from(there) - 30);
    }
    let verdict = judge(&[group(0..33, 30, 0, 3)], totals((0..31).chain([30])));
    assert_eq!((verdict.doubled, verdict.in_doubt_counted), (1, 1));
}

#[test]
fn a_rejected_event_must_not_be_there() {
    assert!(judge(&[group(0..10, 9, 1, 0)], totals(0..9)).is_exact(0));
    let verdict = judge(&[group(0..10, 9, 1, 0)], totals(0..10));
    assert!(!verdict.is_exact(0));
    assert_eq!(verdict.rejected_counted, 1);
}

#[test]
fn what_nobody_sent_shows() {
    let verdict = judge(&[group(0..10, 10, 0, 0)], totals(0..12));
    assert!(!verdict.is_exact(0));
    assert_eq!((verdict.strange, verdict.counted), (2, 10));
}
