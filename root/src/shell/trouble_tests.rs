use super::*;

fn read_only() -> StoreError {
    StoreError::Refused { reason: "READONLY".into(), advice: "promote it" }
}

#[test]
fn a_store_that_can_be_read_and_not_written_is_trouble() {
    let trouble = Trouble::default();
    trouble.is(Work::Writing, &read_only());
    trouble.is_over(Work::Reading);
    assert_eq!(trouble.told(), Some(read_only().to_string()));
    trouble.is_over(Work::Writing);
    assert_eq!(trouble.told(), None);
}

#[test]
fn a_damaged_topic_is_no_trouble_for_the_others() {
    let trouble = Trouble::default();
    trouble.is(Work::Reading, &StoreError::Damaged("a topic".into()));
    assert_eq!(trouble.told(), None);
}
