use super::*;

fn read_only() -> StoreError {
    StoreError::Refused { reason: "READONLY".into(), advice: "promote it" }
}

#[test]
fn a_store_that_can_be_read_and_not_written_is_not_healthy() {
    let health = StoreHealth::default();
    health.note_failure(Work::Writing, &read_only());
    health.note_success(Work::Reading);
    assert_eq!(health.failure(), Some(read_only().to_string()));
    health.note_success(Work::Writing);
    assert_eq!(health.failure(), None);
}

#[test]
fn a_damaged_topic_does_not_fail_the_others() {
    let health = StoreHealth::default();
    health.note_failure(Work::Reading, &StoreError::Damaged("a topic".into()));
    assert_eq!(health.failure(), None);
}
