//! The status of the store, and `POST /v1/store/acknowledge`, by which an operator accepts a changed store.

use super::{Office, Unanswered};
use crate::shell::membership::Membership;
use crate::shell::peers::PeerError;
use crate::wire::rpc::{Reply, Request};
use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// The answer to `POST /v1/store/acknowledge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The change that was accepted: `emptied`, `went_back` or `exchanged`; `None` if there was none.
    pub acknowledged: Option<String>,
}

/// Asks for the problem with the store, if there is one.
pub(super) async fn read(membership: &Membership) -> Result<Option<String>, PeerError> {
    match membership.ask_a_root(&Request::StoreStatus).await? {
        Reply::StoreStatus(words) => Ok(words),
        _ => Err(PeerError::Mismatched),
    }
}

pub(super) async fn acknowledge(
    State(office): State<Office>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    if let Err(e) = office.access.check_admin(&headers, &extensions) {
        return e.into_response();
    }
    let answer = match office.membership.ask_a_root(&Request::AcknowledgeStore).await {
        Ok(Reply::Acknowledged(Ok(acknowledged))) => {
            return Json(Acknowledged { acknowledged }).into_response();
        }
        Ok(Reply::Acknowledged(Err(reason))) => Unanswered::conflict("not_acknowledged", reason),
        Ok(_) => PeerError::Mismatched.into(),
        Err(e) => e.into(),
    };
    answer.into_response()
}
