use super::*;

const IDS: RandomIds = RandomIds { id: 99, start: 7 };

fn at(seconds: u64) -> Time {
    Time::default() + Duration::from_secs(seconds)
}

/// A store that this root and those before it have served.
fn record() -> StoreRecord {
    let mut record = StoreRecord::new(StoreId(1));
    [11, 12, 13].iter().for_each(|chance| record.begin_start(*chance));
    record.authorities = ["ours".to_owned()].into();
    record.held_by = "here".into();
    record
}

fn standing() -> Standing {
    Standing::of(&record(), at(0)).unwrap()
}

fn found(record: StoreRecord) -> FoundStore {
    FoundStore { record: Some(record), is_shard_missing: false }
}

/// Looks, writes what is to be written, and looks again; gives what the store says then.
fn look(standing: &mut Standing, there: Option<StoreRecord>, now: Time) -> Option<StoreRecord> {
    standing.handle_found(&FoundStore { record: there.clone(), is_shard_missing: false }, now);
    let Some(mut written) = standing.poll_write() else { return there };
    assert_eq!(written.revision, there.map_or(0, |there| there.revision), "over what was read");
    written.revision += 1;
    standing.handle_found(&found(written.clone()), now);
    assert_eq!(standing.poll_write(), None, "once is enough");
    Some(written)
}

fn acknowledge(standing: &mut Standing, there: StoreRecord, now: Time) -> StoreRecord {
    standing.acknowledge(&found(there), now, IDS).unwrap().unwrap()
}

#[test]
fn a_store_that_is_what_it_was_is_sound() {
    let mut standing = standing();
    let mut later = record();
    later.begin_start(14);
    for (seconds, found) in [(1, record()), (60, record()), (61, later)] {
        assert_eq!(look(&mut standing, Some(found.clone()), at(seconds)), Some(found));
        assert_eq!((standing.state(), standing.problem()), (&State::Sound, None));
    }
    assert_eq!(standing.acknowledge(&found(record()), at(62), IDS), Ok(None));
}

#[test]
fn an_emptied_store_is_served_and_not_ready_until_it_is_acknowledged() {
    let (mut standing, mut other) = (standing(), standing());
    let marked = look(&mut standing, None, at(60)).unwrap();
    assert_eq!((marked.id, marked.unacknowledged), (StoreId(1), Some(StoreLoss::Emptied)));
    assert_eq!(marked.starts, record().starts, "folders know it still");
    for standing in [&mut standing, &mut other] {
        look(standing, Some(marked.clone()), at(61));
        assert_eq!(standing.state(), &State::Lost(StoreLoss::Emptied));
        assert!(!standing.is_fenced());
        assert!(standing.problem().unwrap().contains("countree store acknowledge"));
    }
    let acknowledged = acknowledge(&mut other, marked, at(62));
    for standing in [&mut standing, &mut other] {
        look(standing, Some(acknowledged.clone()), at(63));
        assert_eq!(standing.state(), &State::Sound);
    }
    look(&mut standing, None, at(64));
    assert_eq!(standing.state(), &State::Lost(StoreLoss::Emptied), "again");
}

#[test]
fn an_older_copy_is_noticed_by_a_start_that_it_lacks_unless_that_is_seconds_old() {
    let mut older = record();
    older.starts.pop();
    let mut standing = standing();
    let whole = look(&mut standing, Some(older.clone()), at(9)).unwrap();
    assert_eq!((standing.state(), whole.starts), (&State::Sound, record().starts));
    let whole = look(&mut standing, Some(older.clone()), at(18)).unwrap();
    assert_eq!((standing.state(), whole.unacknowledged), (&State::Sound, None), "it was put back just now");
    let whole = look(&mut standing, Some(older), at(60)).unwrap();
    assert_eq!(standing.state(), &State::Lost(StoreLoss::WentBack));
    assert_eq!(whole.starts, record().starts);
    let acknowledged = acknowledge(&mut standing, whole, at(61));
    look(&mut standing, Some(acknowledged), at(62));
    assert_eq!(standing.state(), &State::Sound);
}

