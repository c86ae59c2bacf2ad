//! `POST /v1/backups`: a copy of an embedded store, for those who may change the cluster.

use super::{Office, Unanswered};
use crate::shell::http::error;
use crate::shell::peers::PeerError;
use crate::wire::rpc::{Reply, Request};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// The file to write, on the root's machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    folder: String,
    /// Tells a repeat from another backup.
    id: String,
}

/// The answer to `POST /v1/backups`; the same request asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// Its size in bytes; `None` while it is written.
    pub bytes: Option<u64>,
}

pub(super) async fn take(
    State(office): State<Office>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Bytes,
) -> Response {
    if let Err(e) = office.access.check_admin(&headers, &extensions) {
        return e.into_response();
    }
    let Wanted { folder, id } = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(e) => return error(StatusCode::BAD_REQUEST, "malformed", e.to_string(), None),
    };
    let answer = match office.membership.ask_a_root(&Request::BackUp { folder, id }).await {
        Ok(Reply::BackedUp(Ok(bytes))) => return Json(BackedUp { bytes }).into_response(),
        Ok(Reply::BackedUp(Err(reason))) => Unanswered::Refused {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: "no_backup",
            message: reason,
        },
        Ok(_) => PeerError::Mismatched.into(),
        Err(e) => e.into(),
    };
    answer.into_response()
}
