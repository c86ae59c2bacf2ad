//! `POST /v1/events`: any leaf takes any event, and passes on those whose idempotency key another leaf remembers.

use super::core::{CoreHandle, Input};
use super::owners::Owners;
use super::request::{Parsed, key_hash};
use super::resets;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use countree_common::cluster::NodeName;
use countree_common::limits;
use countree_common::shell::access::{Access, Right};
use countree_common::shell::http::error;
use countree_common::shell::membership::Membership;
use countree_common::shell::peers::PeerError;
use countree_common::wire::producer::{BusyReason, EventError, EventErrorCode};
use countree_common::wire::rpc::{Idempotency, Reply, Request, Submission, SubmitError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Requests that are read and counted at once; more are shed.
const REQUESTS: usize = 256;
/// A leaf that does not answer for so long leaves the request in doubt.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the route needs.
#[derive(Debug, Clone)]
pub(super) struct Front {
    pub(super) me: NodeName,
    pub(super) core: CoreHandle,
    pub(super) membership: Membership,
    pub(super) access: Access,
    pub(super) requests: Arc<Semaphore>,
    pub(super) owners: Owners,
}

impl Front {
    pub(super) fn new(me: NodeName, core: CoreHandle, membership: Membership, access: Access) -> Self {
        Self {
            me,
            core,
            membership,
            access,
            requests: Arc::new(Semaphore::new(REQUESTS)),
            owners: Owners::default(),
        }
    }

    pub(super) fn router(self) -> Router {
        Router::new().route("/v1/events", post(events)).with_state(self.clone()).merge(resets::router(self))
    }
}

async fn events(State(front): State<Front>, headers: HeaderMap, body: Body) -> Response {
    if let Err(e) = front.access.check_headers(&headers, Right::Send) {
        return e.into_response();
    }
    let Ok(_permit) = front.requests.clone().try_acquire_owned() else {
        return busy(BusyReason::Overload, 1_000);
    };
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    let too_large = || {
        let message =
            format!("the body takes at most {} bytes: send several requests", limits::HTTP_BODY_BYTES);
        error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message, None)
    };
    if declared.is_some_and(|bytes| bytes > limits::HTTP_BODY_BYTES as u64) {
        return too_large();
    }
    let Ok(body) = to_bytes(body, limits::HTTP_BODY_BYTES).await else { return too_large() };
    let result = match idempotency_key(&headers) {
        Ok(key) => match Parsed::read(&body) {
            Ok(parsed) => count(&front, parsed, key).await,
            Err(e) => Err(SubmitError::Refused(e)),
        },
        Err(e) => Err(SubmitError::Refused(e)),
    };
    match result {
        Ok(accepted) => {
            let body = serde_json::json!({ "accepted": accepted, "durability": "disk" });
            (StatusCode::ACCEPTED, Json(body)).into_response()
        }
        Err(e) => refusal(&e),
    }
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<u128>, EventError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let bytes = value.as_bytes();
    match value.to_str() {
        Ok(key) if (1..=limits::IDEMPOTENCY_KEY_BYTES).contains(&bytes.len()) => {
            Ok(Some(key_hash("request", key)))
        }
        _ => Err(EventError {
            code: EventErrorCode::BadName,
            message: format!(
                "Idempotency-Key takes 1 to {} visible ASCII characters",
                limits::IDEMPOTENCY_KEY_BYTES
            ),
            index: None,
        }),
    }
}

/// Counts a request's events; returns how many there are.
async fn count(front: &Front, parsed: Parsed, key: Option<u128>) -> Result<usize, SubmitError> {
    let accepted = parsed.events.len();
    if let Some(key) = key {
        let content = parsed.content_hash();
        let owner = front.owners.owner(&front.membership, key).await?;
        let idempotency = Idempotency::Request { key, content };
        submit(front, &owner, Submission { events: parsed.events, idempotency }).await?;
    } else if parsed.has_ids() {
        count_by_id(front, parsed).await?;
    } else {
        submit(front, &front.me, Submission { events: parsed.events, idempotency: Idempotency::None })
            .await?;
    }
    Ok(accepted)
}

