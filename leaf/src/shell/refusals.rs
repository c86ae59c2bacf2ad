//! Answers HTTP requests that are refused, each error with its status and code.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use countree_common::shell::http::error;
use countree_common::wire::producer::{BusyReason, EventErrorCode};
use countree_common::wire::rpc::SubmitError;

/// The response to a request that was not taken.
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

/// The response to a request that the leaf can't take at the moment.
pub(super) fn busy(reason: BusyReason, retry_after_ms: u32) -> Response {
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
