//! Serves the one HTTP port of `countree up`: its own routes, and the nodes' routes behind it.

use super::children;
use super::fleet::{Backend, Fleet};
use super::resizer::{Refused, Resizer};
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::middleware::{from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use countree_common::config::manifest::Processes;
use countree_common::shell::access::AccessError;
use countree_common::shell::http::error;
use countree_common::shell::routes::{NoParameters, Parameters, json_errors, without_parameters};
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;
use tower::ServiceExt;

/// The largest manifest, in bytes.
const MANIFEST_BYTES: usize = 64 << 10;
/// Routes below this path change the cluster.
const NODES: &str = "/v1/nodes/";
/// Paths whose unsafe methods only leaves serve. The page and reads are served by broadcast nodes, all else by any
/// node.
const WRITES: [&str; 3] = ["/v1/events", "/v1/topics/", NODES];
const ADMINISTRATION: [&str; 3] = ["/v1/imports", "/v1/backups", "/v1/store/acknowledge"];

/// State of the HTTP routes.
#[derive(Clone)]
struct HttpState {
    fleet: Arc<Fleet>,
    resizer: Resizer,
}

/// Builds the routes.
pub(super) fn router(fleet: Arc<Fleet>, resizer: Resizer) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route_layer(from_fn(without_parameters))
        .route("/v1/manifest", get(state).post(apply).layer(DefaultBodyLimit::max(MANIFEST_BYTES)))
        // Leaves and broadcast nodes each know some of the methods of these.
        .route("/v1/events", post(pass_on))
        .route("/v1/topics/{*topic}", get(pass_on).delete(pass_on))
        .fallback(pass_on)
        .layer(map_response(json_errors))
        .with_state(HttpState { fleet, resizer })
}

/// The reason that some node can't do its work; `None` when all can.
pub(super) async fn problem(fleet: &Fleet) -> Option<String> {
    match fleet.layout().manifest().cluster.processes {
        Processes::One => fleet.problem_here(),
        Processes::PerNode => children::problem(fleet).await,
    }
}

async fn ready(State(http): State<HttpState>) -> Response {
    match problem(&http.fleet).await {
        None => "ready\n".into_response(),
        Some(why) => error(StatusCode::SERVICE_UNAVAILABLE, "not_ready", why, None),
    }
}

async fn metrics(State(http): State<HttpState>) -> Response {
    let page = match http.fleet.layout().manifest().cluster.processes {
        Processes::One => http.fleet.metrics_here(),
        Processes::PerNode => children::metrics(&http.fleet).await,
    };
    ([("content-type", "text/plain; version=0.0.4")], page).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplyQuery {
    #[serde(default)]
    dry_run: bool,
}

/// The body of `POST /v1/manifest`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    manifest: String,
}

/// Handles `POST /v1/manifest`: begins a resize to this manifest; with `?dry_run=true` only plans it.
async fn apply(
    State(http): State<HttpState>,
    Parameters(ApplyQuery { dry_run }): Parameters<ApplyQuery>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Bytes,
) -> Response {
    if let Err(refused) = http.admit(&headers, &extensions) {
        return refused.into_response();
    }
    let Wanted { manifest } = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(e) => {
            let message = format!("the body is {{\"manifest\":\"…\"}}, with the manifest's text: {e}");
            return error(StatusCode::BAD_REQUEST, "malformed", message, None);
        }
    };
    let answer = if dry_run {
        http.resizer.plan(&manifest).map(|plan| (StatusCode::OK, plan))
    } else {
        http.resizer.begin(&manifest).map(|begun| (StatusCode::ACCEPTED, begun))
    };
    match answer {
        Ok((status, resize)) => (status, Json(resize)).into_response(),
        Err(e) => {
            let (status, code) = match &e {
                Refused::Bad(_) => (StatusCode::BAD_REQUEST, "bad_manifest"),
                Refused::Fixed(_) => (StatusCode::CONFLICT, "fixed"),
                Refused::Busy => (StatusCode::CONFLICT, "resizing"),
                Refused::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
            };
            error(status, code, e.to_string(), None)
        }
    }
}

/// Handles `GET /v1/manifest`: reports the progress of the last resize.
async fn state(
    State(http): State<HttpState>,
    _: Parameters<NoParameters>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    match http.admit(&headers, &extensions) {
        Ok(()) => Json(http.resizer.state()).into_response(),
        Err(refused) => refused.into_response(),
    }
}

/// Passes a request on to a node: writes to a leaf, everything else to a broadcast node.
async fn pass_on(State(http): State<HttpState>, mut request: Request) -> Response {
    // A node's router adds its own path parameters; with those of this router it would find two where it expects one.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().copied();
    request.extensions_mut().clear();
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    // Checked here, since a node would see the request come from this machine and trust it.
    if (request.uri().path().starts_with(NODES) || ADMINISTRATION.contains(&request.uri().path()))
        && let Err(refused) = http.admit(request.headers(), request.extensions())
    {
        return refused.into_response();
    }
    let path = request.uri().path();
    let is_write = !request.method().is_safe() && WRITES.iter().any(|route| path.starts_with(route));
    match if is_write { http.fleet.writer() } else { http.fleet.reader() } {
        Some(Backend::Here(router)) => router.oneshot(request).await.into_response(),
        Some(Backend::There(node)) => children::pass_on(node, request).await,
        None => {
            let tier = if is_write { "leaf" } else { "broadcast node" };
            let message = format!("no {tier} runs just now: repeat it in a moment");
            error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message, None)
        }
    }
}

impl HttpState {
    /// Refuses callers that may not change the cluster.
    fn admit(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<(), AccessError> {
        self.fleet.layout().access().check_admin(headers, extensions)
    }
}
