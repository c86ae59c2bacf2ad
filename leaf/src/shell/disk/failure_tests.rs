//! A whole leaf, over HTTP and QUIC, whose disk fails once.

use super::device::{Call, faults};
use crate::shell;
use countree_common::shell::http;
use countree_common::wire::producer::{BusyReason, FromLeaf};
use harness::producer::Producer;
use harness::root::total_becomes;
use harness::{Cluster, eventually, in_time};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

#[path = "../../../tests/harness/mod.rs"]
mod harness;

const EVENT: &str = r#"{"topic":"t","item":"b","kind":"like"}"#;
const REFUSED: &str = r#"{"topic":"t","item":"refused","kind":"like"}"#;
const IN_DOUBT: &str = r#"{"topic":"t","item":"in doubt","kind":"like"}"#;

/// The next call of this kind fails once; all others go well, those after it included.
struct OneFault {
    is_armed: Arc<AtomicBool>,
    calls_after: Arc<AtomicUsize>,
}

impl OneFault {
    fn of(cluster: &Cluster, kind: Call) -> Self {
        let fault = Self { is_armed: Arc::default(), calls_after: Arc::default() };
        let (is_armed, calls_after) = (fault.is_armed.clone(), fault.calls_after.clone());
        let mut has_failed = false;
        faults::install(&cluster.data(), move |call, _| {
            calls_after.fetch_add(usize::from(has_failed), SeqCst);
            if call == kind && is_armed.swap(false, SeqCst) {
                has_failed = true;
                return Err(io::Error::other("injected"));
            }
            Ok(())
        });
        fault
    }
}

/// 1 + 2 + … + `last`.
fn sum_to(last: u64) -> i64 {
    i64::try_from(last * (last + 1) / 2).unwrap()
}

async fn nothing_is_acked_after(kind: Call) {
    let cluster = Cluster::start();
    let fault = OneFault::of(&cluster, kind);
    let leaf = cluster.leaf().await;
    let mut producer = Producer::connect(&cluster, &leaf).await;
    producer.open(7).await;
    for seq in 1..=20 {
        producer.batch(seq, "a", seq as i64).await;
        producer.acked(seq).await;
    }
    assert_eq!(leaf.post(&[], EVENT).await.status, 202);
    eventually("it is ready", || leaf.trouble().is_none()).await;

    fault.is_armed.store(true, SeqCst);
    let url = leaf.http.clone();
    let in_doubt =
        tokio::spawn(
            async move { http::request("POST", &url, "/v1/events", &[], Some(IN_DOUBT.into())).await },
        );
    eventually("the leaf says so", || leaf.trouble().is_some_and(|t| t.contains("could not be written")))
        .await;
    for seq in 21..=23 {
        producer.batch(seq, "a", seq as i64).await;
        let answer = leaf.post(&[], REFUSED).await;
        assert_eq!(answer.status, 507, "{}", String::from_utf8_lossy(&answer.body));
    }
    match producer.hear().await {
        FromLeaf::Busy { seq: 21, reason: BusyReason::DiskFailed, .. } => {}
        other => panic!("{other:?}"),
    }
    let mut late = Producer::connect(&cluster, &leaf).await;
    late.say(countree_common::wire::producer::ToLeaf::Open(countree_common::session::SessionId(8))).await;
    assert!(matches!(late.hear().await, FromLeaf::Busy { seq: 0, .. }));
    assert_eq!(fault.calls_after.load(SeqCst), usize::from(kind == Call::Append), "the log is left alone");
    assert!(leaf.trouble().is_some());
    leaf.kill();
    let answered = in_time(in_doubt).await.unwrap();
    assert!(answered.is_err(), "what the fsync was for is never answered: {answered:?}");

    faults::remove(&cluster.data());
    let leaf = cluster.leaf().await;
    let mut producer = Producer::connect(&cluster, &leaf).await;
    assert_eq!(producer.resume(7).await, 20);
    for seq in 21..=23 {
        producer.batch(seq, "a", seq as i64).await;
    }
    producer.acked(23).await;
    total_becomes(&cluster.root, "a", sum_to(23)).await;
    total_becomes(&cluster.root, "b", 1).await;
    leaf.stop().await;
    assert_eq!((cluster.root.total("t", "a"), cluster.root.total("t", "b")), (sum_to(23), 1));
    assert_eq!(cluster.root.total("t", "refused"), 0);
    assert!(cluster.root.total("t", "in doubt") <= 1);
}

#[tokio::test]
async fn after_one_failed_fsync_nothing_is_acked_by_that_process() {
    nothing_is_acked_after(Call::Sync).await;
}

#[tokio::test]
async fn after_one_failed_write_nothing_is_acked_by_that_process() {
    nothing_is_acked_after(Call::Append).await;
}
