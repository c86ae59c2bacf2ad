//! The removal of nodes: gracefully while they live, for good when they are dead.

use super::{Office, Unanswered, members};
use crate::cluster::{NodeName, Tier};
use crate::shell::http::error;
use crate::shell::membership::Membership;
use crate::shell::peers::PeerError;
use crate::wire::rpc::{Reply, Request};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// The answer to `POST /v1/nodes/{name}/drain`: the node has begun to leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// The node.
    pub draining: NodeName,
    /// The node's tier.
    pub tier: Tier,
    /// The number of its start; a later start is not drained.
    pub incarnation: u64,
}

/// The answer to `DELETE /v1/nodes/{name}`: the leaf will not come back, and nothing waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// The leaf.
    pub forgotten: NodeName,
}

/// `POST /v1/nodes/{name}/drain`
pub(super) async fn drain(
    State(office): State<Office>,
    Path(name): Path<String>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    admitted(&office, &name, &headers, &extensions, async |name| {
        Ok((StatusCode::ACCEPTED, Json(begin_drain(&office.membership, &name).await?)))
    })
    .await
}

/// `DELETE /v1/nodes/{name}`
pub(super) async fn forget(
    State(office): State<Office>,
    Path(name): Path<String>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    admitted(&office, &name, &headers, &extensions, async |name| {
        Ok(Json(forget_leaf(&office.membership, name).await?))
    })
    .await
}

/// Runs a change if the request may make it.
async fn admitted<T: IntoResponse>(
    office: &Office,
    name: &str,
    headers: &HeaderMap,
    extensions: &Extensions,
    act: impl AsyncFnOnce(NodeName) -> Result<T, Unanswered>,
) -> Response {
    if let Err(e) = office.access.check_admin(headers, extensions) {
        return e.into_response();
    }
    let name = match NodeName::new(name) {
        Ok(name) => name,
        Err(e) => return error(StatusCode::BAD_REQUEST, "bad_name", e.to_string(), None),
    };
    match act(name).await {
        Ok(done) => done.into_response(),
        Err(unanswered) => unanswered.into_response(),
    }
}

async fn begin_drain(membership: &Membership, name: &NodeName) -> Result<Draining, Unanswered> {
    let (view, away) = members(membership).await?;
    let Some(node) = view.node(name) else {
        let what = if away.contains(name) {
            "is away: start it again to drain it, or give it up with countree drain --dead"
        } else {
            "is not in the cluster: countree status lists the nodes"
        };
        return Err(Unanswered::unknown(format!("{name} {what}")));
    };
    if view.tier(node.tier).count() == 1 {
        let message = format!("{name} is the only {} node: start another before it goes", node.tier);
        return Err(Unanswered::conflict("last_of_its_tier", message));
    }
    match membership.peers().call(node, &Request::Drain).await? {
        Reply::Done => {
            tracing::info!(node = %name, "asked to leave");
            Ok(Draining { draining: name.clone(), tier: node.tier, incarnation: node.incarnation })
        }
        _ => Err(PeerError::Mismatched.into()),
    }
}

async fn forget_leaf(membership: &Membership, name: NodeName) -> Result<Forgotten, Unanswered> {
    let (view, away) = members(membership).await?;
    if view.node(&name).is_some() && !away.contains(&name) {
        let message = format!("{name} lives: drain it instead, so that nothing is lost");
        return Err(Unanswered::conflict("alive", message));
    }
    if !away.contains(&name) {
        let message = format!("{name} is not a leaf that is away: there is nothing to give up");
        return Err(Unanswered::unknown(message));
    }
    match membership.ask_a_root(&Request::Forget(name.clone())).await? {
        Reply::Done => {
            tracing::warn!(leaf = %name, "given up: what it had accepted and not merged is lost, and its idempotency keys");
            Ok(Forgotten { forgotten: name })
        }
        _ => Err(PeerError::Mismatched.into()),
    }
}
