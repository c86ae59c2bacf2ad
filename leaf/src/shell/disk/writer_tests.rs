use super::device::{Call, faults};
use super::testing::{Calls, Writing, append, fast_folder, open, segment_file};
use super::*;
use crate::machine::DiskState;
use std::io::ErrorKind;
use std::sync::mpsc::channel;

fn durable(last: Lsn, bytes: u64) -> Written {
    Written::Durable { last, bytes }
}

const FULL: Written = Written::State(DiskState::Full);
const FAILED: Written = Written::State(DiskState::Failed);

#[test]
fn appends_that_wait_share_one_fsync() {
    let dir = fast_folder();
    let (entered, entries) = channel();
    let (release, released) = channel::<()>();
    faults::install(dir.path(), move |call, _| {
        if call == Call::Sync {
            entered.send(()).unwrap();
            let _ = released.recv();
        }
        Ok(())
    });
    let disk = open(dir.path());
    disk.create(1).unwrap();
    let writing = Writing::start(&disk, 1, vec![append(1, 1, b"a")]);
    entries.recv().unwrap();
    for last in 2..=1_000 {
        assert!(writing.append(append(1, last, b"bc")));
    }
    drop(release);
    assert_eq!(writing.report(), durable(1, 1));
    assert_eq!(writing.report(), durable(1_000, 999 * 2));
    assert_eq!(writing.end(), []);
    assert_eq!(entries.try_iter().count(), 1, "two fsyncs for a thousand appends");
}

#[test]
fn nothing_is_durable_before_its_file_and_the_way_to_it_are() {
    let dir = fast_folder();
    let calls = Calls::of(dir.path(), |_, _| None);
    let disk = open(dir.path());
    assert!(calls.take().len() >= 2, "the data folder, and those above it");
    disk.create(1).unwrap();
    assert_eq!(calls.take(), ["CreateFolder 1", "SyncFolder streams"]);
    let writing = Writing::start(&disk, 1, vec![append(1, 1, b"a"), append(1, 2, b"b"), append(3, 3, b"c")]);
    assert_eq!((writing.report(), writing.report()), (durable(2, 2), durable(3, 1)));
    writing.end();
    let (first, third) = ("00000000000000000001.log", "00000000000000000003.log");
    let begin = |name| [format!("CreateFile {name}"), "SyncFolder 1".to_owned()];
    let expected = [
        &begin(first)[..],
        &[format!("Append {first}"), format!("Append {first}"), format!("Sync {first}")],
        &begin(third),
        &[format!("Append {third}"), format!("Sync {third}")],
    ];
    assert_eq!(calls.take(), expected.concat());
}

#[test]
fn a_failed_fsync_is_never_tried_again() {
    // No room for it is a failure like any other: what was to be written may have been dropped.
    for kind in [ErrorKind::Other, ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::Interrupted] {
        // The fsync of a file, that before the next file, and that of a folder.
        for (call, nth) in [(Call::Sync, 0), (Call::Sync, 1), (Call::SyncFolder, 0)] {
            let dir = fast_folder();
            open(dir.path()).create(1).unwrap();
            let calls = Calls::of(dir.path(), |_, _| None);
            let disk = open(dir.path());
            let before = calls.count(Call::SyncFolder);
            drop(disk);
            let is_due = move |c, earlier| {
                c == call && earlier == nth + if c == Call::SyncFolder { before } else { 0 }
            };
            let calls = Calls::of(dir.path(), move |c, earlier| is_due(c, earlier).then_some(kind));
            let disk = open(dir.path());
            let writing = Writing::start(&disk, 1, vec![append(1, 1, b"a")]);
            if nth == 1 {
                assert_eq!(writing.report(), durable(1, 1));
                writing.append(append(1, 2, b"b"));
                writing.append(append(3, 3, b"c"));
            }
            assert_eq!(writing.report(), FAILED, "{kind} {call:?} {nth}");
            writing.append(append(3, 4, b"d"));
            assert_eq!(writing.end(), [], "{kind} {call:?} {nth}");
            assert_eq!(calls.count(call), nth + 1 + if call == Call::SyncFolder { before } else { 0 });
        }
    }
}

