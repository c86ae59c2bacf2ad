//! Complete reads (`?wait=complete`): carries out the steps of a [`CompleteRead`], over QUIC.

use super::away::{self, Away};
use super::read;
use super::snapshot_cache::SnapshotCache;
use crate::machine::complete::{CompleteRead, Step};
use countree_common::cluster::{Node, NodeName};
use countree_common::document::{Snapshot, TopicView, Version};
use countree_common::key::Topic;
use countree_common::shell::membership::Membership;
use countree_common::wire::rpc::{Reply, Request};
use std::time::Duration;
use tokio::task::JoinSet;

/// A leaf that has not flushed by then is asked again, if it is still listed.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// The wait after a failed step.
const PAUSE: Duration = Duration::from_millis(100);

/// Not all events could be merged in time. Nothing changed.
#[derive(Debug, thiserror::Error)]
#[error("not everything acked before could be merged and read within {} s{}: ask again, or without wait=complete",
    .limit.as_secs(), waits_for(.leaves))]
pub(super) struct Incomplete {
    limit: Duration,
    leaves: Vec<NodeName>,
}

fn waits_for(leaves: &[NodeName]) -> String {
    if leaves.is_empty() {
        return String::new();
    }
    let names: Vec<_> = leaves.iter().map(NodeName::as_str).collect();
    format!(" (no answer from {})", names.join(", "))
}

/// Reads the topic with all events that live leaves had acked before the call; `None` when nothing was ever
/// counted in it.
///
/// # Errors
/// When that takes longer than `limit`.
pub(super) async fn topic(
    membership: &Membership,
    cache: &SnapshotCache,
    topic: &Topic,
    limit: Duration,
) -> Result<Option<TopicView>, Incomplete> {
    // Taken before the read, so that events merged by then are in the result.
    let watermark = cache.watermark(topic);
    let mut reading = CompleteRead::begin();
    match tokio::time::timeout(limit, run(&mut reading, membership, cache, topic)).await {
        Ok((snapshot, away)) => Ok(read::shown(snapshot, watermark, away)),
        Err(_) => Err(Incomplete { limit, leaves: reading.waits_for().cloned().collect() }),
    }
}

async fn run(
    reading: &mut CompleteRead,
    membership: &Membership,
    cache: &SnapshotCache,
    topic: &Topic,
) -> (Snapshot, Vec<NodeName>) {
    let mut flushes: JoinSet<(NodeName, Option<Version>)> = JoinSet::new();
    loop {
        match reading.poll_step() {
            Some(Step::Members) => {
                let members = away::members(membership).await.ok();
                reading.handle_members(members.map(|Away { view, away }| (view, away)));
            }
            Some(Step::Flush { leaf, read }) => {
                flushes.spawn(flush(membership.clone(), leaf, topic.clone(), read));
            }
            Some(Step::Read) => reading.handle_read(read::snapshot(membership, cache, topic).await.ok()),
            Some(Step::Wait) => {
                tokio::time::sleep(PAUSE).await;
                reading.handle_waited();
            }
            Some(Step::Done { snapshot, away }) => return (snapshot, away),
            None => {
                if let Some(Ok((leaf, version))) = flushes.join_next().await {
                    reading.handle_flushed(&leaf, version);
                }
            }
        }
    }
}

async fn flush(
    membership: Membership,
    leaf: Node,
    topic: Topic,
    read: Version,
) -> (NodeName, Option<Version>) {
    let request = Request::FlushTopic { topic, read };
    let version = match membership.peers().call_within(&leaf, &request, FLUSH_TIMEOUT).await {
        Ok(Reply::FlushedTopic(version)) => Some(version),
        Ok(_) | Err(_) => None,
    };
    (leaf.name, version)
}
