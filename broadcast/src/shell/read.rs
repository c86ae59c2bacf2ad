//! Reads of a topic from the store, through a root.

use super::snapshot_cache::SnapshotCache;
use countree_common::cluster::NodeName;
use countree_common::document::{Snapshot, TopicView, Version, counts};
use countree_common::key::Topic;
use countree_common::shell::membership::Membership;
use countree_common::shell::peers::PeerError;
use countree_common::stamp::Stamp;
use std::time::Duration;

/// A root that has not answered in full by then is skipped.
const ROOT_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the topic from the store; `None` when nothing was ever counted in it, or it is forgotten.
///
/// # Errors
/// When no root answers.
pub(super) async fn topic(
    membership: &Membership,
    cache: &SnapshotCache,
    topic: &Topic,
) -> Result<Option<TopicView>, PeerError> {
    // Both are taken before the read, so that events merged by then are in the result.
    let watermark = cache.watermark(topic);
    let away = cache.away.names(membership).await;
    Ok(shown(snapshot(membership, cache, topic).await?, watermark, away))
}

/// Reads the topic's snapshot; empty and at 0-0 when nothing was ever counted.
///
/// # Errors
/// When no root answers.
pub(super) async fn snapshot(
    membership: &Membership,
    cache: &SnapshotCache,
    topic: &Topic,
) -> Result<Snapshot, PeerError> {
    let roots = cache.roots();
    let mut error = PeerError::Failed("no root is known yet".into());
    for root in roots.for_topic(topic) {
        let reading = membership.peers().read(root, topic);
        match tokio::time::timeout(ROOT_TIMEOUT, reading).await {
            Ok(Ok(snapshot)) => return Ok(snapshot),
            Ok(Err(e)) => error = e,
            Err(_) => {
                let (name, address) = (root.name.to_string(), root.quic);
                error = PeerError::Timeout { name, address, limit: ROOT_TIMEOUT };
            }
        }
    }
    Err(error)
}

/// Converts a snapshot to the view that HTTP clients get.
pub(super) fn shown(snapshot: Snapshot, watermark: Stamp, away: Vec<NodeName>) -> Option<TopicView> {
    let Snapshot { topic, version, totals } = snapshot;
    let complete_to = watermark.completes(version);
    // A topic without counters is forgotten, or nothing was ever counted in it.
    let is_counted = !totals.is_empty();
    let Version { era, number } = version;
    is_counted.then(|| TopicView {
        topic,
        era,
        version: number,
        complete_to,
        away,
        counts: counts(totals),
        is_snapshot: true,
    })
}
