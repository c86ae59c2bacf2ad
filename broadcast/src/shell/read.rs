//! Reading a topic fresh from the store, through a root.

use super::board::Board;
use countree_common::cluster::NodeName;
use countree_common::document::{Snapshot, TopicView, Version, counts};
use countree_common::key::Topic;
use countree_common::shell::membership::Membership;
use countree_common::shell::peers::PeerError;
use countree_common::stamp::Stamp;
use std::time::Duration;

/// A root that has not answered in full by then is passed over.
const ROOT_TIMEOUT: Duration = Duration::from_secs(2);

/// The topic as the store has it; `None` when nothing was ever counted in it, or it is forgotten.
///
/// # Errors
/// When no root answers.
pub(super) async fn topic(
    membership: &Membership,
    board: &Board,
    topic: &Topic,
) -> Result<Option<TopicView>, PeerError> {
    // Both taken before the read: what was merged by then is in what is read.
    let watermark = board.watermark(topic);
    let away = board.away.names(membership).await;
    Ok(shown(snapshot(membership, board, topic).await?, watermark, away))
}

/// The same as the root sends it; empty and at 0-0 when nothing was ever counted.
///
/// # Errors
/// When no root answers.
pub(super) async fn snapshot(
    membership: &Membership,
    board: &Board,
    topic: &Topic,
) -> Result<Snapshot, PeerError> {
    let roots = board.roots();
    let mut error = PeerError::Failed("no root is known yet".into());
    for root in roots.for_topic(topic) {
        let reading = membership.peers().read(root, topic);
        match tokio::time::timeout(ROOT_TIMEOUT, reading).await {
            Ok(Ok(snapshot)) => return Ok(snapshot),
            Ok(Err(e)) => error = e,
            Err(_) => error = PeerError::Timeout,
        }
    }
    Err(error)
}

/// As people read it.
pub(super) fn shown(snapshot: Snapshot, watermark: Stamp, away: Vec<NodeName>) -> Option<TopicView> {
    let Snapshot { topic, version, totals } = snapshot;
    let complete_to = watermark.completes(version);
    // One without counters is forgotten, or nothing was ever counted in it.
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
