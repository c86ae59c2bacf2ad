//! The one HTTP port of `countree up`: its own routes, and all that the nodes serve.

use super::children;
use super::fleet::{Desk, Fleet};
use super::resizer::{Refused, Resizer};
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
/// What is below here changes the cluster.
const NODES: &str = "/v1/nodes/";
/// What leaves do. All nodes know all other routes, but for the page and the reads, which are a broadcast node's.
const WRITES: [&str; 3] = ["/v1/events", "/v1/topics/", NODES];
const ADMINISTRATION: [&str; 3] = ["/v1/imports", "/v1/backups", "/v1/store/acknowledge"];

#[derive(Clone)]
struct Site {
    fleet: Arc<Fleet>,
    resizer: Resizer,
}

/// All routes.
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
        .with_state(Site { fleet, resizer })
}

/// Why some node can't do its work, if one can't.
pub(super) async fn trouble(fleet: &Fleet) -> Option<String> {
    match fleet.layout().manifest().cluster.processes {
        Processes::One => fleet.trouble_here(),
        Processes::PerNode => children::trouble(fleet).await,
    }
}

async fn ready(State(site): State<Site>) -> Response {
    match trouble(&site.fleet).await {
        None => "ready\n".into_response(),
        Some(why) => error(StatusCode::SERVICE_UNAVAILABLE, "not_ready", why, None),
    }
}

async fn metrics(State(site): State<Site>) -> Response {
    let page = match site.fleet.layout().manifest().cluster.processes {
        Processes::One => site.fleet.metrics_here(),
        Processes::PerNode => children::metrics(&site.fleet).await,
    };
    ([("content-type", "text/plain; version=0.0.4")], page).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplyQuery {
    #[serde(default)]
    dry_run: bool,
}

/// `POST /v1/manifest`: begins to bring the cluster to this manifest; with `?dry_run=true` says what that would do.
async fn apply(
    State(site): State<Site>,
    Parameters(ApplyQuery { dry_run }): Parameters<ApplyQuery>,
    headers: HeaderMap,
    extensions: Extensions,
    manifest: String,
) -> Response {
    if let Err(refused) = site.admit(&headers, &extensions) {
        return refused.into_response();
    }
    let answer = if dry_run {
        site.resizer.plan(&manifest).map(|plan| (StatusCode::OK, plan))
    } else {
        site.resizer.begin(&manifest).map(|begun| (StatusCode::ACCEPTED, begun))
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

/// `GET /v1/manifest`: how far the last resize has come.
async fn state(
    State(site): State<Site>,
    _: Parameters<NoParameters>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    match site.admit(&headers, &extensions) {
        Ok(()) => Json(site.resizer.state()).into_response(),
        Err(refused) => refused.into_response(),
    }
}

/// Whatever nodes serve: by a leaf what it does, all else by a broadcast node.
async fn pass_on(State(site): State<Site>, mut request: Request) -> Response {
    // A node's router would add its own path parameters to those of this one, and find two where it has one.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().copied();
    request.extensions_mut().clear();
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    // A node would take the request for one of this machine, since that is where it then comes from.
    if (request.uri().path().starts_with(NODES) || ADMINISTRATION.contains(&request.uri().path()))
        && let Err(refused) = site.admit(request.headers(), request.extensions())
    {
        return refused.into_response();
    }
    let path = request.uri().path();
    let is_write = !request.method().is_safe() && WRITES.iter().any(|route| path.starts_with(route));
    match if is_write { site.fleet.writer() } else { site.fleet.reader() } {
        Some(Desk::Here(router)) => router.oneshot(request).await.into_response(),
        Some(Desk::There(node)) => children::pass_on(node, request).await,
        None => {
            let tier = if is_write { "leaf" } else { "broadcast node" };
            let message = format!("no {tier} runs just now: repeat it in a moment");
            error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message, None)
        }
    }
}

impl Site {
    /// Lets those in who may change the cluster.
    fn admit(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<(), AccessError> {
        self.fleet.layout().access().check_admin(headers, extensions)
    }
}
