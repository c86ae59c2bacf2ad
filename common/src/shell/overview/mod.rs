//! The cluster as a whole over HTTP: the audit, the status, the topics, and the removal of nodes. Any node
//! can answer, by asking the others.

mod audit;
mod backups;
mod checks;
mod imports;
mod nodes;
mod standing;
mod status;

pub use audit::{Audit, StreamAudit, StreamState};
pub use backups::BackedUp;
pub use imports::Imported;
pub use nodes::{Draining, Forgotten};
pub use standing::Acknowledged;
pub use status::{NodeStatus, Status};

use super::access::{Access, Right};
use super::http::error;
use super::membership::Membership;
use super::peers::PeerError;
use super::routes::{Parameters, without_parameters};
use crate::cluster::{ClusterView, NodeName};
use crate::key::Topic;
use crate::wire::rpc::{Reply, Request, TOPICS_SCANNED};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

/// The answer to `GET /v1/topics`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicList {
    /// Some topics, the last merged first.
    pub topics: Vec<Topic>,
}

/// The answer to `GET /v1/topics?after=…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicPage {
    /// Some of all topics. One may be in several pages.
    pub topics: Vec<Topic>,
    /// The value of `after` for the next page; `None` after the last.
    pub next: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TopicsQuery {
    /// Asks for pages of all topics, rather than the last merged; empty for the first page.
    after: Option<String>,
}

/// State that the routes share.
#[derive(Debug, Clone)]
struct Office {
    membership: Membership,
    access: Access,
}

impl Office {
    /// Answers if the request may watch.
    async fn answer<T: Serialize>(
        &self,
        headers: &HeaderMap,
        result: impl Future<Output = Result<T, Unanswered>>,
    ) -> Response {
        if let Err(e) = self.access.check_headers(headers, Right::Watch) {
            return e.into_response();
        }
        match result.await {
            Ok(body) => Json(body).into_response(),
            Err(unanswered) => unanswered.into_response(),
        }
    }

    /// Reads a page of all topics.
    async fn page(&self, after: String) -> Result<TopicPage, Unanswered> {
        let after = (!after.is_empty()).then_some(after);
        match self.membership.ask_a_root(&Request::Scan { after, limit: TOPICS_SCANNED }).await? {
            Reply::TopicPage { topics, next } => Ok(TopicPage { topics, next }),
            _ => Err(PeerError::Mismatched.into()),
        }
    }

    async fn topics(&self) -> Result<TopicList, Unanswered> {
        match self.membership.ask_a_root(&Request::Topics).await? {
            Reply::Topics(topics) => Ok(TopicList { topics }),
            _ => Err(PeerError::Mismatched.into()),
        }
    }
}

/// Returns the live nodes, and the leaves that are away, by the registry in the store.
async fn members(membership: &Membership) -> Result<(ClusterView, Vec<NodeName>), PeerError> {
    match membership.ask_a_root(&Request::Members).await? {
        Reply::Members { view, away } => Ok((view, away)),
        _ => Err(PeerError::Mismatched),
    }
}

/// The reason why a request has no answer. Nothing changed.
#[derive(Debug)]
enum Unanswered {
    /// A node that has to be asked does not answer.
    Peer(PeerError),
    /// The request contradicts the state of the cluster.
    Refused { status: StatusCode, code: &'static str, message: String },
}

impl Unanswered {
    fn unknown(message: String) -> Self {
        Self::Refused { status: StatusCode::NOT_FOUND, code: "unknown", message }
    }

    fn conflict(code: &'static str, message: String) -> Self {
        Self::Refused { status: StatusCode::CONFLICT, code, message }
    }
}

impl From<PeerError> for Unanswered {
    fn from(e: PeerError) -> Self {
        Self::Peer(e)
    }
}

impl IntoResponse for Unanswered {
    fn into_response(self) -> Response {
        match self {
            Self::Peer(e) => error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", e.to_string(), None),
            Self::Refused { status, code, message } => error(status, code, message, None),
        }
    }
}

/// Builds the router of `/v1/audit`, `/v1/status`, `/v1/topics`, `/v1/imports`, `/v1/backups`,
/// `/v1/store/acknowledge` and `/v1/nodes/…`.
pub fn router(membership: Membership, access: Access) -> Router {
    type Asked = State<Office>;
    let get_status = async |State(o): Asked, h: HeaderMap| o.answer(&h, status::read(&o.membership)).await;
    Router::new()
        .route("/v1/status", get(get_status))
        .route("/v1/imports", post(imports::take))
        .route("/v1/backups", post(backups::take))
        .route("/v1/store/acknowledge", post(standing::acknowledge))
        .route("/v1/nodes/{name}/drain", post(nodes::drain))
        .route("/v1/nodes/{name}", delete(nodes::forget))
        .route_layer(from_fn(without_parameters))
        .route("/v1/audit", get(audit::answer))
        .route("/v1/topics", get(topics))
        .with_state(Office { membership, access })
}

/// `GET /v1/topics`
async fn topics(
    State(office): State<Office>,
    Parameters(TopicsQuery { after }): Parameters<TopicsQuery>,
    headers: HeaderMap,
) -> Response {
    match after {
        None => office.answer(&headers, office.topics()).await,
        Some(after) => office.answer(&headers, office.page(after)).await,
    }
}