#[test]
fn an_older_copy_is_noticed_by_an_older_registry() {
    let mut standing = standing();
    standing.handle_fell_back(FORGIVEN);
    look(&mut standing, Some(record()), at(60));
    assert_eq!(standing.state(), &State::Sound, "a server forgets that much");
    standing.handle_fell_back(FORGIVEN * 2);
    let marked = look(&mut standing, Some(record()), at(61)).unwrap();
    assert_eq!(marked.unacknowledged, Some(StoreLoss::WentBack));
    let acknowledged = acknowledge(&mut standing, marked, at(62));
    look(&mut standing, Some(acknowledged), at(63));
    assert_eq!(standing.state(), &State::Sound);
}

#[test]
fn what_was_noticed_in_two_ways_is_acknowledged_once() {
    let mut older = record();
    older.starts.pop();
    let mut standing = standing();
    standing.handle_fell_back(FORGIVEN * 2);
    let marked = look(&mut standing, Some(older), at(60)).unwrap();
    let acknowledged = acknowledge(&mut standing, marked, at(61));
    for seconds in [62, 63] {
        look(&mut standing, Some(acknowledged.clone()), at(seconds));
        assert_eq!(standing.state(), &State::Sound);
    }
}

#[test]
fn a_shard_that_is_missing_is_a_loss() {
    let mut standing = standing();
    standing.handle_found(&FoundStore { record: Some(record()), is_shard_missing: true }, at(60));
    assert_eq!(standing.state(), &State::Lost(StoreLoss::Emptied));
    assert_eq!(standing.poll_write().and_then(|marked| marked.unacknowledged), Some(StoreLoss::Emptied));
}

#[test]
fn another_store_is_fenced_off_until_the_right_one_is_back_or_it_is_acknowledged() {
    let (mut standing, mut beside) = (standing(), standing());
    let mut other = StoreRecord::new(StoreId(2));
    other.begin_start(21);
    assert_eq!(
        look(&mut standing, Some(other.clone()), at(60)),
        Some(other.clone()),
        "it is not ours to write to"
    );
    assert_eq!(standing.state(), &State::Exchanged { found: StoreId(2) });
    assert!(standing.is_fenced() && standing.problem().unwrap().contains(&StoreId(2).to_string()));
    look(&mut standing, Some(record()), at(61));
    assert_eq!(standing.state(), &State::Sound);

    let adopted = acknowledge(&mut standing, other, at(62));
    assert_eq!(
        (adopted.id, adopted.continues(StoreId(1), standing.own_start())),
        (StoreId(99), Continuity::Lost)
    );
    assert_eq!(adopted.continues(StoreId(2), StoreStart { number: 1, chance: 21 }), Continuity::Same);
    for standing in [&mut standing, &mut beside] {
        look(standing, Some(adopted.clone()), at(63));
        assert_eq!((standing.state(), standing.served()), (&State::Sound, StoreId(99)), "all roots go on");
    }
}

#[test]
fn a_store_that_another_cluster_took_is_fenced_off_and_it_is_said_who_has_it() {
    let mut taken = record().with_identity(StoreId(3), false);
    taken.begin_start(31);
    (taken.authorities, taken.held_by) = (["theirs".to_owned()].into(), "the other machine".into());
    let mut standing = standing();
    look(&mut standing, Some(taken.clone()), at(1));
    assert_eq!(standing.state(), &State::Taken { found: StoreId(3), by: "the other machine".into() });
    assert!(standing.is_fenced() && standing.problem().unwrap().contains("the other machine"));
    assert!(standing.acknowledge(&found(taken), at(2), IDS).is_err());
}

#[test]
fn a_cluster_with_the_same_certificates_takes_a_store_over_all_the_same() {
    let mut taken = record().with_identity(StoreId(3), false);
    taken.begin_start(31);
    let mut standing = standing();
    look(&mut standing, Some(taken), at(60));
    assert!(matches!(standing.state(), State::Taken { .. }));
}

#[test]
fn a_store_with_a_copy_in_its_place_is_fenced_off() {
    let mut copied = record();
    copied.superseded_by = Some(StoreId(4));
    let mut standing = standing();
    look(&mut standing, Some(copied), at(60));
    assert!(standing.is_fenced() && standing.problem().unwrap().contains(&StoreId(4).to_string()));
}

