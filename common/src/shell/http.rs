//! HTTP that every node speaks: health, metrics, the cluster; and a small client for it.

use super::identity::Identity;
use super::routes::without_parameters;
use crate::cluster::{ClusterView, NodeName};
use crate::limits::{self, PublicLimits};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// An error as every route answers it: nothing was counted, unless the code says `in_doubt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorDetail,
}

/// See [`ErrorBody`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
    /// The event to blame, from 0, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
}

/// An error response.
pub fn error(status: StatusCode, code: &str, message: impl Into<String>, index: Option<u32>) -> Response {
    let detail = ErrorDetail { code: code.to_owned(), message: message.into(), index };
    (status, Json(ErrorBody { error: detail })).into_response()
}

/// What `GET /v1/cluster` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// The cluster's name.
    pub cluster: NodeName,
    /// The nodes and the ring epoch.
    #[serde(flatten)]
    pub view: ClusterView,
    /// The CA's certificate in PEM, to check the nodes against.
    pub ca: String,
    /// SHA-256 of the certificate that browsers are to accept, in hex; none while WebTransport is not offered.
    pub certificate_hash: Option<String>,
    /// What events and requests have to fit in.
    pub limits: PublicLimits,
}

/// All routes of all nodes; a test holds it to them.
const OPENAPI: &str = include_str!("openapi.json");

/// What the routes of every node show.
#[derive(Clone)]
pub struct NodeRoutes {
    /// The cluster's name.
    pub cluster: NodeName,
    /// For the CA certificate.
    pub identity: Arc<Identity>,
    /// The nodes.
    pub view: watch::Receiver<Arc<ClusterView>>,
    /// Why the node can't do its work right now, if it can't.
    pub trouble: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// The metrics page.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl std::fmt::Debug for NodeRoutes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeRoutes").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl NodeRoutes {
    /// `/healthz`, `/readyz`, `/metrics`, `/v1/cluster` and `/v1/openapi.json`.
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

/// Why an HTTP request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not a URL that this client can use.
    #[error("'{0}' is not a URL of the form http://host:port")]
    Url(String),
    /// Nobody there, or it broke off.
    #[error("no cluster answers at {url}: {reason}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
}

/// An HTTP answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// The largest answer that is read, in bytes.
const ANSWER_BYTES: usize = 256 << 20;
/// A request without a limit of its own takes no longer.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends a request to `base` (`http://host:port`) + `path` and reads the whole answer.
///
/// # Errors
/// When there is no answer.
pub async fn request(
    method: &str,
    base: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Vec<u8>>,
) -> Result<Answer, HttpError> {
    request_within(HTTP_TIMEOUT, method, base, path, headers, body).await
}

/// [`request`] with a time limit of its own.
///
/// # Errors
/// When there is no answer.
pub async fn request_within(
    limit: Duration,
    method: &str,
    base: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Vec<u8>>,
) -> Result<Answer, HttpError> {
    let bad_url = || HttpError::Url(base.to_owned());
    let authority = base.strip_prefix("http://").ok_or_else(bad_url)?.trim_end_matches('/');
    if authority.is_empty() || authority.contains('/') {
        return Err(bad_url());
    }
    let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let unreachable = |reason: String| HttpError::Unreachable { url: base.to_owned(), reason };
    let exchange = async {
        let stream =
            tokio::net::TcpStream::connect(&address).await.map_err(|e| unreachable(e.to_string()))?;
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(io).await.map_err(|e| unreachable(e.to_string()))?;
        let driver = tokio::spawn(connection);
        let mut request = hyper::Request::builder().method(method).uri(path).header("host", authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(body) => Full::new(Bytes::from(body)).boxed(),
            None => Empty::new().boxed(),
        };
        let request = request.body(body).map_err(|e| unreachable(e.to_string()))?;
        let response = sender.send_request(request).await.map_err(|e| unreachable(e.to_string()))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        driver.abort();
        let body = body.map_err(|e| unreachable(e.to_string()))?.to_bytes();
        Ok(Answer { status, body })
    };
    tokio::time::timeout(limit, exchange)
        .await
        .map_err(|_| unreachable(format!("no answer within {} s", limit.as_secs())))?
}

/// Percent-encodes one path segment (RFC 3986, 2.1), so that any topic fits into a route.
pub fn path_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
