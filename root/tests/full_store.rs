//! The embedded store on a small disk that fills up.

#![cfg(all(feature = "shell", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use countree_common::cluster::NodeName;
use countree_common::cut::{CounterSum, Cut, Outcome};
use countree_common::key::{Item, Kind, Topic};
use countree_common::stream::{Lsn, StreamId};
use countree_root::store::{Embedded, Store, StoreError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// Counters that every cut brings along.
const ITEMS: u64 = 2_000;

/// A disk of 48 MiB, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where mounting is not permitted.
    fn mount(at: &Path) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"]).arg(at).output();
        let is_mounted = mount.is_ok_and(|output| output.status.success());
        if !is_mounted {
            // Past the harness, which keeps to itself what a test prints that does not fail.
            let _ = std::io::Write::write_all(
                &mut std::io::stdout(),
                b"\nskipped: mounting a tmpfs is not permitted\n",
            );
        }
        is_mounted.then(|| Self(at.to_owned()))
    }

    fn fill(&self) {
        std::fs::write(self.0.join("filler"), vec![0; 40 << 20]).unwrap();
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since after a panic the store still has its file open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn topic() -> Topic {
    Topic::new("t").unwrap()
}

/// The cut up to this LSN: one for the counter of all, and counters of its own.
fn cut(to: Lsn) -> Cut {
    let sum = |item: &str| CounterSum {
        item: Item::new(item).unwrap(),
        kind: Kind::new("like").unwrap(),
        delta: 1,
    };
    let mut sums: Vec<_> = (0..ITEMS).map(|i| sum(&format!("{to:05} {i:05}"))).collect();
    sums.push(sum("every"));
    let stream = StreamId { leaf: NodeName::new("leaf-0").unwrap(), incarnation: 1 };
    Cut { stream, topic: topic(), from: to - 1, to, events: ITEMS + 1, sums, era: 0 }
}

async fn merge(store: &Embedded, to: Lsn) -> Result<Outcome, StoreError> {
    store.merge(Arc::from([cut(to)])).await.remove(0)
}

/// Repeats a cut until it is merged.
async fn merge_at_last(store: &Embedded, to: Lsn) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match merge(store, to).await {
            Ok(Outcome::Applied(_)) => return,
            Ok(Outcome::Have { lsn, .. }) if lsn == to => return,
            Err(StoreError::Disk { .. }) if Instant::now() < deadline => {}
            other => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn assert_exact(store: &Embedded, cuts: u64) {
    let totals = store.read(&topic()).await.unwrap().unwrap().totals;
    assert_eq!(totals.len() as u64, cuts * ITEMS + 1);
    for counter in totals {
        let expected = if counter.item.as_str() == "every" { cuts } else { 1 };
        assert_eq!(counter.total, expected as i64, "{}", counter.item);
    }
}

#[tokio::test]
async fn a_full_disk_stops_merges_and_room_lets_them_go_on() {
    let dir = tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path()) else { return };
    let cluster = NodeName::new("local").unwrap();
    let store = Embedded::open(&dir.path().join("made/below"), &cluster).await.unwrap();
    disk.fill();
    let mut last = 0;
    let error = loop {
        match merge(&store, last + 1).await {
            Ok(outcome) => assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}"),
            Err(error) => break error,
        }
        last += 1;
        assert!(last < 200, "the disk does not fill up");
    };
    assert!(last > 0, "there was room for some");
    assert!(matches!(error, StoreError::Disk { is_full: true, .. }), "{error}");
    // Long enough for the file to be opened anew, in vain.
    let until = Instant::now() + Duration::from_millis(600);
    while Instant::now() < until {
        let error = merge(&store, last + 1).await.unwrap_err();
        assert!(matches!(error, StoreError::Disk { .. }), "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    disk.make_room();
    for to in last + 1..=last + 3 {
        merge_at_last(&store, to).await;
    }
    assert_exact(&store, last + 3).await;
    drop(store);
    let store = Embedded::open(&dir.path().join("made/below"), &cluster).await.unwrap();
    assert_exact(&store, last + 3).await;
}
