use super::*;
use crate::log::record::Record;
use crate::log::replay::Replay;
use crate::log::segment;
use crate::testing::{Chance, Rig, TestStore, config, counter, topic, view};
use countree_common::cluster::{Node, Tier};
use countree_common::key::Counter;
use countree_common::limits;
use countree_common::session::{Seq, SessionId};
use countree_common::time::WallMs;
use countree_common::wire::producer::{BusyReason, Durability, EventErrorCode, FromLeaf, ToLeaf};
use countree_common::wire::rpc::Counted;
use countree_common::wire::rpc::{Idempotency, Reply, SubmitError};

fn ack(seq: Seq) -> FromLeaf {
    FromLeaf::Ack { seq, durability: Durability::Disk }
}

fn likes(item: &str) -> Vec<(Counter, i64)> {
    vec![(counter("t", item), 1)]
}

/// Segments that the leaf has let go of.
fn dropped(rig: &mut Rig) -> usize {
    rig.take(|o| matches!(o, Output::DropSegment(_))).len()
}

/// Conversations that the leaf has ended.
fn closed(rig: &mut Rig) -> usize {
    rig.take(|o| matches!(o, Output::Close { .. })).len()
}

fn retirements(rig: &mut Rig) -> usize {
    rig.take(|o| matches!(o, Output::Retire(_))).len()
}

/// What is in the log for a counter, each segment read by itself.
fn logged(rig: &Rig, wanted: &Counter) -> i64 {
    let mut sum = 0;
    for (first, bytes) in rig.disk.streams.values().flatten() {
        let mut replay = Replay::default();
        let visit = |lsn, record: Record<'_>| {
            replay.events(lsn, &record, |k, d| sum += if k.counter == *wanted { d } else { 0 })
        };
        segment::read(bytes, *first, true, visit).unwrap();
    }
    sum
}

#[test]
fn nothing_is_acked_before_it_is_on_disk() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    rig.batch(1, 2, &likes("b"));
    rig.pass(500);
    assert_eq!(rig.said(1), []);
    rig.sync();
    assert_eq!(rig.said(1), [ack(2)], "acks are cumulative");
}

#[test]
fn a_repeat_is_acked_only_once_its_original_is_on_disk() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    rig.batch(1, 1, &likes("a"));
    rig.connect(2);
    rig.message(2, ToLeaf::Resume(SessionId(7)));
    rig.batch(2, 1, &likes("a"));
    assert_eq!((rig.said(1), rig.said(2)), (vec![], vec![]));
    rig.sync();
    assert_eq!(rig.said(1), [ack(1)]);
    assert_eq!(rig.said(2), [FromLeaf::Opened { session: SessionId(7), last: 1 }, ack(1)]);
    assert_eq!(logged(&rig, &counter("t", "a")), 1);
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
fn a_gap_ends_the_conversation() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 2, &likes("a"));
    assert_eq!(closed(&mut rig), 1);
    rig.batch(1, 1, &likes("a"));
    rig.sync();
    assert_eq!((rig.said(1), logged(&rig, &counter("t", "a"))), (vec![], 0));
}

#[test]
fn a_batch_before_any_session_ends_the_conversation() {
    let mut rig = Rig::start(config());
    rig.connect(1);
    rig.batch(1, 1, &likes("a"));
    assert_eq!(closed(&mut rig), 1);
}

#[test]
fn after_busy_the_rest_is_ignored_and_the_names_stand() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.machine.handle_disk(DiskState::Full);
    rig.batch(1, 1, &likes("a"));
    rig.batch(1, 2, &likes("b"));
    let busy = FromLeaf::Busy { seq: 1, reason: BusyReason::DiskFull, retry_after_ms: RETRY_AFTER_MS };
    assert_eq!(rig.said(1), [busy]);
    assert_eq!(closed(&mut rig), 0);
    rig.machine.handle_disk(DiskState::Works);
    // These bring no names: the batches that were turned away have defined them.
    rig.batch(1, 1, &likes("a"));
    rig.batch(1, 2, &likes("b"));
    rig.sync();
    assert_eq!(rig.said(1), [ack(2)]);
    assert_eq!((logged(&rig, &counter("t", "a")), logged(&rig, &counter("t", "b"))), (1, 1));
}

