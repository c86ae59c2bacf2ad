//! Authorization of HTTP requests, by the same tokens as over QUIC.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use countree_common::shell::access::{Access, AccessError, Right};

/// Checks that a request has a valid token, if tokens are required. `in_query` is the token of clients that
/// can't set a header, like a browser's EventSource; a header takes precedence.
///
/// # Errors
/// When the client may not watch.
pub(super) fn check(access: &Access, headers: &HeaderMap, in_query: Option<&str>) -> Result<(), Refused> {
    let checked = if in_query.is_none() || headers.contains_key(header::AUTHORIZATION) {
        access.check_headers(headers, Right::Watch)
    } else {
        access.check(in_query, Right::Watch)
    };
    checked.map_err(Refused)
}

/// The error of a client that may not watch.
#[derive(Debug)]
pub(super) struct Refused(AccessError);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let is_unknown = matches!(self.0, AccessError::Unauthenticated(_));
        let mut response = self.0.into_response();
        if is_unknown {
            // Says which scheme to use (RFC 9110, 11.6.1).
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
