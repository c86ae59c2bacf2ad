//! `POST /v1/events`: any leaf takes any event, and passes on requests whose first idempotency key another leaf
//! remembers.

use super::counting::count;
use super::inputs::CoreHandle;
use super::owners::Owners;
use super::request::{Parsed, key_hash};
use super::resets;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use countree_common::cluster::NodeName;
use countree_common::limits;
use countree_common::shell::access::{Access, Right};
use countree_common::shell::http::error;
use countree_common::shell::membership::Membership;
use countree_common::shell::routes::without_parameters;
use countree_common::wire::producer::{BusyReason, EventError, EventErrorCode};
use countree_common::wire::rpc::SubmitError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bodies that are read at once, and then requests that are counted at once; more are shed.
const REQUESTS: usize = 256;
/// A body that is not there in full by then is not read further.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

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
        Ok(Err(e)) if is_too_large(&e) => return too_large(),
        Ok(Err(_)) => {
            let message = "the body broke off: nothing was counted; send all of it";
            return error(StatusCode::BAD_REQUEST, "malformed", message, None);
        }
        Err(_) => {
            let message = format!("the body has to be here within {} s", BODY_TIMEOUT.as_secs());
            return error(StatusCode::REQUEST_TIMEOUT, "timeout", message, None);
        }
    };
    drop(reading);
    // Slow clients hold up other slow clients only.
    let Ok(_counting) = front.requests.clone().try_acquire_owned() else { return shed() };
    let result = match (idempotency_key(&headers), Parsed::read(&body)) {
        (Ok(key), Ok(parsed)) => {
            let accepted = parsed.events.len();
            count(&front, parsed, key).await.map(|counted| (accepted, counted))
        }
        (Err(e), _) | (_, Err(e)) => Err(SubmitError::Refused(e)),
    };
    match result {
        Ok((accepted, counted)) => {
            let mut body = serde_json::json!({ "accepted": accepted, "durability": "disk" });
            if counted.is_replay {
                body["replayed"] = true.into();
            }
            (StatusCode::ACCEPTED, Json(body)).into_response()
        }
        Err(e) => refusal(&e),
    }
}

/// Whether a body is larger than is read; else its sender broke off.
fn is_too_large(e: &axum::Error) -> bool {
    let mut source = std::error::Error::source(e);
    while let Some(cause) = source {
        if cause.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = cause.source();
    }
    false
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<u128>, EventError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(EventError {
            code: EventErrorCode::Malformed,
            message: "the request has several Idempotency-Key headers: send one".into(),
            index: None,
        });
    }
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
        BusyReason::UnderWay => (StatusCode::CONFLICT, "in_doubt"),
        BusyReason::DiskFailed => (StatusCode::INSUFFICIENT_STORAGE, "disk_failed"),
        BusyReason::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "disk_full"),
    };
    retry(status, code, reason.to_string(), retry_after_ms.div_ceil(1_000))
}

fn retry(status: StatusCode, code: &str, message: String, seconds: u32) -> Response {
    ([(header::RETRY_AFTER, seconds.max(1).to_string())], error(status, code, message, None)).into_response()
}
