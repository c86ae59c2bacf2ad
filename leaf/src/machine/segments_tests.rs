use crate::machine::config::LeafConfig;
use crate::machine::output::Output;
use crate::testing::{Chance, Rig, TestStore, config, counter, likes, logged};
use countree_common::session::SessionId;
use countree_common::time::WallMs;
use countree_common::wire::producer::{FromLeaf, ToLeaf};
use countree_common::wire::rpc::Idempotency;
use std::time::Duration;

/// Segments that the leaf has let go of.
fn dropped(rig: &mut Rig) -> usize {
    rig.take(|o| matches!(o, Output::DropSegment(_))).len()
}

fn retirements(rig: &mut Rig) -> usize {
    rig.take(|o| matches!(o, Output::Retire(_))).len()
}

#[test]
fn keys_and_sessions_are_aged_by_time_that_passes_and_not_by_the_wall_clock() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    let keyed = |rig: &mut Rig, id| {
        rig.submit(id, &[(counter("t", "a"), 1)], Idempotency::Request { key: 9, content: 5 });
        rig.sync();
        let answered = rig.submitted();
        assert!(matches!(answered[..], [(_, Ok(_))]), "{answered:?}");
        assert_eq!(rig.machine.ledgers().iter().map(|of| of.ledger.accepted).sum::<u64>(), 1);
    };
    keyed(&mut rig, 1);
    rig.now.wall = rig.now.wall + HOUR;
    rig.pass(200);
    keyed(&mut rig, 2);
    rig.now.wall = WallMs(1);
    rig.pass(200);
    keyed(&mut rig, 3);
    assert_eq!(rig.machine.intake.sessions().listed().len(), 1);

    // Time that passes while the leaf is down does not count: the next start goes on where the log was left.
    rig.pass(300_000);
    rig.now.wall = rig.now.wall + HOUR;
    rig.crash(&mut Chance::new(1));
    rig.sync();
    keyed(&mut rig, 4);
    rig.pass(599_000);
    assert!(!rig.machine.idempotency.keys().is_empty());
    rig.pass(2_000);
    assert!(rig.machine.idempotency.keys().is_empty());
    assert!(rig.machine.intake.sessions().listed().is_empty());
}

#[test]
fn sessions_and_keys_outlive_a_restart_torn_at_any_byte() {
    for torn_at in (0..160).step_by(3) {
        let mut rig = Rig::start(config());
        rig.open(1, 7);
        rig.batch(1, 1, &likes("a"));
        let keyed = || Idempotency::Request { key: 1, content: 2 };
        rig.submit(1, &likes("a"), keyed());
        rig.sync();
        let mut chance = Chance::new(1);
        rig.crash(&mut chance);
        // The new stream's checkpoint is torn, and the leaf starts once more.
        let mut checkpoint = rig.disk.pending.pop_front().unwrap();
        checkpoint.bytes.truncate(torn_at);
        rig.disk.streams.entry(2).or_default().insert(checkpoint.segment, checkpoint.bytes);
        rig.crash(&mut chance);
        rig.connect_root();
        rig.connect(1);
        rig.message(1, ToLeaf::Resume(SessionId(7)));
        assert_eq!(rig.said(1), [FromLeaf::Opened { session: SessionId(7), last: 1 }], "torn at {torn_at}");
        rig.batch(1, 1, &likes("a"));
        rig.submit(2, &likes("a"), keyed());
        assert_eq!(rig.submitted(), [(2, Ok(()))]);
        let mut store = TestStore::new(true);
        rig.merge_all(&mut store);
        assert_eq!(store.total(&counter("t", "a")), 2);
    }
}

#[test]
fn old_logs_stay_until_their_sessions_and_keys_are_on_disk_elsewhere() {
    let mut rig = Rig::start(config());
    rig.submit(1, &likes("a"), Idempotency::Request { key: 1, content: 2 });
    rig.sync();
    rig.crash(&mut Chance::new(1));
    rig.connect_root();
    let mut store = TestStore::new(true);
    for _ in 0..400 {
        // All but the disk does its work, and the store has long kept all.
        rig.pass(100);
        rig.scanned();
        for cut in rig.cuts() {
            let outcome = store.merge(&cut);
            rig.answer(&cut, Some(outcome));
        }
    }
    assert_eq!(retirements(&mut rig), 0);
    rig.sync();
    rig.pass(100);
    assert_eq!(retirements(&mut rig), 1);
}

#[test]
fn every_segment_reads_by_itself() {
    let mut rig = Rig::start(LeafConfig { segment_bytes: 1, ..config() });
    rig.open(1, 7);
    for seq in 1..=5 {
        rig.batch(1, seq, &[likes("a"), likes("b")].concat());
    }
    rig.sync();
    assert!(rig.disk.streams[&1].len() >= 5);
    assert_eq!((logged(&rig, &counter("t", "a")), logged(&rig, &counter("t", "b"))), (5, 5));
}

#[test]
fn a_segment_goes_once_it_is_merged_for_good_and_its_sessions_are_on_disk_elsewhere() {
    let mut rig = Rig::start(LeafConfig { segment_bytes: 1, ..config() });
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    let mut store = TestStore::new(true);
    rig.merge_all(&mut store);
    rig.pass(100);
    assert_eq!(dropped(&mut rig), 1, "the segment before the batch's");
    rig.batch(1, 2, &likes("a"));
    rig.pass(100);
    assert_eq!(dropped(&mut rig), 0, "merged, and the next one's checkpoint is not on disk");
    rig.sync();
    rig.pass(100);
    assert_eq!(dropped(&mut rig), 1);
}
