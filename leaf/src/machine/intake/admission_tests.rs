use crate::testing::{Rig, TestStore, config, counter, likes};
use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::key::Counter;
use countree_common::limits;
use countree_common::wire::producer::EventErrorCode;
use countree_common::wire::rpc::{Idempotency, SubmitError};

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
    assert!(rig.machine.counters.near_limit().is_empty(), "a total far from its limit is forgotten");
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
