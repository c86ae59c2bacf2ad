//! The gate on real requests: reads what it looks at, and writes its answers and the headers that browsers ask for.

use super::http::error;
use crate::access::{Asked, Forwarding, Gate, Passed, Refused, Verdict};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// Headers by which proxies say whose request it is. One of them, from anybody, takes away that a request came from this
/// machine.
const FORWARDING: [&str; 11] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
];
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, DELETE");
const HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, idempotency-key, last-event-id");
const EXPOSED: HeaderValue = HeaderValue::from_static("allow, retry-after, www-authenticate");
/// Seconds for which a browser needs not ask again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const YES: HeaderValue = HeaderValue::from_static("true");
const PRIVATE_NETWORK_ASKED: &str = "access-control-request-private-network";
const PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Decides on a request that came from `peer` to `local`.
///
/// # Errors
/// With the answer, when the request ends here.
#[allow(clippy::result_large_err, reason = "the answer is sent at once")]
pub fn admit<B>(gate: &Gate, request: &Request<B>, peer: IpAddr, local: IpAddr) -> Result<Passed, Response> {
    let headers = request.headers();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let asked = Asked {
        method: request.method().as_str(),
        path: request.uri().path(),
        host: request.uri().authority().map(|a| a.as_str()).or_else(|| only(headers, header::HOST)),
        // One that is no text is no origin of ours.
        origin: headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or("null")),
        is_preflight: headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD),
        content_type: only(headers, header::CONTENT_TYPE),
        forwarding: Forwarding {
            // Requests of HTTP/1.0 are those of nginx, which by default says nothing else of itself.
            is_any: request.version() < Version::HTTP_11
                || FORWARDING.iter().any(|name| headers.contains_key(*name)),
            host: text("x-forwarded-host"),
            scheme: text("x-forwarded-proto"),
        },
        peer,
        local,
    };
    match gate.judge(&asked) {
        Verdict::Pass(passed) => Ok(passed),
        Verdict::Preflight(passed) => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            let out = response.headers_mut();
            out.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
            out.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
            if headers.contains_key(PRIVATE_NETWORK_ASKED) {
                out.insert(PRIVATE_NETWORK, YES);
            }
            Err(allow(response, &passed))
        }
        Verdict::Refuse(refused, passed) => Err(allow(answer(&refused), &passed)),
    }
}

/// Tells browsers that a page may read an answer, if it may, and caches that answers differ by origin.
pub fn allow(mut response: Response<Body>, passed: &Passed) -> Response {
    if let Some(origin) = &passed.allow_origin
        && let Ok(origin) = HeaderValue::from_str(origin)
    {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        if passed.has_credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, YES);
        }
    }
    vary(response)
}

fn vary(mut response: Response) -> Response {
    let is_there =
        |value: &HeaderValue| value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("origin"));
    if !response.headers().get_all(header::VARY).iter().any(is_there) {
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

/// The value of a header that comes once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn answer(refused: &Refused) -> Response {
    let (status, code) = match refused {
        Refused::NoHost => (StatusCode::BAD_REQUEST, "malformed"),
        Refused::UnknownHost(_) => (StatusCode::MISDIRECTED_REQUEST, "unknown_host"),
        Refused::Origin => (StatusCode::FORBIDDEN, "origin_refused"),
        Refused::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json"),
        Refused::NotFromHere => (StatusCode::FORBIDDEN, "forbidden"),
        Refused::OtherPort => (StatusCode::NOT_FOUND, "no_such_route"),
    };
    error(status, code, refused.to_string(), None)
}