/// Or a reset, which asks every leaf that is listed, could miss events that were acked before it.
#[test]
fn nothing_is_taken_before_the_registry_lists_the_leaf() {
    let name = NodeName::new("leaf-9").unwrap();
    let mut rig = Rig::start(LeafConfig { leaf: name.clone(), ..config() });
    rig.connect(1);
    rig.message(1, ToLeaf::Open(SessionId(7)));
    rig.submit(2, &likes("a"), Idempotency::None);
    rig.sync();
    let reason = BusyReason::Joining;
    let said = rig.said(1);
    assert_eq!(said.last(), Some(&FromLeaf::Busy { seq: 0, reason, retry_after_ms: RETRY_AFTER_MS }));
    let busy = SubmitError::Busy { reason, retry_after_ms: RETRY_AFTER_MS };
    assert_eq!(rig.submitted(), [(2, Err(busy))]);

    let mut view = view();
    view.keys.owners.push(name);
    rig.see(view.clone());
    // A lease may run out: whoever asks all leaves still counts it among them.
    view.keys.owners.pop();
    rig.see(view);
    rig.said(1);
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    rig.sync();
    assert_eq!(rig.said(1), [ack(1)]);
}

#[test]
fn the_names_of_a_repeated_batch_stand() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    rig.connect(2);
    rig.message(2, ToLeaf::Resume(SessionId(7)));
    rig.batch(2, 1, &likes("a"));
    rig.batch(2, 2, &likes("a"));
    rig.sync();
    assert_eq!(logged(&rig, &counter("t", "a")), 2);
}

#[test]
fn a_session_that_is_not_known_is_refused_and_counts_nothing() {
    let mut rig = Rig::start(config());
    rig.connect(1);
    rig.message(1, ToLeaf::Resume(SessionId(7)));
    rig.batch(1, 1, &likes("a"));
    rig.batch(1, 2, &likes("a"));
    rig.sync();
    rig.answer_calls(&Reply::SessionEnd(None));
    assert_eq!(rig.said(1), [FromLeaf::Expired(SessionId(7))]);
    assert_eq!(logged(&rig, &counter("t", "a")), 0);
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

    // What passes while nobody counts is left out, and the next start goes on where the log was left.
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
fn a_session_is_forgotten_past_its_horizon_and_not_before() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.open(2, 8);
    rig.pass(599_000);
    rig.batch(1, 1, &likes("a"));
    rig.sync();
    rig.pass(2_000);
    for (connection, session) in [(3, 7), (4, 8)] {
        rig.connect(connection);
        rig.message(connection, ToLeaf::Resume(SessionId(session)));
    }
    rig.answer_calls(&Reply::SessionEnd(None));
    assert_eq!(rig.said(3), [FromLeaf::Opened { session: SessionId(7), last: 1 }]);
    assert_eq!(rig.said(4), [FromLeaf::Expired(SessionId(8))]);
}

#[test]
fn a_refused_batch_counts_nothing_nor_does_any_after_it() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    let mut bad = countree_common::wire::batch::BatchBuilder::default();
    bad.name(&counter("t", "a"));
    bad.event(5, countree_common::delta::Delta::ONE);
    rig.body(1, &bad.build(1));
    rig.batch(1, 2, &likes("b"));
    rig.sync();
    let said = rig.said(1);
    assert!(matches!(&said[..], [FromLeaf::Refused { seq: 1, .. }]), "{said:?}");
    assert_eq!((logged(&rig, &counter("t", "a")), logged(&rig, &counter("t", "b"))), (0, 0));
}

