//! `POST /v1/events`: any leaf takes any event, and passes on those whose idempotency key another leaf remembers.

use super::inputs::{CoreHandle, Input};
use super::owners::{self, Owners};
use super::request::{Parsed, key_hash};
use super::resets;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use countree_common::cluster::NodeName;
use countree_common::event::Event;
use countree_common::limits;
use countree_common::shell::access::{Access, Right};
use countree_common::shell::http::error;
use countree_common::shell::membership::Membership;
use countree_common::shell::peers::PeerError;
use countree_common::shell::routes::without_parameters;
use countree_common::wire::producer::{BusyReason, EventError, EventErrorCode};
use countree_common::wire::rpc::{Idempotency, Reply, Request, Submission, SubmitError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bodies that are read at once, and then requests that are counted at once; more are shed.
const REQUESTS: usize = 256;
/// A body that is not there in full by then is not read further.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// A leaf that does not answer for so long leaves the request in doubt.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the route needs.
#[derive(Debug, Clone)]
pub(super) struct Front {
    pub(super) me: NodeName,
    pub(super) core: CoreHandle,
    pub(super) membership: Membership,
    pub(super) access: Access,
    bodies: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    pub(super) owners: Owners,
}

impl Front {
    pub(super) fn new(me: NodeName, core: CoreHandle, membership: Membership, access: Access) -> Self {
        Self {
            me,
            core,
            membership,
            access,
            bodies: Arc::new(Semaphore::new(REQUESTS)),
            requests: Arc::new(Semaphore::new(REQUESTS)),
            owners: Owners::default(),
        }
    }

    pub(super) fn router(self) -> Router {
        let events = post(events).layer(from_fn(without_parameters));
        Router::new().route("/v1/events", events).with_state(self.clone()).merge(resets::router(self))
    }
}

async fn events(State(front): State<Front>, headers: HeaderMap, body: Body) -> Response {
    if let Err(e) = front.access.check_headers(&headers, Right::Send) {
        return e.into_response();
    }
    let shed = || busy(BusyReason::Overload, 1_000);
    let Ok(reading) = front.bodies.clone().try_acquire_owned() else { return shed() };
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
    let body = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, limits::HTTP_BODY_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return too_large(),
        Err(_) => {
            let message = format!("the body has to be here within {} s", BODY_TIMEOUT.as_secs());
            return error(StatusCode::REQUEST_TIMEOUT, "timeout", message, None);
        }
    };
    drop(reading);
    // Slow clients hold up other slow clients only.
    let Ok(_counting) = front.requests.clone().try_acquire_owned() else { return shed() };
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
        let idempotency = Idempotency::Request { key, content: parsed.content_hash() };
        submit_to_owner(front, key, Submission { events: parsed.events, idempotency }).await?;
    } else if parsed.has_ids() {
        count_by_id(front, parsed).await?;
    } else {
        submit(front, &front.me, Submission { events: parsed.events, idempotency: Idempotency::None })
            .await?;
    }
    Ok(accepted)
}

/// The key's owner counts it; when the ring changes on the way, the next one.
async fn submit_to_owner(front: &Front, key: u128, submission: Submission) -> Result<(), SubmitError> {
    let mut tried = 0;
    loop {
        let view = front.membership.view().borrow().clone();
        let owner = front.owners.owner(&view, key)?;
        tried += 1;
        match submit(front, &owner, submission.clone()).await {
            Err(SubmitError::NotOwner { epoch }) if tried < owners::TRIES => {
                owners::agree(&front.membership, epoch).await;
            }
            result => return result,
        }
    }
}

/// Each event goes to the leaf that remembers its id. Once one leaf has counted its part, a failure of
/// another leaves the request in doubt; its repeat, under the same ids, completes it.
async fn count_by_id(front: &Front, parsed: Parsed) -> Result<(), SubmitError> {
    let events = parsed.events.into_iter().zip(parsed.keys);
    let (mut keyed, unnamed): (Vec<_>, Vec<_>) = events.partition(|(_, key)| *key != 0);
    let mut is_begun = false;
    let mut tried = 0;
    while !keyed.is_empty() {
        let mut newer = None;
        tried += 1;
        let parts = by_owner(front, std::mem::take(&mut keyed));
        for (leaf, part) in parts.map_err(|e| doubted(is_begun, e))? {
            let (events, keys) = part.iter().cloned().unzip();
            let submission = Submission { events, idempotency: Idempotency::Events(keys) };
            match submit(front, &leaf, submission).await {
                Ok(()) => is_begun = true,
                Err(SubmitError::NotOwner { epoch }) if tried < owners::TRIES => {
                    newer = Some(epoch);
                    keyed.extend(part);
                }
                Err(e) => return Err(doubted(is_begun, e)),
            }
        }
        if let Some(epoch) = newer {
            owners::agree(&front.membership, epoch).await;
        }
    }
    if unnamed.is_empty() {
        return Ok(());
    }
    // Last, since nothing makes a repeat of these harmless.
    let events = unnamed.into_iter().map(|(event, _)| event).collect();
    let part = Submission { events, idempotency: Idempotency::None };
    submit(front, &front.me, part).await.map_err(|e| doubted(is_begun, e))
}

/// What becomes of a request of which a part was refused.
fn doubted(is_begun: bool, refused: SubmitError) -> SubmitError {
    if is_begun { SubmitError::InDoubt } else { refused }
}

type Keyed = Vec<(Event, u128)>;

fn by_owner(front: &Front, keyed: Keyed) -> Result<BTreeMap<NodeName, Keyed>, SubmitError> {
    let view = front.membership.view().borrow().clone();
    let mut parts: BTreeMap<NodeName, Keyed> = BTreeMap::new();
    for (event, key) in keyed {
        parts.entry(front.owners.owner(&view, key)?).or_default().push((event, key));
    }
    Ok(parts)
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
        SubmitError::Away(_) => retry(StatusCode::CONFLICT, "in_doubt", message, 5),
        SubmitError::KeyLost => error(StatusCode::CONFLICT, "in_doubt", message, None),
        SubmitError::Unreachable => retry(StatusCode::SERVICE_UNAVAILABLE, "unreachable", message, 1),
        SubmitError::NotOwner { .. } => retry(StatusCode::SERVICE_UNAVAILABLE, "not_owner", message, 1),
        SubmitError::Draining => retry(StatusCode::SERVICE_UNAVAILABLE, "draining", message, 1),
        SubmitError::InDoubt => error(StatusCode::CONFLICT, "in_doubt", message, None),
    }
}

fn busy(reason: BusyReason, retry_after_ms: u32) -> Response {
    let (status, code) = match reason {
        BusyReason::Overload => (StatusCode::SERVICE_UNAVAILABLE, "overload"),
        BusyReason::TableFull => (StatusCode::SERVICE_UNAVAILABLE, "table_full"),
        BusyReason::Joining => (StatusCode::SERVICE_UNAVAILABLE, "joining"),
        BusyReason::DiskFailed => (StatusCode::INSUFFICIENT_STORAGE, "disk_failed"),
        BusyReason::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "disk_full"),
    };
    retry(status, code, reason.to_string(), retry_after_ms.div_ceil(1_000))
}

fn retry(status: StatusCode, code: &str, message: String, seconds: u32) -> Response {
    ([(header::RETRY_AFTER, seconds.max(1).to_string())], error(status, code, message, None)).into_response()
}
