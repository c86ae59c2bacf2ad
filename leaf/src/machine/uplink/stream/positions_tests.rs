use crate::testing::{Chance, Rig, TestStore, config, counter};
use countree_common::stream::StreamId;
use countree_common::wire::rpc::Idempotency;

/// Accepted, durable, cut, merged, topics behind.
fn of(rig: &Rig, stream: &StreamId) -> [u64; 5] {
    let p = rig.machine.positions(stream).unwrap();
    assert!(p.accepted >= p.durable && p.durable >= p.cut && p.cut >= p.merged, "{p:?}");
    [p.accepted, p.durable, p.cut, p.merged, p.topics_behind]
}

fn submit(rig: &mut Rig, topic: &str) {
    rig.submit(1, &[(counter(topic, "a"), 1)], Idempotency::None);
}

#[test]
fn a_record_is_followed_from_the_log_into_the_store() {
    let mut rig = Rig::start(config());
    let live = rig.live();
    // The first record is the checkpoint.
    submit(&mut rig, "t");
    assert_eq!(of(&rig, &live), [2, 1, 0, 0, 0]);
    rig.sync();
    assert_eq!(of(&rig, &live), [2, 2, 0, 0, 0]);
    rig.pass(100);
    assert_eq!(of(&rig, &live), [2, 2, 2, 0, 1]);
    let cut = rig.cuts().remove(0);
    submit(&mut rig, "t");
    rig.sync();
    rig.pass(100);
    assert_eq!(of(&rig, &live), [3, 3, 2, 0, 1], "one cut of a topic at a time");
    let mut store = TestStore::new(true);
    let outcome = store.merge(&cut);
    rig.answer(&cut, Some(outcome));
    assert_eq!(of(&rig, &live), [3, 3, 3, 2, 1]);
    rig.pass(2_000);
    rig.merge_all(&mut store);
    assert_eq!(of(&rig, &live), [3, 3, 3, 3, 0]);
}

#[test]
fn an_old_stream_is_behind_until_the_store_says_otherwise() {
    let mut rig = Rig::start(config());
    let first = rig.live();
    submit(&mut rig, "t");
    submit(&mut rig, "u");
    rig.sync();
    rig.crash(&mut Chance::new(1));
    assert_eq!(of(&rig, &first), [3, 3, 0, 0, 2]);
    rig.connect_root();
    // Merged, and not past forgetting, or its log would be gone.
    rig.merge_all(&mut TestStore::new(false));
    assert_eq!(of(&rig, &first), [3, 3, 3, 3, 0]);
    assert_eq!(rig.machine.positions(&StreamId { incarnation: 77, ..first }), None);
}
