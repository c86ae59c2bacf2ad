use crate::machine::config::LeafConfig;
use crate::machine::output::Output;
use crate::testing::{Rig, TestStore, config, counter, likes, topic};
use countree_common::limits;

/// Segments that the leaf has let go of.
fn dropped(rig: &mut Rig) -> usize {
    rig.take(|o| matches!(o, Output::DropSegment(_))).len()
}

#[test]
fn only_what_is_on_disk_is_cut() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    rig.pass(100);
    rig.batch(1, 2, &likes("a"));
    rig.pass(100);
    assert_eq!(rig.cuts(), []);
    let on_disk = rig.disk.sync_one(1).unwrap();
    rig.machine.handle_durable(rig.now, on_disk.0, on_disk.1);
    rig.collect();
    let cuts = rig.cuts();
    assert_eq!((cuts.len(), cuts[0].events), (1, 1), "the window that ended while its record was written");
    assert!(cuts[0].to <= on_disk.0);
}

#[test]
fn a_window_of_very_many_counters_ends_early_and_fits_a_cut() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    let mut store = TestStore::new(true);
    for seq in 1..=6 {
        let events: Vec<_> = (0..20_000).map(|i| (counter("t", &format!("{seq}-{i}")), 1)).collect();
        rig.batch(1, seq, &events);
    }
    // None of it was on disk while it came: windows pile up, and none grows past its limit.
    rig.sync();
    for _ in 0..20 {
        for cut in rig.cuts() {
            assert!(cut.sums.len() <= limits::COUNTERS_PER_CUT);
            let outcome = store.merge(&cut);
            rig.answer(&cut, Some(outcome));
        }
    }
    assert_eq!(store.events_of_topic(&topic("t")), 120_000);
    assert!(rig.machine.is_drained());
}

#[test]
fn what_the_store_may_forget_stays_in_the_log_for_a_retention() {
    let mut rig = Rig::start(LeafConfig { segment_bytes: 1, ..config() });
    rig.open(1, 7);
    let mut store = TestStore::new(false);
    rig.merge_all(&mut store);
    rig.batch(1, 1, &likes("a"));
    // The segment is closed long before its merge: the retention begins with that.
    rig.sync();
    rig.batch(1, 2, &likes("b"));
    rig.pass(60_000);
    rig.merge_all(&mut store);
    let merged = rig.now.mono;
    let mut gone = 0;
    while gone < 2 {
        rig.pass(100);
        gone += dropped(&mut rig);
        for cut in rig.cuts() {
            assert!(cut.from == cut.to, "nothing but probes");
            let outcome = store.merge(&cut);
            rig.answer(&cut, Some(outcome));
        }
        assert!(gone < 2 || rig.now.mono >= merged + config().retention, "the first has no events");
        assert!(rig.now.mono < merged + config().retention * 2);
    }
}

#[test]
fn an_idle_topic_that_the_store_forgot_is_sent_again() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    let before = TestStore::new(false);
    let mut store = before.clone();
    rig.merge_all(&mut store);
    assert_eq!(store.total(&counter("t", "a")), 1);
    let era = store.version(&topic("t")).era;
    store = before;
    rig.pass(1_000);
    for cut in rig.cuts() {
        let outcome = store.merge(&cut);
        rig.answer(&cut, Some(outcome));
    }
    assert!(!rig.machine.is_drained());
    assert_eq!(rig.alarms(), 1);
    rig.merge_all(&mut store);
    assert_eq!(store.total(&counter("t", "a")), 1);
    assert!(store.version(&topic("t")).era > era);
}
