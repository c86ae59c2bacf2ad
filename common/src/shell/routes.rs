//! Rules of all HTTP routes: a query parameter that a route does not know is refused, and every error is
//! the JSON error object.

use super::http::error;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::error::Error;

/// A plain error's text is kept up to this length, in bytes.
const PLAIN_BYTES: usize = 4 << 10;

/// A route's query parameters. `T` has to refuse unknown fields: clients would come to rely on a parameter
/// that has no effect.
#[derive(Debug, Clone)]
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(e) => {
                let why = e.source().map_or_else(|| e.body_text(), ToString::to_string);
                let message = format!("the query can't be used: {why}");
                Err(error(StatusCode::BAD_REQUEST, "bad_query", message, None))
            }
        }
    }
}

/// The parameters of a route without any.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

/// A layer for routes that take no parameters.
pub async fn without_parameters(
    Parameters(NoParameters {}): Parameters<NoParameters>,
    request: Request,
    next: Next,
) -> Response {
    next.run(request).await
}

/// Turns a library's error, in plain text or empty, into the JSON error object.
pub async fn json_errors(response: Response) -> Response {
    let status = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let text = text(body).await.unwrap_or_else(|| default_message(status, &head.headers));
    let (json, body) = error(status, code(status), text, None).into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.extend(json.headers);
    Response::from_parts(head, body)
}

async fn text(body: Body) -> Option<String> {
    let text = String::from_utf8(to_bytes(body, PLAIN_BYTES).await.ok()?.into()).ok()?;
    (!text.is_empty()).then_some(text)
}

fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "no_such_route",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        _ if status.is_client_error() => "malformed",
        _ => "failed",
    }
}

fn default_message(status: StatusCode, headers: &HeaderMap) -> String {
    match (status, headers.get(header::ALLOW).and_then(|allow| allow.to_str().ok())) {
        (StatusCode::METHOD_NOT_ALLOWED, Some(allow)) => format!("there is only {allow} here"),
        (StatusCode::NOT_FOUND, _) => "there is nothing here".into(),
        _ => status.canonical_reason().unwrap_or("no reason is known").to_lowercase(),
    }
}