#[test]
fn only_the_store_itself_and_one_that_was_emptied_are_merged_into() {
    let of = |found: Option<u128>| may_merge(StoreId(1), found.map(StoreId));
    assert_eq!((of(Some(1)), of(None), of(Some(2))), (true, true, false));
}

#[test]
fn a_leafs_folder_belongs_to_its_store_and_to_those_that_took_its_place() {
    let mut taken = record().with_identity(StoreId(2), false);
    taken.succeed(Predecessor { id: StoreId(7), is_lost: true });
    let standing = Standing::of(&taken, at(0)).unwrap();
    let of =
        |id, adopts| FolderStore { known: Some((StoreId(id), StoreStart { number: 3, chance: 13 })), adopts };
    for folder in [FolderStore::default(), of(2, false), of(1, false), of(7, true)] {
        let admitted = standing.admit(&folder).unwrap();
        assert_eq!((admitted.id, admitted.is_foreign), (StoreId(2), false), "{folder:?}");
    }
    let refused = standing.admit(&of(8, false)).unwrap_err();
    assert_eq!(refused, ForeignFolder { known: StoreId(8), served: StoreId(2) });
    assert!(refused.to_string().contains("--adopt") && refused.to_string().contains("Nothing was changed"));
    assert!(standing.admit(&of(8, true)).unwrap().is_foreign);
    assert_eq!(standing.stores(), [1, 2, 7].map(StoreId).into());
}

#[test]
fn a_store_that_every_leaf_disputes_is_not_served_until_it_is_acknowledged() {
    let (leaf, theirs) = (NodeName::new("leaf-0").unwrap(), StoreId(7));
    let mut standing = standing();
    assert!(
        standing.admit_question(&leaf, theirs).is_err() && !standing.is_fenced(),
        "not all who ask are leaves"
    );
    standing.handle_leaf(&leaf, theirs, false, at(60));
    assert_eq!(standing.state(), &State::Disputed { theirs, by: leaf.clone() });
    assert!(standing.is_fenced() && standing.problem().unwrap().contains("acknowledge"));
    look(&mut standing, Some(record()), at(61));
    assert!(standing.is_fenced(), "the store itself has nothing new to say");
    let ours = acknowledge(&mut standing, record(), at(62));
    assert_eq!(ours.predecessors, [Predecessor { id: theirs, is_lost: true }]);
    look(&mut standing, Some(ours), at(63));
    assert_eq!((standing.state(), standing.admit_question(&leaf, theirs)), (&State::Sound, Ok(())));
}

#[test]
fn a_stray_leaf_beside_those_of_the_store_is_only_refused() {
    let (ours, stray) = (NodeName::new("leaf-0").unwrap(), NodeName::new("leaf-9").unwrap());
    let mut standing = standing();
    standing.handle_leaf(&ours, StoreId(1), false, at(60));
    standing.handle_leaf(&stray, StoreId(7), false, at(61));
    assert_eq!(standing.state(), &State::Sound);
    assert!(standing.admit_question(&stray, StoreId(7)).is_err());
    let mut away = vec![NodeName::new("leaf-1").unwrap()];
    standing.name_foreign(&mut away);
    assert_eq!(away[1..], std::slice::from_ref(&stray)[..], "its events are missing here, too");
    // The others have not been heard of for long: who is right?
    standing.handle_leaf(&stray, StoreId(7), false, at(71));
    assert!(standing.is_fenced());
    standing.handle_leaf(&ours, StoreId(1), false, at(72));
    assert!(!standing.is_fenced());
}

#[test]
fn a_leaf_that_says_no_more_disputes_no_more() {
    let mut standing = standing();
    standing.handle_leaf(&NodeName::new("leaf-0").unwrap(), StoreId(7), false, at(60));
    look(&mut standing, Some(record()), at(69));
    assert!(standing.is_fenced());
    look(&mut standing, Some(record()), at(70));
    assert!(!standing.is_fenced());
}

#[test]
fn leaves_that_speak_to_another_root_count_as_heard() {
    let stray = NodeName::new("leaf-9").unwrap();
    let mut standing = standing();
    standing.handle_leaf(&stray, StoreId(7), true, at(60));
    assert_eq!(standing.state(), &State::Sound);
    assert!(standing.admit_question(&stray, StoreId(7)).is_err());
}
