//! The leaves that are away, cached per epoch, so that answers can name them: their events may be missing.

use countree_common::cluster::{ClusterView, NodeName};
use countree_common::shell::membership::Membership;
use countree_common::shell::peers::PeerError;
use countree_common::wire::rpc::{Reply, Request};
use std::sync::{Arc, Mutex, PoisonError};

/// The members of the cluster, by the registry in the store.
#[derive(Debug, Clone)]
pub(super) struct Away {
    /// The live nodes.
    pub(super) view: ClusterView,
    /// Leaves that are not live and may hold events that are not merged.
    pub(super) away: Vec<NodeName>,
}

/// Asks a root for the members.
///
/// # Errors
/// When no root answers.
pub(super) async fn members(membership: &Membership) -> Result<Away, PeerError> {
    match membership.ask_a_root(&Request::Members).await? {
        Reply::Members { view, away } => Ok(Away { view, away }),
        _ => Err(PeerError::Mismatched),
    }
}

/// The last answer of a root. The set of leaves that are away changes with the epoch alone.
#[derive(Debug, Default)]
pub(super) struct AwayCache {
    last: Mutex<Option<Arc<Away>>>,
}

impl AwayCache {
    /// Returns the leaves that are away. Roots are asked only while one may be, and then once per epoch;
    /// while no root answers, all that may be away are named.
    pub(super) async fn names(&self, membership: &Membership) -> Vec<NodeName> {
        match self.names_or_all(membership).await {
            Ok(names) | Err(names) => names,
        }
    }

    /// Returns the same leaves, as an error while no root answers.
    pub(super) async fn names_or_all(&self, membership: &Membership) -> Result<Vec<NodeName>, Vec<NodeName>> {
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
