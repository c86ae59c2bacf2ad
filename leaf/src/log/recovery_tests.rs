use super::*;
use crate::log::record::{SessionRecord, Submission};
use crate::machine::log_builder::LogBuilder;
use crate::testing::leaf_name;
use countree_common::ledger::Ledger;
use countree_common::session::SessionId;
use countree_common::store::FolderAdmission;
use countree_common::time::WallMs;
use countree_common::wire::batch::{put_event, put_name};
use countree_common::wire::keys::{Attempt, IdempotencyKey, KeyState, Remembered};

fn checkpoint(accepted: u64, key_records: u32) -> Record<'static> {
    Record::Checkpoint(Checkpoint { leaf: Some(leaf_name()), accepted, sessions: Vec::new(), key_records })
}

fn key(hash: u128) -> IdempotencyKey {
    IdempotencyKey::of_request(hash)
}

fn used(hash: u128) -> Remembered {
    Remembered { key: key(hash), at: WallMs(1), state: KeyState::Used { content: 0 } }
}

fn read(recovery: &mut Recovery, records: &[Record<'_>]) {
    for (lsn, record) in (1..).zip(records) {
        recovery.record(lsn, record).unwrap();
    }
}

#[test]
fn a_checkpoint_counts_only_with_all_of_its_keys() {
    let mut recovery = Recovery::new(leaf_name());
    recovery.begin_stream();
    read(&mut recovery, &[checkpoint(0, 1), Record::Keys(vec![used(1), used(2)])]);
    assert_eq!(recovery.carried.keys.len(), 2);
    recovery.begin_stream();
    read(&mut recovery, &[checkpoint(0, 2), Record::Keys(vec![used(3)])]);
    assert_eq!(recovery.carried.keys.keys().collect::<Vec<_>>(), [&key(1), &key(2)], "it was torn");
    recovery.begin_stream();
    read(&mut recovery, &[checkpoint(0, 2), Record::Keys(vec![used(3)]), Record::Keys(vec![used(4)])]);
    assert_eq!(
        recovery.carried.keys.keys().collect::<Vec<_>>(),
        [&key(3), &key(4)],
        "what it left out has expired"
    );
}

#[test]
fn the_sessions_of_a_checkpoint_go_on_with_what_follows() {
    let mut recovery = Recovery::new(leaf_name());
    recovery.begin_stream();
    let known = [(1, 5), (2, 7)]
        .map(|(id, last)| (SessionId(id), SessionRecord { last, at: WallMs(1), is_ended: false }))
        .to_vec();
    let first = Checkpoint { leaf: Some(leaf_name()), accepted: 9, sessions: known, key_records: 0 };
    let (session, at) = (SessionId(1), WallMs(2));
    recovery.begin_segment();
    let records = [
        Record::Checkpoint(first),
        Record::Open { session: SessionId(2), at: WallMs(2) },
        Record::Open { session: SessionId(3), at: WallMs(2) },
        Record::Batch { session, seq: 6, at, event_count: 0, definitions: &[], words: &[] },
    ];
    read(&mut recovery, &records);
    let sessions: Vec<_> = recovery.carried.sessions.iter().map(|(id, known)| (id.0, known.last)).collect();
    assert_eq!(sessions, [(1, 6), (2, 7), (3, 0)]);
}

#[test]
fn events_of_trimmed_segments_stay_in_the_count() {
    let (mut names, mut words) = (Vec::new(), Vec::new());
    put_name(&crate::testing::counter("t", "a"), &mut names);
    put_event(0, 1, &mut words);
    let submission =
        Submission { at: WallMs(1), keys: Vec::new(), names: &names, event_count: 1, words: &words };
    let mut recovery = Recovery::new(leaf_name());
    recovery.begin_stream();
    recovery.record(40, &checkpoint(9, 0)).unwrap();
    recovery.record(41, &Record::Submission(submission)).unwrap();
    let stream = recovery.end_stream();
    assert_eq!((stream.end, stream.accepted), (41, 10));
    assert_eq!(stream.topics.into_values().collect::<Vec<_>>(), [TopicInLog { last: 41, events: 1 }]);
}

#[test]
fn another_leafs_log_is_refused() {
    let mut recovery = Recovery::new(NodeName::new("leaf-1").unwrap());
    recovery.begin_stream();
    assert!(matches!(recovery.record(1, &checkpoint(0, 0)), Err(LogError::WrongLeaf { .. })));
}

#[test]
fn a_log_reads_back_as_it_was_written() {
    let mut log = LogBuilder::new(1);
    let keys: Vec<_> = (1..=3).map(used).collect();
    for _ in 0..3 {
        let checkpoint = Checkpoint { leaf: Some(leaf_name()), ..Checkpoint::default() };
        log.begin_segment(checkpoint, &keys).unwrap();
        log.append(&Record::Open { session: SessionId(9), at: WallMs(1) }).unwrap();
    }
    let mut recovery = Recovery::new(leaf_name());
    recovery.begin_stream();
    let mut next = 1;
    while let Some(append) = log.next_append() {
        assert_eq!(append.segment, next);
        recovery.begin_segment();
        let take = |lsn, record: Record<'_>| recovery.record(lsn, &record);
        let (last, _) = crate::log::segment::read(&append.bytes, next, false, take).unwrap();
        assert_eq!(last, append.last);
        next = last + 1;
    }
    assert_eq!((next, recovery.end_stream().end), (10, 9));
    assert_eq!((recovery.carried.keys.len(), recovery.carried.sessions.len()), (3, 1));
}

#[test]
fn a_note_follows_the_one_before_and_gives_way_to_a_use() {
    let mut recovery = Recovery::new(leaf_name());
    recovery.begin_stream();
    let note = |number| {
        let by = Attempt { leaf: leaf_name(), incarnation: 1, number };
        Record::Noted { keys: vec![key(1), key(2)], at: WallMs(number), by }
    };
    read(&mut recovery, &[checkpoint(0, 0), note(1), note(2)]);
    let known = |recovery: &Recovery, of| recovery.carried.keys.get(&of).map(|of| of.state.clone());
    let by = Attempt { leaf: leaf_name(), incarnation: 1, number: 2 };
    assert_eq!(known(&recovery, key(1)), Some(KeyState::Noted(vec![by])));
    recovery.record(4, &Record::Inherited(vec![used(1)])).unwrap();
    assert_eq!(known(&recovery, key(1)), Some(KeyState::Used { content: 0 }));
    assert!(matches!(known(&recovery, key(2)), Some(KeyState::Noted(_))));
}

#[test]
fn a_folder_of_another_cluster_forgets_the_streams_that_it_has_no_log_of() {
    use countree_common::store::{StoreId, StoreStart};
    let retired =
        || Carried { retired: [(3, Ledger::default()), (5, Ledger::default())].into(), ..Carried::default() };
    let admission = |is_foreign| FolderAdmission {
        id: StoreId(1),
        start: StoreStart { number: 1, chance: 1 },
        is_foreign,
    };
    let mut same = retired();
    let memory = same.belong(&admission(false), None);
    assert_eq!((memory.foreign_to, same.retired.len()), (0, 2));
    let mut moved = retired();
    let memory = moved.belong(&admission(true), Some(&memory));
    assert_eq!((memory.foreign_to, moved.retired.len()), (5, 0));
    // The log still says so at the next start.
    let mut again = retired();
    again.retired.insert(9, Ledger::default());
    let memory = again.belong(&admission(false), Some(&memory));
    assert_eq!((memory.foreign_to, again.retired.into_keys().collect::<Vec<_>>()), (5, vec![9]));
}
