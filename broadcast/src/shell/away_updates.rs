//! A task that keeps the core informed about the leaves that are away.

use super::input::BroadcastInput;
use super::snapshot_cache::SnapshotCache;
use countree_common::shell::membership::Membership;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The interval between questions while no root answers.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Sends the core the leaves that are away whenever they change, until the core ends.
pub(super) async fn follow(
    membership: Membership,
    cache: Arc<SnapshotCache>,
    core: mpsc::Sender<BroadcastInput>,
) {
    let mut view = membership.view();
    loop {
        view.borrow_and_update();
        let names = cache.away.names_or_all(&membership).await;
        let is_sure = names.is_ok();
        let (Ok(names) | Err(names)) = names;
        if core.send(BroadcastInput::Away(names)).await.is_err() {
            return;
        }
        tokio::select! {
            changed = view.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(ASK_AGAIN), if !is_sure => {}
            () = core.closed() => return,
        }
    }
}