#[test]
fn a_failed_write_is_the_end_too() {
    for (call, kind) in [(Call::Append, ErrorKind::Other), (Call::CreateFile, ErrorKind::PermissionDenied)] {
        let dir = fast_folder();
        Calls::of(dir.path(), move |c, _| (c == call).then_some(kind));
        let disk = open(dir.path());
        disk.create(1).unwrap();
        let writing = Writing::start(&disk, 1, vec![append(1, 1, b"a")]);
        assert_eq!(writing.report(), FAILED);
        assert_eq!(writing.end(), []);
    }
}

#[test]
fn a_full_disk_is_waited_for_and_leaves_no_halves_behind() {
    let dir = fast_folder();
    let calls = Calls::of(dir.path(), |c, earlier| {
        (c == Call::Append && (1..4).contains(&earlier)).then_some(ErrorKind::StorageFull)
    });
    let disk = open(dir.path());
    disk.create(1).unwrap();
    let writing = Writing::start(&disk, 1, vec![append(1, 1, b"first "), append(1, 2, b"second")]);
    assert_eq!(writing.report(), durable(1, 6), "what got in is not held back");
    assert_eq!(writing.report(), FULL);
    assert_eq!(writing.outcome(), durable(2, 6));
    assert_eq!(writing.end(), []);
    assert_eq!(calls.count(Call::Truncate), 3);
    assert_eq!(std::fs::read(segment_file(dir.path(), 1, 1)).unwrap(), b"first second");
}

#[test]
fn what_can_not_be_taken_back_ends_the_log() {
    let dir = fast_folder();
    Calls::of(dir.path(), |c, _| {
        [Call::Append, Call::Truncate].contains(&c).then_some(ErrorKind::StorageFull)
    });
    let disk = open(dir.path());
    disk.create(1).unwrap();
    let writing = Writing::start(&disk, 1, vec![append(1, 1, b"never whole")]);
    let reports = [writing.report()];
    assert_eq!(reports, [FAILED], "behind a half record no other would be found again");
    assert_eq!(writing.end(), []);
}

#[test]
fn a_stream_that_found_no_room_begins_once_there_is() {
    let dir = fast_folder();
    let calls = Calls::of(dir.path(), |c, earlier| {
        let is_lacking = [Call::CreateFolder, Call::CreateFile].contains(&c) && earlier < 2;
        is_lacking.then_some(ErrorKind::StorageFull)
    });
    let disk = open(dir.path());
    disk.create(1).unwrap();
    calls.take();
    let writing = Writing::start(&disk, 1, vec![append(1, 1, b"a")]);
    assert_eq!(writing.report(), FULL);
    assert_eq!(writing.outcome(), durable(1, 1));
    writing.end();
    let made = calls.take();
    let at = |call: &str| made.iter().rposition(|c| c.starts_with(call)).unwrap();
    assert!(at("CreateFolder") < at("SyncFolder streams") && at("SyncFolder streams") < at("CreateFile"));
    assert!(at("CreateFile") < at("SyncFolder 1") && at("SyncFolder 1") < at("Append"), "{made:?}");
}

#[test]
fn a_writer_that_waits_for_room_ends_with_the_leaf() {
    let dir = fast_folder();
    Calls::of(dir.path(), |c, _| (c == Call::Append).then_some(ErrorKind::StorageFull));
    let disk = open(dir.path());
    disk.create(1).unwrap();
    let writing = Writing::start(&disk, 1, vec![append(1, 1, b"a")]);
    assert_eq!(writing.report(), FULL);
    assert!(writing.end().iter().all(|report| *report == FULL));
    assert_eq!(std::fs::read(segment_file(dir.path(), 1, 1)).unwrap(), b"");
}
