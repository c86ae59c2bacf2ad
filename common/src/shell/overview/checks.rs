//! The comparison of documents with ledgers, requested from the root that makes it.

use super::Unanswered;
use crate::audit::StoreCheck;
use crate::cluster::{ClusterView, Node, Tier};
use crate::shell::membership::Membership;
use crate::shell::peers::PeerError;
use crate::wire::rpc::{Reply, Request};
use axum::http::StatusCode;
use std::time::Duration;

/// The interval of questions whether a full round is over.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// Time limit of a full round.
const FULL_ROUND: Duration = Duration::from_secs(3_600);

struct Checked {
    check: Option<StoreCheck>,
    full_begun: u64,
    full_ended: u64,
    trouble: Option<String>,
}

async fn ask(membership: &Membership, root: &Node, full: bool) -> Result<Checked, PeerError> {
    match membership.peers().call(root, &Request::Check { full }).await? {
        Reply::Checked { check, full_begun, full_ended, trouble } => {
            Ok(Checked { check, full_begun, full_ended, trouble })
        }
        _ => Err(PeerError::Mismatched),
    }
}

/// Asks for the result of the last round; `None` when the root that reads has not ended one yet, or does not
/// answer.
pub(super) async fn last_check(membership: &Membership, view: &ClusterView) -> Option<StoreCheck> {
    let root = view.tier(Tier::Root).next()?;
    match ask(membership, root, false).await {
        Ok(checked) => checked.check,
        Err(e) => {
            tracing::info!("{} does not say what the store holds: {e}", root.name);
            None
        }
    }
}

/// Requests a full round now, and waits for it.
pub(super) async fn check_all(membership: &Membership, view: &ClusterView) -> Result<StoreCheck, Unanswered> {
    let root = view.tier(Tier::Root).next().ok_or_else(|| PeerError::Failed("no root is known".into()))?;
    let wanted = ask(membership, root, true).await?.full_begun + 1;
    let reading = async {
        loop {
            let Checked { check, full_begun, full_ended, trouble } = ask(membership, root, false).await?;
            match (check, trouble) {
                (_, Some(reason)) if full_ended >= wanted => return Err(PeerError::Failed(reason)),
                (Some(check), None) if full_ended >= wanted => return Ok(check),
                _ if full_begun + 1 < wanted => {
                    return Err(PeerError::Failed("the root has started anew: repeat".into()));
                }
                _ => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
    };
    match tokio::time::timeout(FULL_ROUND, reading).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Unanswered::Refused {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "unavailable",
            message: "the documents can't be read within an hour: is the store overloaded?".into(),
        }),
    }
}
