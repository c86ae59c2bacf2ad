//! Which leaves are away, so that answers can name them: their events may be missing.

use super::board::Board;
use super::core::Input;
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::shell::membership::Membership;
use countree_common::shell::peers::PeerError;
use countree_common::wire::rpc::{Reply, Request};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// As long as no root answers, one is asked again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Who is in the cluster, by the store's word.
#[derive(Debug, Clone)]
pub(super) struct Away {
    /// The live nodes.
    pub(super) view: ClusterView,
    /// Leaves that are not live and may hold events that are not merged.
    pub(super) away: Vec<NodeName>,
}

/// Asks a root.
///
/// # Errors
/// When none answers.
pub(super) async fn members(membership: &Membership) -> Result<Away, PeerError> {
    match membership.ask_a_root(&Request::Members).await? {
        Reply::Members { view, away } => Ok(Away { view, away }),
        _ => Err(PeerError::Mismatched),
    }
}

/// What was last heard. Who is away changes with the epoch alone.
#[derive(Debug, Default)]
pub(super) struct AwayBoard {
    last: Mutex<Option<Arc<Away>>>,
}

impl AwayBoard {
    /// The leaves that are away. Roots are asked only while one may be, and then once an epoch; as long as none
    /// answers, all that may be away are named.
    pub(super) async fn names(&self, membership: &Membership) -> Vec<NodeName> {
        match self.names_or_all(membership).await {
            Ok(names) | Err(names) => names,
        }
    }

    /// The same, and as an error as long as no root answers.
    async fn names_or_all(&self, membership: &Membership) -> Result<Vec<NodeName>, Vec<NodeName>> {
        let view = membership.view().borrow().clone();
        let may_be_away: Vec<NodeName> = view.may_be_away().cloned().collect();
        if may_be_away.is_empty() {
            return Ok(may_be_away);
        }
        let known = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| known.view.epoch == view.epoch) {
            return Ok(known.away.clone());
        }
        let Ok(heard) = members(membership).await else { return Err(may_be_away) };
        let away = heard.away.clone();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(heard));
        Ok(away)
    }
}

/// Keeps the core told who is away, until it ends.
pub(super) async fn follow(membership: Membership, board: Arc<Board>, core: mpsc::Sender<Input>) {
    let mut view = membership.view();
    loop {
        view.borrow_and_update();
        let names = board.away.names_or_all(&membership).await;
        let is_sure = names.is_ok();
        let (Ok(names) | Err(names)) = names;
        if core.send(Input::Away(names)).await.is_err() {
            return;
        }
        tokio::select! {
            changed = view.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(ASK_AGAIN), if !is_sure => {}
            () = core.closed() => return,
        }
    }
}
