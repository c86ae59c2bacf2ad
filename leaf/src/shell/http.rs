//! Serves `POST /v1/events`: any leaf takes any event, and passes on requests whose first idempotency key another leaf
//! remembers.

use super::counting::count;
use super::http_state::HttpState;
use super::refusals::{busy, refusal};
use super::request::{Parsed, idempotency_key};
use super::resets;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use countree_common::limits;
use countree_common::shell::access::Right;
use countree_common::shell::http::error;
use countree_common::shell::routes::without_parameters;
use countree_common::wire::producer::BusyReason;
use countree_common::wire::rpc::SubmitError;
use std::time::Duration;

/// A body that is not there in full by then is not read further.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// All routes of a leaf.
pub(super) fn router(state: HttpState) -> Router {
    let events = post(events).layer(from_fn(without_parameters));
    Router::new().route("/v1/events", events).with_state(state.clone()).merge(resets::router(state))
}

async fn events(State(state): State<HttpState>, headers: HeaderMap, body: Body) -> Response {
    if let Err(e) = state.access.check_headers(&headers, Right::Send) {
        return e.into_response();
    }
    let shed = || busy(BusyReason::Overload, 1_000);
    let Ok(reading) = state.bodies.clone().try_acquire_owned() else { return shed() };
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
    let Ok(_counting) = state.requests.clone().try_acquire_owned() else { return shed() };
    let result = match (idempotency_key(&headers), Parsed::read(&body)) {
        (Ok(key), Ok(parsed)) => {
            let accepted = parsed.events.len();
            count(&state, parsed, key).await.map(|counted| (accepted, counted))
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
