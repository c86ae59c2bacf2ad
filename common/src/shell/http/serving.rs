//! The routes of every node: health, metrics, the cluster.

use super::{ClusterInfo, ErrorBody, ErrorDetail};
use crate::cluster::{ClusterView, NodeName};
use crate::limits;
use crate::shell::identity::Identity;
use crate::shell::routes::without_parameters;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use std::sync::Arc;
use tokio::sync::watch;

/// Makes an error response.
pub fn error(status: StatusCode, code: &str, message: impl Into<String>, index: Option<u32>) -> Response {
    let detail = ErrorDetail { code: code.to_owned(), message: message.into(), index };
    (status, Json(ErrorBody { error: detail })).into_response()
}

/// All routes of all nodes, as OpenAPI; a test compares the two.
const OPENAPI: &str = include_str!("../openapi.json");

/// The state that the routes of every node show.
#[derive(Clone)]
pub struct NodeRoutes {
    /// The cluster's name.
    pub cluster: NodeName,
    /// The identity, for the CA certificate.
    pub identity: Arc<Identity>,
    /// The view of the cluster.
    pub view: watch::Receiver<Arc<ClusterView>>,
    /// Returns the reason why the node can't do its work right now, if there is one.
    pub trouble: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// Returns the metrics page.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl std::fmt::Debug for NodeRoutes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeRoutes").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl NodeRoutes {
    /// Builds the router of `/healthz`, `/readyz`, `/metrics`, `/v1/cluster` and `/v1/openapi.json`.
    pub fn router(self) -> Router {
        let Self { cluster, identity, view, trouble, metrics } = self;
        let ready = move || async move {
            match trouble() {
                None => (StatusCode::OK, "ready\n").into_response(),
                Some(why) => error(StatusCode::SERVICE_UNAVAILABLE, "not_ready", why, None),
            }
        };
        let info = move || async move {
            Json(ClusterInfo {
                cluster,
                view: view.borrow().as_ref().clone(),
                ca: identity.ca_pem().to_owned(),
                certificate_hash: None,
                limits: limits::PUBLIC,
            })
        };
        let page = move || async move { ([("content-type", "text/plain; version=0.0.4")], metrics()) };
        Router::new()
            .route("/healthz", get(|| async { "alive\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(page))
            .route("/v1/cluster", get(info))
            .route("/v1/openapi.json", get(|| async { ([("content-type", "application/json")], OPENAPI) }))
            .route_layer(from_fn(without_parameters))
    }
}