#[test]
fn a_failed_disk_acks_nothing_any_more() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    rig.machine.handle_disk(DiskState::Failed);
    rig.machine.handle_disk(DiskState::Works);
    rig.batch(1, 2, &likes("a"));
    rig.pass(1_000);
    assert!(matches!(rig.said(1)[..], [FromLeaf::Busy { seq: 2, .. }]));
    assert!(rig.machine.trouble().is_some());
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
fn one_request_can_not_outgrow_any_sum() {
    let mut rig = Rig::start(config());
    let mut most = vec![(counter("t", "a"), limits::DELTA_MAX); 128];
    most.push((counter("t", "a"), limits::UNMERGED_MAX - 128 * limits::DELTA_MAX));
    rig.submit(1, &most, Idempotency::None);
    rig.sync();
    assert_eq!(rig.submitted(), [(1, Ok(()))]);
    let mut more = most.clone();
    more.push((counter("t", "a"), 1));
    rig.submit(2, &more, Idempotency::None);
    let refused = rig.submitted();
    assert!(
        matches!(&refused[..], [(2, Err(SubmitError::Refused(e)))] if e.code == EventErrorCode::TotalOverflow),
        "{refused:?}"
    );
    rig.submit(3, &likes("a"), Idempotency::None);
    assert!(matches!(rig.submitted()[..], [(3, Err(SubmitError::Busy { .. }))]), "until that is merged");
    let mut store = TestStore::new(true);
    rig.merge_all(&mut store);
    rig.submit(4, &likes("a"), Idempotency::None);
    rig.merge_all(&mut store);
    assert_eq!(store.total(&counter("t", "a")), (1 << 60) + 1);
}

#[test]
fn a_total_at_its_limit_goes_no_further_out_and_may_come_back() {
    let mut rig = Rig::start(config());
    let mut store = TestStore::new(true);
    let a = counter("t", "a");
    store.set_total(a.clone(), limits::TOTAL_MAX - 5);
    let mut submit = |rig: &mut Rig, events: &[(Counter, i64)]| {
        rig.submit(1, events, Idempotency::None);
        rig.merge_all(&mut store);
        rig.submitted().pop().unwrap().1
    };
    assert_eq!(submit(&mut rig, &likes("a")), Ok(()), "it is not known yet");
    let refused = submit(&mut rig, &[(counter("t", "b"), 1), (a.clone(), 7)]);
    assert!(
        matches!(&refused, Err(SubmitError::Refused(e)) if e.code == EventErrorCode::TotalOverflow && e.index == Some(1)),
        "{refused:?}"
    );
    assert_eq!(submit(&mut rig, &[(a.clone(), -limits::DELTA_MAX)]), Ok(()));
    assert_eq!(submit(&mut rig, &likes("a")), Ok(()));
    for _ in 0..4 {
        assert_eq!(submit(&mut rig, &vec![(a.clone(), -limits::DELTA_MAX); 128]), Ok(()));
    }
    assert!(rig.machine.counters.near_limit().is_empty(), "what left its limit's neighbourhood is forgotten");
}

#[test]
fn a_total_that_other_leaves_took_to_its_limit_goes_no_further_out_here() {
    let mut rig = Rig::start(config());
    let a = counter("t", "a");
    rig.machine.handle_near_limit(&[(a.clone(), limits::TOTAL_MAX - 5)]);
    let submit = |rig: &mut Rig, delta: i64| {
        rig.submit(1, &[(a.clone(), delta)], Idempotency::None);
        rig.sync();
        rig.submitted().pop().unwrap().1
    };
    let refused = submit(&mut rig, 6);
    assert!(
        matches!(&refused, Err(SubmitError::Refused(e)) if e.code == EventErrorCode::TotalOverflow),
        "{refused:?}"
    );
    assert_eq!(submit(&mut rig, 5), Ok(()));
    assert!(submit(&mut rig, 1).is_err(), "what is not merged counts too");
    rig.machine.handle_near_limit(&[(a.clone(), 0)]);
    assert_eq!(submit(&mut rig, 6), Ok(()), "others have brought it back");
}

#[test]
fn all_leaves_together_hold_no_more_unmerged_than_the_store_has_room_for() {
    for leaves in [1u64, 2, 8, 64] {
        let mut rig = Rig::start(config());
        let node = |number| Node {
            name: NodeName::new(&format!("leaf-{number}")).unwrap(),
            tier: Tier::Leaf,
            quic: "127.0.0.1:1".parse().unwrap(),
            http: None,
            incarnation: 1,
        };
        let nodes = (0..leaves).map(node).collect();
        rig.see(ClusterView { epoch: 1, nodes, ..ClusterView::default() });
        let mut held = 0u64;
        loop {
            rig.submit(1, &[(counter("t", "a"), limits::DELTA_MAX)], Idempotency::None);
            rig.sync();
            match rig.submitted().pop().unwrap().1 {
                Ok(()) => held += limits::DELTA_MAX.unsigned_abs(),
                Err(SubmitError::Busy { .. }) => break,
                other => panic!("{other:?}"),
            }
        }
        let room = (1 << 63) - limits::TOTAL_MAX.unsigned_abs();
        assert!(held > 0 && held * leaves <= room, "{leaves} leaves with {held} each");
    }
}

