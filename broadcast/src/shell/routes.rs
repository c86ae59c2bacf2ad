//! HTTP: reads, streams, and the live page.

use super::http_state::{HttpState, unavailable};
use super::topic_path::{self, TopicPath};
use super::{auth, complete, read, sse};
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use countree_common::key::Topic;
use countree_common::shell::http::error;
use countree_common::shell::routes::{Parameters, without_parameters};
use serde::Deserialize;
use std::time::Duration;

/// Time limit of `?wait=complete`; after it the read fails rather than answer with less. Below the timeouts
/// of common HTTP clients.
const WAIT_COMPLETE: Duration = Duration::from_secs(8);
const TOPICS: &str = "/v1/topics/";

/// `/`, its files, and `/v1/topics/…`.
pub(super) fn router(state: HttpState) -> Router {
    let file = |kind: &'static str, text: &'static str| get(move || async move { asset(kind, text) });
    let page = async |_: Parameters<PageQuery>| {
        asset("text/html; charset=utf-8", include_str!("../../web/index.html"))
    };
    Router::new()
        .route("/live.css", file("text/css; charset=utf-8", include_str!("../../web/live.css")))
        .route("/live.js", file("text/javascript; charset=utf-8", include_str!("../../web/live.js")))
        .route("/totals.js", file("text/javascript; charset=utf-8", include_str!("../../web/totals.js")))
        .route_layer(from_fn(without_parameters))
        .route("/", get(page))
        .route("/v1/topics/{*topic}", get(topic))
        .with_state(state)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'self'; img-src data:; frame-ancestors 'none'"),
    ];
    (headers, text).into_response()
}

/// The page's query parameters, which its script reads.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    #[serde(rename = "topic")]
    _topic: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TopicQuery {
    /// `complete`, in a read.
    wait: Option<String>,
    /// `era-version`, in a stream: the version that the client has, if it can't send `Last-Event-ID`.
    since: Option<String>,
    /// A token, for clients that can't send it in a header (RFC 6750, 2.3).
    access_token: Option<String>,
}

/// Reads the path as it was sent: decoded by the router, `%2F` and `/` could not be told apart.
async fn topic(
    State(state): State<HttpState>,
    Parameters(TopicQuery { wait, since, access_token }): Parameters<TopicQuery>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let bad = |code, message: String| error(StatusCode::BAD_REQUEST, code, message, None);
    if let Err(refused) = auth::check(&state.access, &headers, access_token.as_deref()) {
        return refused.into_response();
    }
    let path = match topic_path::parse(uri.path().strip_prefix(TOPICS).unwrap_or_default()) {
        Ok(path) => path,
        Err(e) => return bad("bad_name", e.to_string()),
    };
    if wait.as_ref().is_some_and(|wait| wait != "complete") {
        return bad("bad_query", "wait takes 'complete' and nothing else".to_owned());
    }
    match path {
        TopicPath::Read(topic) => read_topic(&state, &topic, wait.is_some()).await,
        TopicPath::Stream(_) if wait.is_some() => {
            bad("bad_query", "a stream shows totals as they come: it takes no wait".to_owned())
        }
        TopicPath::Stream(topic) => {
            // A malformed version counts as none, as in the header.
            let held = since.and_then(|since| since.parse().ok());
            sse::stream(&state, topic, &headers, held).await
        }
    }
}

async fn read_topic(state: &HttpState, topic: &Topic, wait: bool) -> Response {
    let view = if wait {
        let reading = complete::topic(&state.membership, &state.cache, topic, WAIT_COMPLETE).await;
        reading.map_err(|e| e.to_string())
    } else {
        let reading = read::topic(&state.membership, &state.cache, topic).await;
        reading.map_err(|e| format!("no root can read the topic right now: {e}"))
    };
    match view {
        Ok(Some(view)) => ([(header::CACHE_CONTROL, "no-store")], Json(view)).into_response(),
        Ok(None) => {
            let message = format!("nothing was ever counted in topic '{topic}'");
            error(StatusCode::NOT_FOUND, "unknown_topic", message, None)
        }
        Err(message) => unavailable(message),
    }
}
