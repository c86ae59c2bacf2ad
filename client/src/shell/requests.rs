//! HTTP requests to the cluster: the address that they go to, and the meaning of their answers.

use super::error::ClientError;
use countree_common::shell::http::{self, ClusterInfo, ErrorBody, Trust};
use serde::de::DeserializeOwned;

/// The address at which the cluster was found, and how to ask there.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) url: String,
    /// The trusted authorities; `None` for the public ones.
    pub(super) trust: Option<Trust>,
}

impl Address {
    pub(super) fn server(&self) -> http::Server<'_> {
        http::Server { url: &self.url, trust: self.trust.as_ref() }
    }

    /// Whether nodes may be asked at their own addresses. These are not encrypted, and a token goes with
    /// every request: a program that gave an `https://` address wants neither exposed.
    pub(super) fn leads_to_nodes(&self) -> bool {
        !http::is_https(&self.url)
    }
}

/// Returns the code of an error answer.
pub(super) fn code(answer: &http::Answer) -> Option<String> {
    let body = serde_json::from_slice::<ErrorBody>(&answer.body).ok()?;
    (answer.status >= 400).then_some(body.error.code)
}

/// Returns the value of an answer with status 2xx, and the error of any other.
pub(super) fn understand<T: DeserializeOwned>(answer: &http::Answer) -> Result<T, ClientError> {
    let message = || {
        let body = serde_json::from_slice::<ErrorBody>(&answer.body);
        body.map_or_else(|_| format!("status {}", answer.status), |body| body.error.message)
    };
    match answer.status {
        200..=299 => serde_json::from_slice(&answer.body).map_err(|e| ClientError::Refused(e.to_string())),
        401 | 403 => Err(ClientError::Unauthorized(message())),
        409 => Err(ClientError::InDoubt(message())),
        503 | 507 => Err(ClientError::Unavailable(message())),
        _ => Err(ClientError::Refused(message())),
    }
}

/// Asks a node for the cluster and its nodes.
pub(super) async fn fetch(server: http::Server<'_>, token: Option<&str>) -> Result<ClusterInfo, ClientError> {
    let url = server.url;
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    let answer =
        http::request("GET", server, "/v1/cluster", &headers, None).await.map_err(ClientError::http)?;
    let not_a_cluster = |reason: String| ClientError::NotACluster { url: url.to_owned(), reason };
    match answer.status {
        200 => serde_json::from_slice(&answer.body).map_err(|e| not_a_cluster(e.to_string())),
        401 | 403 => Err(ClientError::Unauthorized(format!("{url} answers {}", answer.status))),
        status => Err(not_a_cluster(format!("GET /v1/cluster answers {status}"))),
    }
}
