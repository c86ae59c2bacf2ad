//! A real leaf on a small disk that fills up.

#![cfg(all(feature = "shell", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod harness;

use countree_common::session::{Seq, SessionId};
use countree_common::wire::producer::{BusyReason, FromLeaf, ToLeaf};
use countree_leaf::shell;
use harness::producer::Producer;
use harness::root::total_becomes;
use harness::{Cluster, Leaf, eventually, in_time};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const EVENT: &str = r#"{"topic":"t","item":"http","kind":"like"}"#;
const REFUSED: &str = r#"{"topic":"t","item":"refused","kind":"like"}"#;
/// Events of one batch: 200 kB of log.
const BATCH: u32 = 25_000;

/// A disk of 8 MiB, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where mounting is not permitted.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(at).output();
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

    /// Leaves room for about two megabytes of log.
    fn fill(&self) {
        std::fs::write(self.filler(), vec![0; 6 << 20]).unwrap();
    }

    fn fill_the_rest(&self) {
        let mut rest = std::fs::File::create(self.0.join("rest")).unwrap();
        while rest.write_all(&[0; 4_096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since after a panic the leaf still has its files open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn is_full(leaf: &Leaf) -> bool {
    leaf.trouble().is_some_and(|trouble| trouble.contains("disk is full"))
}

/// Sends batches, each once the one before is acked, until one waits for room; returns its number.
async fn send_until_full(leaf: &Leaf, producer: &mut Producer, first: Seq) -> Seq {
    for seq in first..first + 100 {
        producer.batch_of(seq, "a", weight(seq), BATCH).await;
        let full = async {
            while !is_full(leaf) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = producer.acked(seq) => {}
            () = in_time(full) => return seq,
        }
    }
    panic!("the disk does not fill up");
}

/// Sums of these tell which batches are in them.
fn weight(seq: Seq) -> i64 {
    1 << seq
}

fn sum_to(last: Seq) -> i64 {
    (1..=last).map(|seq| weight(seq) * i64::from(BATCH)).sum()
}

fn is_busy(answer: &FromLeaf, refused: Seq) -> bool {
    matches!(answer, FromLeaf::Busy { seq, reason: BusyReason::DiskFull, .. } if *seq == refused)
}

#[tokio::test]
async fn a_full_disk_refuses_drains_and_resumes() {
    let cluster = Cluster::start();
    let Some(disk) = SmallDisk::mount(&cluster.data()) else { return };
    let leaf = cluster.leaf().await;
    disk.fill();
    let mut producer = Producer::connect(&cluster, &leaf).await;
    producer.open(7).await;
    let mut other = Producer::connect(&cluster, &leaf).await;
    other.open(8).await;
    assert_eq!(leaf.post(&[], EVENT).await.status, 202);
    total_becomes(&cluster.root, "http", 1).await;

    // The first batch's cut is held at the root, so that the second's is still to be sent; that another
    // topic's cut arrives tells that the second's window is over.
    cluster.root.set_merging(false);
    let root = &cluster.root;
    for seq in 1..=2 {
        let cuts = root.cuts();
        producer.batch_of(seq, "a", weight(seq), BATCH).await;
        producer.acked(seq).await;
        if seq == 1 {
            eventually("its cut", || root.cuts() > cuts).await;
        }
    }
    let cuts = root.cuts();
    assert_eq!(leaf.post(&[], r#"{"topic":"u","item":"u","kind":"like"}"#).await.status, 202);
    eventually("the other topic's cut", || root.cuts() > cuts).await;
    let stuck = send_until_full(&leaf, &mut producer, 3).await;
    assert!(stuck > 4, "there was room for some");

    producer.batch_of(stuck + 1, "a", weight(stuck + 1), BATCH).await;
    assert!(is_busy(&producer.hear().await, stuck + 1));
    other.batch(1, "other", 1).await;
    assert!(is_busy(&other.hear().await, 1));
    let mut late = Producer::connect(&cluster, &leaf).await;
    late.say(ToLeaf::Open(SessionId(9))).await;
    assert!(is_busy(&late.hear().await, 0));
    for _ in 0..3 {
        let answer = leaf.post(&[], REFUSED).await;
        assert_eq!(answer.status, 507, "{}", String::from_utf8_lossy(&answer.body));
        assert!(String::from_utf8_lossy(&answer.body).contains("disk_full"));
    }

    cluster.root.set_merging(true);
    eventually("what was logged drains", || cluster.root.total("t", "a") >= sum_to(2)).await;
    assert!(is_full(&leaf) && cluster.root.total("t", "a") < sum_to(stuck));
    assert_eq!(leaf.post(&[], REFUSED).await.status, 507);

    disk.make_room();
    producer.acked(stuck).await;
    eventually("it is ready again", || leaf.trouble().is_none()).await;
    producer.batch_of(stuck + 1, "a", weight(stuck + 1), BATCH).await;
    other.batch(1, "other", 1).await;
    producer.acked(stuck + 1).await;
    other.acked(1).await;
    assert_eq!(leaf.post(&[], EVENT).await.status, 202);
    total_becomes(&cluster.root, "a", sum_to(stuck + 1)).await;

    leaf.kill();
    let leaf = cluster.leaf().await;
    assert_eq!(Producer::connect(&cluster, &leaf).await.resume(7).await, stuck + 1);
    leaf.stop().await;
    let total = |item| cluster.root.total("t", item);
    assert_eq!((total("a"), total("other"), total("http")), (sum_to(stuck + 1), 1, 2));
    assert_eq!(total("refused"), 0);
}

#[tokio::test]
async fn a_leaf_starts_on_a_full_disk_and_drains_it() {
    let cluster = Cluster::start();
    let Some(disk) = SmallDisk::mount(&cluster.data()) else { return };
    cluster.root.set_merging(false);
    let leaf = cluster.leaf().await;
    disk.fill();
    let mut producer = Producer::connect(&cluster, &leaf).await;
    producer.open(7).await;
    let stuck = send_until_full(&leaf, &mut producer, 1).await;
    leaf.kill();
    // Not a byte is left for the new stream.
    disk.fill_the_rest();

    let leaf = cluster.leaf().await;
    eventually("it says so", || is_full(&leaf)).await;
    assert_eq!(leaf.post(&[], REFUSED).await.status, 507);
    cluster.root.set_merging(true);
    total_becomes(&cluster.root, "a", sum_to(stuck - 1)).await;
    assert!(is_full(&leaf));

    disk.make_room();
    eventually("it is ready again", || leaf.trouble().is_none()).await;
    let mut producer = Producer::connect(&cluster, &leaf).await;
    assert_eq!(producer.resume(7).await, stuck - 1, "what waited for room was never acked");
    producer.batch_of(stuck, "a", weight(stuck), BATCH).await;
    producer.acked(stuck).await;
    leaf.stop().await;
    assert_eq!((cluster.root.total("t", "a"), cluster.root.total("t", "refused")), (sum_to(stuck), 0));
}