/// Each event goes to the leaf that remembers its id. Once one leaf has counted its part, a failure of
/// another leaves the request in doubt; its repeat, under the same ids, completes it.
async fn count_by_id(front: &Front, parsed: Parsed) -> Result<(), SubmitError> {
    let mut parts: BTreeMap<NodeName, (Vec<_>, Vec<u128>)> = BTreeMap::new();
    for (event, key) in parsed.events.into_iter().zip(parsed.keys) {
        let owner =
            if key == 0 { front.me.clone() } else { front.owners.owner(&front.membership, key).await? };
        let (events, keys) = parts.entry(owner).or_default();
        events.push(event);
        keys.push(key);
    }
    for (done, (leaf, (events, keys))) in parts.into_iter().enumerate() {
        let part = Submission { events, idempotency: Idempotency::Events(keys) };
        submit(front, &leaf, part).await.map_err(|e| if done == 0 { e } else { SubmitError::InDoubt })?;
    }
    Ok(())
}

async fn submit(front: &Front, leaf: &NodeName, submission: Submission) -> Result<(), SubmitError> {
    if *leaf == front.me {
        return submit_here(&front.core, submission).await;
    }
    let is_repeatable = submission.idempotency != Idempotency::None;
    let node = front.membership.view().borrow().node(leaf).cloned();
    let Some(node) = node else { return Err(SubmitError::Draining) };
    let request = Request::Submit(submission);
    let mut result = front.membership.peers().call(&node, &request).await;
    if is_repeatable && matches!(result, Err(PeerError::Stream(_) | PeerError::Timeout)) {
        result = front.membership.peers().call(&node, &request).await;
    }
    match result {
        Ok(Reply::Submitted(result)) => result,
        Err(PeerError::Unreachable { .. }) => Err(SubmitError::Draining),
        Ok(_) | Err(_) => Err(SubmitError::InDoubt),
    }
}

/// Counts on this leaf, and waits until that is durable.
pub(super) async fn submit_here(core: &CoreHandle, submission: Submission) -> Result<(), SubmitError> {
    let answer = core.ask(|reply| Input::Submission { submission, reply });
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(Some(result)) => result,
        Ok(None) | Err(_) => Err(SubmitError::InDoubt),
    }
}

pub(super) fn refusal(e: &SubmitError) -> Response {
    let message = e.to_string();
    match e {
        SubmitError::Refused(refused) => {
            let (status, code) = match refused.code {
                EventErrorCode::Malformed => (StatusCode::BAD_REQUEST, "malformed"),
                EventErrorCode::BadName => (StatusCode::BAD_REQUEST, "bad_name"),
                EventErrorCode::BadDelta => (StatusCode::BAD_REQUEST, "bad_delta"),
                EventErrorCode::TotalOverflow => (StatusCode::BAD_REQUEST, "total_overflow"),
                EventErrorCode::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
                EventErrorCode::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "key_reused"),
            };
            error(status, code, message, refused.index)
        }
        SubmitError::Busy { reason, retry_after_ms } => busy(*reason, *retry_after_ms),
        SubmitError::Away(_) => retry(StatusCode::SERVICE_UNAVAILABLE, "leaf_away", message, 5),
        SubmitError::Unreachable => retry(StatusCode::SERVICE_UNAVAILABLE, "unreachable", message, 1),
        SubmitError::Draining => retry(StatusCode::SERVICE_UNAVAILABLE, "draining", message, 1),
        SubmitError::InDoubt => error(StatusCode::CONFLICT, "in_doubt", message, None),
    }
}

fn busy(reason: BusyReason, retry_after_ms: u32) -> Response {
    let (status, code) = match reason {
        BusyReason::Overload => (StatusCode::SERVICE_UNAVAILABLE, "overload"),
        BusyReason::TableFull => (StatusCode::SERVICE_UNAVAILABLE, "table_full"),
        BusyReason::DiskFailed => (StatusCode::INSUFFICIENT_STORAGE, "disk_failed"),
        BusyReason::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "disk_full"),
    };
    retry(status, code, reason.to_string(), retry_after_ms.div_ceil(1_000))
}

fn retry(status: StatusCode, code: &str, message: String, seconds: u32) -> Response {
    ([(header::RETRY_AFTER, seconds.max(1).to_string())], error(status, code, message, None)).into_response()
}
