use super::*;

fn sample() -> Vec<u8> {
    let mut batch = BatchBuilder::default();
    batch.name(&Counter::new("live", "comment-1", "like").unwrap());
    batch.name(&Counter::new("live", "comment-2", "view").unwrap());
    for (id, delta) in [(0, 1), (1, -1), (0, 70_000), (1, -(1 << 40))] {
        batch.event(id, Delta::new(delta).unwrap());
    }
    batch.build(9)
}

#[test]
fn a_batch_reads_back_as_written() {
    let body = sample();
    let batch = BatchView::parse(&body).unwrap();
    assert_eq!((batch.seq, batch.reset_names), (9, false));
    assert_eq!(batch.counters().unwrap()[1], Counter::new("live", "comment-2", "view").unwrap());
    assert_eq!(batch.check_events(2), Ok(2 + 70_000 + (1 << 40)));
    let events: Vec<_> = Events::new(batch.words).collect();
    assert_eq!(events, [(0, 1), (1, -1), (0, 70_000), (1, -(1 << 40))]);
}

#[test]
fn renamed_events_keep_their_deltas() {
    let body = sample();
    let batch = BatchView::parse(&body).unwrap();
    let mut words = vec![7];
    put_translated(batch.words, |id| 1_000_000 - id, &mut words);
    let translated: Vec<_> = Events::new(&words[1..]).collect();
    let ids = |id: u32| 1_000_000 - id;
    assert_eq!(translated, [(ids(0), 1), (ids(1), -1), (ids(0), 70_000), (ids(1), -(1 << 40))]);
}

#[test]
fn every_truncation_is_refused() {
    let body = sample();
    for end in 0..body.len() {
        let whole = BatchView::parse(&body[..end])
            .and_then(|b| b.counters().map(|_| b))
            .and_then(|b| b.check_events(2).map(|_| ()));
        assert!(whole.is_err(), "cut to {end} of {}", body.len());
    }
}

#[test]
fn events_for_names_that_were_never_defined_are_refused() {
    let body = sample();
    let batch = BatchView::parse(&body).unwrap();
    assert_eq!(batch.check_events(1), Err(BatchError::UnknownName { index: 1, id: 1, defined: 1 }));
}

#[test]
fn deltas_of_zero_and_beyond_the_range_are_refused() {
    for delta in [0, limits::DELTA_MAX + 1, i64::MIN] {
        let mut words = Vec::new();
        put_event(0, delta, &mut words);
        let batch = BatchView {
            seq: 1,
            reset_names: false,
            name_count: 0,
            names: &[],
            event_count: 1,
            words: &words,
        };
        assert!(matches!(batch.check_events(1), Err(BatchError::Delta { index: 0, .. })), "{delta}");
    }
}
