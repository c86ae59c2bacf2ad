use super::*;

fn store(id: u128, starts: &[u64]) -> StoreRecord {
    let mut record = StoreRecord::new(StoreId(id));
    starts.iter().for_each(|chance| record.begin_start(*chance));
    record
}

fn start(number: u64, chance: u64) -> StoreStart {
    StoreStart { number, chance }
}

#[test]
fn a_store_is_known_by_its_identity_and_its_starts() {
    let record = store(1, &[11, 12, 13]);
    assert_eq!(record.continues(StoreId(1), start(3, 13)), Continuity::Same);
    assert_eq!(record.continues(StoreId(1), start(1, 11)), Continuity::Same);
    assert_eq!(record.continues(StoreId(2), start(3, 13)), Continuity::Other);
}

#[test]
fn an_older_copy_is_told_even_after_it_was_started_as_often_again() {
    let (mut older, newer) = (store(1, &[11]), store(1, &[11, 12, 13]));
    let seen = newer.last_start().unwrap();
    for chance in 21..30 {
        assert_eq!(older.continues(StoreId(1), seen), Continuity::WentBack);
        older.begin_start(chance);
    }
    assert_eq!(older.continues(StoreId(1), start(1, 11)), Continuity::Same);
}

#[test]
fn starts_are_bounded_and_one_from_before_all_is_trusted() {
    let record = store(1, &(1..=1_000).collect::<Vec<_>>());
    assert_eq!(record.starts.len(), STARTS_REMEMBERED);
    assert_eq!(record.continues(StoreId(1), start(1, 1)), Continuity::Same);
    assert_eq!(record.continues(StoreId(1), start(1_000, 999)), Continuity::WentBack);
}

#[test]
fn a_copy_continues_what_it_was_made_of_and_a_store_that_was_taken_over_does_not() {
    let old = store(1, &[11, 12]);
    let mut copy = old.with_identity(StoreId(2), false);
    copy.begin_start(21);
    assert_eq!(copy.continues(StoreId(1), start(2, 12)), Continuity::Same);
    assert_eq!(copy.continues(StoreId(1), start(3, 99)), Continuity::WentBack);
    copy.succeed(Predecessor { id: StoreId(7), is_lost: true });
    assert_eq!(copy.continues(StoreId(7), start(1, 1)), Continuity::Lost);
}

#[test]
fn a_record_reads_what_lacks_later_fields() {
    let text = format!("{{\"id\":\"{}\"}}", StoreId(0xabc));
    assert_eq!(StoreRecord::from_text(&text).unwrap(), StoreRecord::new(StoreId(0xabc)));
    let full = store(9, &[u64::MAX]);
    assert_eq!(StoreRecord::from_text(&full.to_text().unwrap()).unwrap(), full);
}
