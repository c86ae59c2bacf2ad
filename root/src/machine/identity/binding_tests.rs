use super::*;
use countree_common::store::StoreStart;

const IDS: RandomIds = RandomIds { id: 99, start: 7 };

fn authorities(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn record(id: u128, starts: &[u64], of: &[&str]) -> StoreRecord {
    let mut record = StoreRecord::new(StoreId(id));
    starts.iter().for_each(|chance| record.begin_start(*chance));
    record.authorities = authorities(of);
    record
}

fn found(record: StoreRecord) -> FoundStore {
    FoundStore { record: Some(record), is_shard_missing: false }
}

fn new_folder() -> Claimant {
    Claimant { memory: None, authorities: authorities(&["ours"]), adopts: false, place: "here".into() }
}

fn folder_of(id: u128, number: u64, chance: u64) -> Claimant {
    let memory = StoreMemory::of(StoreId(id), StoreStart { number, chance });
    Claimant { memory: Some(memory), ..new_folder() }
}

fn adopting(claimant: Claimant) -> Claimant {
    Claimant { adopts: true, ..claimant }
}

#[test]
fn the_first_start_makes_the_identity_and_later_ones_keep_it() {
    let first = claim(&FoundStore::default(), &new_folder(), IDS).unwrap();
    assert_eq!((first.id, first.starts.len()), (StoreId(99), 1));
    assert_eq!(first.authorities, authorities(&["ours"]));
    let start = first.last_start().unwrap();
    let second =
        claim(&found(first), &folder_of(99, start.number, start.chance), RandomIds { id: 1, start: 8 });
    assert_eq!(second.map(|record| (record.id, record.starts.len())), Ok((StoreId(99), 2)));
}

#[test]
fn an_empty_store_is_refused_to_a_folder_that_knows_one_unless_it_is_adopted() {
    let folder = folder_of(1, 1, 11);
    let refused = claim(&FoundStore::default(), &folder, IDS);
    assert_eq!(refused, Err(StoreRefusal::Empty { known: StoreId(1) }));
    let adopted = claim(&FoundStore::default(), &adopting(folder), IDS).unwrap();
    assert_eq!(adopted.id, StoreId(99));
    assert_eq!(adopted.predecessors, [Predecessor { id: StoreId(1), is_lost: true }]);
}

#[test]
fn another_store_is_refused_unless_it_is_adopted() {
    let (other, folder) = (found(record(2, &[21], &["ours"])), folder_of(1, 1, 11));
    let refused = claim(&other, &folder, IDS);
    assert_eq!(refused, Err(StoreRefusal::Other { found: StoreId(2), known: StoreId(1) }));
    let adopted = claim(&other, &adopting(folder), IDS).unwrap();
    let expected = [(2, false), (1, true)].map(|(id, is_lost)| Predecessor { id: StoreId(id), is_lost });
    assert_eq!((adopted.id, adopted.predecessors.as_slice()), (StoreId(99), expected.as_slice()));
}

#[test]
fn a_new_folder_needs_the_certificates_of_the_cluster_or_the_operators_word() {
    assert_eq!(
        claim(&found(record(2, &[21], &["ours", "older"])), &new_folder(), IDS).unwrap().id,
        StoreId(2)
    );
    let theirs = found(record(2, &[21], &["theirs"]));
    assert_eq!(claim(&theirs, &new_folder(), IDS), Err(StoreRefusal::OtherCluster { found: StoreId(2) }));
    let taken = claim(&theirs, &adopting(new_folder()), IDS).unwrap();
    // Its earlier users know it by another identity, and their folders have lost nothing.
    assert_eq!(taken.continues(StoreId(2), StoreStart { number: 1, chance: 21 }), Continuity::Same);
    assert_eq!((taken.id, taken.authorities), (StoreId(99), authorities(&["ours"])));
    // A folder that knows the store proves enough.
    assert_eq!(claim(&theirs, &folder_of(2, 1, 21), IDS).unwrap().id, StoreId(2));
}

#[test]
fn a_store_that_was_copied_is_not_served_again_by_accident() {
    let mut old = record(1, &[11], &["ours"]);
    old.superseded_by = Some(StoreId(2));
    let refused = Err(StoreRefusal::Superseded { found: StoreId(1), by: StoreId(2) });
    for claimant in [new_folder(), folder_of(1, 1, 11), folder_of(2, 2, 22)] {
        assert_eq!(claim(&found(old.clone()), &claimant, IDS), refused);
    }
    // Adopted, it is the copy as it was earlier.
    let back = claim(&found(old.clone()), &adopting(folder_of(2, 2, 22)), IDS).unwrap();
    assert_eq!(back.continues(StoreId(2), StoreStart { number: 2, chance: 22 }), Continuity::WentBack);
    assert_eq!((back.id, back.superseded_by), (StoreId(99), None));
}

#[test]
fn the_copy_of_a_store_goes_on_for_folders_that_knew_the_first() {
    let copy = record(1, &[11], &["ours"]).with_identity(StoreId(2), false);
    assert_eq!(claim(&found(copy), &folder_of(1, 1, 11), IDS).unwrap().id, StoreId(2));
}

#[test]
fn a_shard_that_lost_its_data_is_noticed() {
    let half = FoundStore { is_shard_missing: true, ..found(record(1, &[11], &["ours"])) };
    assert_eq!(
        claim(&half, &folder_of(1, 1, 11), IDS),
        Err(StoreRefusal::ShardMissing { found: StoreId(1) })
    );
    let adopted = claim(&half, &adopting(folder_of(1, 1, 11)), IDS).unwrap();
    assert_eq!(adopted.continues(StoreId(1), StoreStart { number: 1, chance: 11 }), Continuity::Lost);
}

#[test]
fn an_older_copy_is_served_and_noticed() {
    let older = record(1, &[11], &["ours"]);
    let folder = folder_of(1, 2, 12);
    let served = claim(&found(older), &folder, IDS).unwrap();
    assert!(went_back(&served, &folder.memory.unwrap()));
}

#[test]
fn the_operators_word_changes_nothing_where_none_is_needed() {
    let folder = adopting(folder_of(1, 1, 11));
    let served = claim(&found(record(1, &[11], &["ours"])), &folder, IDS).unwrap();
    assert_eq!((served.id, served.predecessors.len()), (StoreId(1), 0));
}

#[test]
fn a_start_forgets_no_loss_unless_the_operator_says_that_it_is_known() {
    use countree_common::store::StoreLoss;
    let mut lost = record(1, &[11], &["ours"]);
    lost.unacknowledged = Some(StoreLoss::Emptied);
    let folder = folder_of(1, 1, 11);
    let started = claim(&found(lost.clone()), &folder, IDS).unwrap();
    assert_eq!(started.unacknowledged, Some(StoreLoss::Emptied));
    assert_eq!(started.held_by, "here");
    let known = claim(&found(lost), &adopting(folder), IDS).unwrap();
    assert_eq!((known.id, known.unacknowledged), (StoreId(1), None), "and nothing else changes");
}
