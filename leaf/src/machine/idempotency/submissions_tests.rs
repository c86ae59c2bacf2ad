use crate::testing::{Rig, config, counter, likes, logged};
use countree_common::limits;
use countree_common::wire::producer::EventErrorCode;
use countree_common::wire::rpc::{Counted, Idempotency, SubmitError};

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
