//! HTTP that every node speaks: errors, `GET /v1/cluster`, and a small client. The server is behind the feature
//! `shell`.

mod connecting;
#[cfg(feature = "shell")]
mod serving;

pub use connecting::{Server, Trust, is_https};

#[cfg(feature = "shell")]
pub use serving::{NodeRoutes, error};

use crate::cluster::{ClusterView, NodeName};
use crate::limits::PublicLimits;
use connecting::Address;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An error as every route answers it: nothing was counted, unless the code says `in_doubt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// See [`ErrorBody`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// The code, for programs.
    pub code: String,
    /// The message, for people.
    pub message: String,
    /// The index of the event to blame, from 0, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
}

/// The answer to `GET /v1/cluster`.
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
    /// The limits of events and requests.
    pub limits: PublicLimits,
}

/// The reason why an HTTP request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is not a URL that this client can use.
    #[error("'{0}' is not an address of the form host:port, http://host:port or https://host:port")]
    Url(String),
    /// The server's certificate is not trusted.
    #[error("the certificate at {url} can't be trusted: {reason}")]
    Tls {
        /// The address that was asked.
        url: String,
        /// The reason.
        reason: String,
    },
    /// No server answers, or the connection broke.
    #[error("no cluster answers at {url}: {reason}")]
    Unreachable {
        /// The address that was asked.
        url: String,
        /// The reason.
        reason: String,
    },
}

/// A whole HTTP answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// Largest answer that is read, in bytes.
const ANSWER_BYTES: usize = 256 << 20;
/// Time limit of requests that have none of their own.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends a request to a server and reads the whole answer.
///
/// # Errors
/// When there is no answer.
pub async fn request(
    method: &str,
    server: impl Into<Server<'_>>,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Vec<u8>>,
) -> Result<Answer, HttpError> {
    request_within(HTTP_TIMEOUT, method, server, path, headers, body).await
}

/// [`request`] with a time limit of its own.
///
/// # Errors
/// When there is no answer.
pub async fn request_within(
    limit: Duration,
    method: &str,
    server: impl Into<Server<'_>>,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Vec<u8>>,
) -> Result<Answer, HttpError> {
    let server = server.into();
    let address = Address::parse(server.url)?;
    let unreachable = |reason: String| HttpError::Unreachable { url: server.url.to_owned(), reason };
    let exchange = async {
        let io = hyper_util::rt::TokioIo::new(connecting::connect(server, address).await?);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(io).await.map_err(|e| unreachable(e.to_string()))?;
        let driver = tokio::spawn(connection);
        let mut request =
            hyper::Request::builder().method(method).uri(path).header("host", address.authority);
        // Routes that administrate take no other type.
        if method == "POST" && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", "application/json");
        }
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
