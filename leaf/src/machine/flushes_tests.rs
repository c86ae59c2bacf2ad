use super::*;
use crate::machine::LeafConfig;
use crate::machine::ids::FlushId;
use crate::testing::{Rig, TestStore, config, counter, topic};
use countree_common::cut::Cut;
use countree_common::wire::rpc::Idempotency;
use std::time::Duration;

/// A leaf whose window ends when all is to be merged.
fn patient() -> Rig {
    Rig::start(LeafConfig { window: Duration::from_secs(5), ..config() })
}

fn submit(rig: &mut Rig, id: u64, of: &str) {
    rig.submit(id, &[(counter(of, "a"), 1)], Idempotency::None);
}

fn flush(rig: &mut Rig, id: u64, of: &str, read: Version) {
    assert!(rig.machine.handle_topic_flush(rig.now, FlushId(id), &topic(of), read));
    rig.collect();
}

fn flushed(rig: &mut Rig) -> Vec<(u64, Version)> {
    let of = |output| match output {
        Output::Flushed { flush, version } => Some((flush.0, version)),
        _ => None,
    };
    rig.take(|o| matches!(o, Output::Flushed { .. })).into_iter().filter_map(of).collect()
}

fn merge(rig: &mut Rig, store: &mut TestStore) -> Vec<Cut> {
    let cuts = rig.cuts();
    for cut in &cuts {
        let outcome = store.merge(cut);
        rig.answer(cut, Some(outcome));
    }
    cuts
}

#[test]
fn a_topic_is_cut_without_waiting_for_its_window() {
    let (mut rig, mut store) = (patient(), TestStore::new(true));
    submit(&mut rig, 1, "t");
    submit(&mut rig, 2, "u");
    flush(&mut rig, 7, "t", Version::default());
    assert!(rig.cuts().is_empty(), "only what is on disk is cut");
    rig.sync();
    let cuts = merge(&mut rig, &mut store);
    assert_eq!(cuts.iter().map(|cut| cut.topic.clone()).collect::<Vec<_>>(), [topic("t")]);
    assert_eq!(flushed(&mut rig), [(7, store.version(&topic("t")))]);
    assert_eq!(store.total(&counter("t", "a")), 1);
    assert_eq!(
        rig.machine.positions(&rig.live()).map(|p| p.merged),
        Some(0),
        "the window goes on for the others"
    );

    submit(&mut rig, 3, "t");
    rig.merge_all(&mut store);
    assert_eq!((store.total(&counter("t", "a")), store.total(&counter("u", "a"))), (2, 1));
}

#[test]
fn a_topic_that_has_nothing_new_or_was_never_counted_is_flushed_at_once() {
    let (mut rig, mut store) = (patient(), TestStore::new(true));
    submit(&mut rig, 1, "t");
    flush(&mut rig, 7, "t", Version::default());
    rig.sync();
    merge(&mut rig, &mut store);
    flushed(&mut rig);
    submit(&mut rig, 2, "other");
    let version = store.version(&topic("t"));
    flush(&mut rig, 8, "t", version);
    flush(&mut rig, 9, "never", Version::default());
    assert_eq!(flushed(&mut rig), [(8, version), (9, Version::default())]);
}

#[test]
fn a_flush_waits_for_its_own_records_and_not_for_later_ones() {
    let (mut rig, mut store) = (patient(), TestStore::new(true));
    submit(&mut rig, 1, "t");
    flush(&mut rig, 7, "t", Version::default());
    rig.sync();
    let first = rig.cuts().remove(0);
    submit(&mut rig, 2, "t");
    flush(&mut rig, 8, "t", Version::default());
    rig.sync();
    assert!(rig.cuts().is_empty(), "one cut of a topic is under way at most");
    assert!(flushed(&mut rig).is_empty());
    let outcome = store.merge(&first);
    rig.answer(&first, Some(outcome));
    // The first flush ends with the second at the latest: it does not wait for records that came later still.
    merge(&mut rig, &mut store);
    assert_eq!(flushed(&mut rig).into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [7, 8]);
    assert_eq!(store.total(&counter("t", "a")), 2);
}

#[test]
fn a_store_that_forgot_what_was_cut_early_is_sent_it_again_when_its_reader_has_read_less() {
    let (mut rig, mut store) = (patient(), TestStore::new(false));
    submit(&mut rig, 1, "t");
    flush(&mut rig, 7, "t", Version::default());
    rig.sync();
    merge(&mut rig, &mut store);
    let before = store.clone();
    submit(&mut rig, 2, "u");
    submit(&mut rig, 3, "t");
    flush(&mut rig, 8, "t", Version::default());
    rig.sync();
    merge(&mut rig, &mut store);
    let told = flushed(&mut rig).pop().unwrap().1;
    store = before;
    let read = store.version(&topic("t"));
    assert!(read < told);

    flush(&mut rig, 9, "t", read);
    assert!(flushed(&mut rig).is_empty(), "the store is asked first");
    rig.merge_all(&mut store);
    let told = flushed(&mut rig).pop().unwrap();
    assert_eq!((told.0, store.total(&counter("t", "a"))), (9, 2));
    assert!(told.1 <= store.version(&topic("t")));
    rig.merge_all(&mut store);
    assert_eq!((store.total(&counter("t", "a")), store.total(&counter("u", "a"))), (2, 1));
}

#[test]
fn flushes_have_a_bound() {
    let mut rig = patient();
    submit(&mut rig, 1, "t");
    for id in 0..limits::FLUSHES_PER_LEAF as u64 {
        flush(&mut rig, id, "t", Version::default());
    }
    assert!(!rig.machine.handle_topic_flush(rig.now, FlushId(9_999), &topic("t"), Version::default()));
}
