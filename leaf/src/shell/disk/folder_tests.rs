use super::device::Call;
use super::testing::{Calls, fast_folder, open, segment_file};
use super::*;
use crate::log::record::{Checkpoint, Record, put};
use crate::testing::leaf_name;
use countree_common::session::SessionId;
use countree_common::time::WallMs;
use std::io::ErrorKind;

fn stream(incarnation: u64) -> StreamId {
    StreamId { leaf: leaf_name(), incarnation }
}

/// A segment of four records, of which the last knew the first two to be on disk.
fn write_segment(data: &Path, incarnation: u64, torn: &[u8]) -> (PathBuf, Vec<u8>, usize) {
    let mut bytes = Vec::new();
    let leaf = Some(leaf_name());
    put(&Record::Checkpoint(Checkpoint { leaf, ..Checkpoint::default() }), 1, 0, &mut bytes).unwrap();
    put(&Record::Open { session: SessionId(1), at: WallMs(1) }, 2, 1, &mut bytes).unwrap();
    let doubtful_from = bytes.len();
    put(&Record::Open { session: SessionId(2), at: WallMs(1) }, 3, 1, &mut bytes).unwrap();
    put(&Record::Open { session: SessionId(3), at: WallMs(1) }, 4, 2, &mut bytes).unwrap();
    let path = segment_file(data, incarnation, 1);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, [&bytes, torn].concat()).unwrap();
    (path, bytes, doubtful_from)
}

#[test]
fn the_end_of_the_newest_stream_is_on_disk_before_anything_is_built_on_it() {
    for torn in [&b""[..], b"torn"] {
        let dir = fast_folder();
        write_segment(dir.path(), 1, b"");
        let (path, bytes, doubtful_from) = write_segment(dir.path(), 2, torn);
        assert_eq!(doubtful(&fs::read(&path).unwrap()), doubtful_from..bytes.len());
        let calls = Calls::of(dir.path(), |_, _| None);
        let disk = open(dir.path());
        calls.take();
        let (recovery, old) = disk.recover().unwrap();
        assert_eq!((recovery.carried.sessions.len(), old[&stream(2)].end), (3, 4));
        let made = calls.take();
        let name = "00000000000000000001.log";
        let expected = [&format!("Sync {name}"), "SyncFolder 2", "SyncFolder streams"];
        assert!(made.ends_with(&expected.map(str::to_owned)), "{made:?}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "written again as it was");
    }
}

#[test]
fn a_leaf_does_not_start_on_what_it_can_not_make_durable() {
    for (torn, call) in [(&b""[..], Call::Sync), (b"torn", Call::Truncate), (b"", Call::SyncFolder)] {
        let dir = fast_folder();
        write_segment(dir.path(), 1, torn);
        let is_open = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let is_failing = is_open.clone();
        Calls::of(dir.path(), move |c, _| {
            let fails = c == call && is_failing.load(std::sync::atomic::Ordering::Relaxed);
            fails.then_some(ErrorKind::Other)
        });
        let disk = open(dir.path());
        is_open.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(matches!(disk.recover(), Err(DiskError::Io { .. })), "{call:?}");
    }
}

#[test]
fn what_is_dropped_stays_dropped() {
    let dir = fast_folder();
    let (path, ..) = write_segment(dir.path(), 1, b"");
    write_segment(dir.path(), 2, b"");
    let calls = Calls::of(dir.path(), |_, _| None);
    let disk = open(dir.path());
    calls.take();
    disk.drop_segment(1, 1).unwrap();
    assert_eq!((calls.take(), path.exists()), (vec!["SyncFolder 1".to_owned()], false));
    disk.drop_stream(&stream(1)).unwrap();
    assert_eq!(calls.take(), ["SyncFolder streams"]);
    assert_eq!(disk.recover().unwrap().1.into_keys().collect::<Vec<_>>(), [stream(2)]);
}

#[test]
fn a_drop_that_was_cut_short_is_finished_at_the_next_start() {
    let dir = fast_folder();
    let (path, ..) = write_segment(dir.path(), 1, b"");
    let streams = dir.path().join("streams");
    fs::rename(path.parent().unwrap(), streams.join("1.dropped")).unwrap();
    let disk = open(dir.path());
    assert_eq!(fs::read_dir(&streams).unwrap().count(), 0);
    assert!(disk.recover().unwrap().1.is_empty());
}
