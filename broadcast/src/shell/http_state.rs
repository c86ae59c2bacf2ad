//! State that the HTTP routes share, and their answer when the node can't do its work.

use super::snapshot_cache::SnapshotCache;
use super::viewer_registry::ViewerRegistry;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use countree_common::shell::access::Access;
use countree_common::shell::http::error;
use countree_common::shell::membership::Membership;
use std::sync::Arc;

/// The parts of the node that routes use.
#[derive(Debug, Clone)]
pub(super) struct HttpState {
    pub(super) membership: Membership,
    pub(super) cache: Arc<SnapshotCache>,
    pub(super) registry: Arc<ViewerRegistry>,
    pub(super) access: Access,
}

/// Answers with status 503: the client should try again in a moment.
pub(super) fn unavailable(message: String) -> Response {
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message, None);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
