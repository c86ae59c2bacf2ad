//! Serves `DELETE /v1/topics/{topic}`: sets a topic's counters to 0, or those of one item or kind. With `forget=true`
//! the topic is [gone](super::forgets).

use super::core_requests::{RESET_TIMEOUT, reset_here};
use super::forgets;
use super::http_state::HttpState;
use super::owners;
use super::refusals::refusal;
use super::request::idempotency_key;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::delete};
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::key::{Item, Kind, NameError, Topic};
use countree_common::shell::access::Right;
use countree_common::shell::http::error;
use countree_common::shell::peers::PeerError;
use countree_common::shell::routes::Parameters;
use countree_common::wire::rpc::{Reply, Request, Reset, SubmitError};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetQuery {
    item: Option<String>,
    kind: Option<String>,
    #[serde(default)]
    forget: bool,
}

pub(super) fn router(state: HttpState) -> Router {
    Router::new().route("/v1/topics/{*topic}", delete(reset)).with_state(state)
}

async fn reset(
    State(state): State<HttpState>,
    Path(topic): Path<String>,
    Parameters(query): Parameters<ResetQuery>,
    headers: HeaderMap,
) -> Response {
    if let Err(e) = state.access.check_headers(&headers, Right::Reset) {
        return e.into_response();
    }
    if query.forget {
        if query.item.is_some() || query.kind.is_some() {
            let message = "forget=true is about a whole topic: leave item and kind out. Nothing changed";
            return error(StatusCode::BAD_REQUEST, "bad_query", message, None);
        }
        return forgets::answer(&state, &topic).await;
    }
    let key = match idempotency_key(&headers) {
        // Without a key it is no repeat of anything.
        Ok(key) => key.unwrap_or_default(),
        Err(e) => return refusal(&SubmitError::Refused(e)),
    };
    let reset = match named(key, &topic, &query) {
        Ok(reset) => reset,
        Err(e) => return error(StatusCode::BAD_REQUEST, "bad_name", e.to_string(), None),
    };
    match pass_on(&state, reset).await {
        Ok(()) => Json(serde_json::json!({ "reset": true, "durability": "disk" })).into_response(),
        Err(e) => refusal(&e),
    }
}

fn named(key: u128, topic: &str, query: &ResetQuery) -> Result<Reset, NameError> {
    Ok(Reset {
        key,
        topic: Topic::new(topic)?,
        item: query.item.as_deref().map(Item::new).transpose()?,
        kind: query.kind.as_deref().map(Kind::new).transpose()?,
    })
}

/// Has the key's owner do it; when the ring changes on the way, the next owner.
async fn pass_on(state: &HttpState, reset: Reset) -> Result<(), SubmitError> {
    let mut tried = 0;
    loop {
        let view = state.membership.view().borrow().clone();
        let leaf = if reset.key == 0 { state.me.clone() } else { state.owners.owner(&view, reset.key)? };
        tried += 1;
        match reset_at(state, &view, &leaf, reset.clone()).await {
            Err(SubmitError::NotOwner { epoch }) if tried < owners::TRIES => {
                owners::agree(&state.membership, epoch).await;
            }
            result => return result,
        }
    }
}

async fn reset_at(
    state: &HttpState,
    view: &ClusterView,
    leaf: &NodeName,
    reset: Reset,
) -> Result<(), SubmitError> {
    if *leaf == state.me {
        return reset_here(&state.core, reset).await;
    }
    let Some(node) = view.node(leaf) else { return Err(SubmitError::Unreachable) };
    match state.membership.peers().call_within(node, &Request::Reset(reset), RESET_TIMEOUT).await {
        Ok(Reply::Submitted(result)) => result,
        Err(PeerError::Unreachable { .. }) => Err(SubmitError::Unreachable),
        Ok(_) | Err(_) => Err(SubmitError::InDoubt),
    }
}