#[test]
fn a_repeated_request_waits_for_its_original_and_counts_nothing() {
    let mut rig = Rig::start(config());
    let keyed = |content| Idempotency::Request { key: 9, content };
    rig.submit(1, &likes("a"), keyed(1));
    rig.submit(2, &likes("a"), keyed(1));
    assert_eq!(rig.submitted(), []);
    rig.submit(3, &likes("b"), keyed(2));
    let refused = rig.submitted();
    assert!(
        matches!(&refused[..], [(3, Err(SubmitError::Refused(e)))] if e.code == EventErrorCode::KeyReused)
    );
    rig.sync();
    assert_eq!(rig.submitted(), [(1, Ok(())), (2, Ok(()))]);
    assert_eq!(logged(&rig, &counter("t", "a")), 1);
}

#[test]
fn events_with_ids_are_counted_once_each() {
    let mut rig = Rig::start(config());
    let ids = |ids: &[u128]| Idempotency::Keyed { request: None, ids: ids.to_vec() };
    rig.submit(1, &[likes("a"), likes("a"), likes("b")].concat(), ids(&[5, 5, 0]));
    rig.submit(2, &[likes("a"), likes("c")].concat(), ids(&[5, 6]));
    rig.submit(3, &[likes("c"), likes("a")].concat(), ids(&[6, 5]));
    rig.submit(4, &likes("d"), ids(&[7, 8]));
    rig.sync();
    let results = rig.verdicts();
    assert!(matches!(results[0], (4, Err(SubmitError::Refused(_)))), "an id for each event");
    let counted = |is_replay| Ok(Counted { is_replay });
    assert_eq!(results[1..], [(1, counted(false)), (2, counted(false)), (3, counted(true))]);
    let counts = ["a", "b", "c", "d"].map(|item| logged(&rig, &counter("t", item)));
    assert_eq!(counts, [1, 1, 1, 0]);
}

#[test]
fn the_index_of_an_error_is_the_requests() {
    let mut rig = Rig::start(config());
    let ids = |ids: &[u128]| Idempotency::Keyed { request: None, ids: ids.to_vec() };
    rig.submit(1, &likes("a"), ids(&[1]));
    rig.machine.handle_near_limit(&[(counter("t", "full"), limits::TOTAL_MAX)]);
    rig.submit(2, &[likes("a"), likes("b"), likes("full")].concat(), ids(&[1, 2, 3]));
    rig.sync();
    let results = rig.submitted();
    let Err(SubmitError::Refused(e)) = &results[0].1 else { panic!("{results:?}") };
    assert_eq!((e.code, e.index), (EventErrorCode::TotalOverflow, Some(2)));
    assert_eq!(logged(&rig, &counter("t", "b")), 0);
}

#[test]
fn a_draining_leaf_answers_for_what_it_has_and_takes_no_more() {
    let mut rig = Rig::start(config());
    rig.open(1, 7);
    rig.batch(1, 1, &likes("a"));
    rig.machine.handle_drain(rig.now);
    rig.batch(1, 2, &likes("a"));
    rig.batch(1, 3, &likes("a"));
    rig.submit(1, &likes("a"), Idempotency::None);
    rig.connect(2);
    assert!(!rig.machine.is_drained());
    assert_eq!(rig.submitted(), [(1, Err(SubmitError::Draining))]);
    let mut store = TestStore::new(true);
    rig.merge_all(&mut store);
    let ended = FromLeaf::Ended { session: SessionId(7), last: 1 };
    assert_eq!(rig.said(1), [FromLeaf::Draining, ack(1), ended.clone()]);
    assert_eq!(rig.said(2), [FromLeaf::Draining]);
    rig.message(2, ToLeaf::Resume(SessionId(7)));
    assert_eq!(rig.said(2), [ended]);
    assert_eq!(store.total(&counter("t", "a")), 1);
}
