//! Requests to a running cluster, with retries, and their errors as messages for the operator.

use crate::arguments::ClusterArguments;
use countree_client::{ClientError, Cluster};
use countree_common::shell::failure::Failure;
use countree_common::shell::http::{self, Answer, ErrorBody, HttpError, Server, Trust};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Advice where no cluster answers.
const START_OR_NAME_ONE: &str = "start one with 'countree up', or say which with --cluster or COUNTREE_URL";
/// Advice where the certificate of an `https://` address is not trusted.
const NAME_AUTHORITY: &str = "name the authority that signed it with --ca or COUNTREE_CA";
pub(super) const OK: u16 = 200;
const ACCEPTED: u16 = 202;
pub(super) const NOT_FOUND: u16 = 404;
const UNAVAILABLE: u16 = 503;
const IN_DOUBT: u16 = 409;
/// The wait between two tries.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(200);

impl ClusterArguments {
    /// Finds the cluster's nodes, for a producer or a viewer.
    pub(super) async fn discover(&self) -> Result<Cluster, Failure> {
        let token = self.token.clone();
        let found = match self.read_ca()? {
            Some(ca) => Cluster::discover_trusting(&self.url, token, &ca).await,
            None => Cluster::discover(&self.url, token).await,
        };
        found.map_err(|e| match e {
            ClientError::NoCluster { .. } => Failure::failed(format!("{e}; {START_OR_NAME_ONE}")),
            ClientError::Untrusted { .. } => Failure::failed(format!("{e}; {NAME_AUTHORITY}")),
            e => Failure::failed(e),
        })
    }

    /// Reads the authorities of `--ca`, if it is set.
    fn read_ca(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.ca else { return Ok(None) };
        let text = std::fs::read_to_string(path);
        text.map(Some).map_err(|e| Failure::usage(format!("--ca {}: {e}", path.display())))
    }

    /// Reads the JSON at `path`; an error answer becomes its message.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.understand(path, self.get(path).await?)
    }

    /// [`ClusterArguments::read`] with a time limit of its own.
    pub(super) async fn read_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        path: &str,
    ) -> Result<T, Failure> {
        self.understand(path, self.request_within(limit, "GET", path, None, None).await?)
    }

    /// [`ClusterArguments::read`], repeated while the cluster answers 503 or 409.
    pub(super) async fn read_retrying<T: DeserializeOwned>(
        &self,
        path: &str,
        timeout: Duration,
    ) -> Result<T, Failure> {
        self.request_retrying("GET", path, None, timeout).await
    }

    /// Repeats a request while the cluster answers 503 or 409; a repeat has to be harmless.
    pub(super) async fn request_retrying<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        id: Option<&str>,
        timeout: Duration,
    ) -> Result<T, Failure> {
        let asking = || self.request(method, path, id, None);
        self.understand(path, retry(timeout, Unreachable::Fails, asking).await?)
    }

    /// Posts a body until the cluster is reachable and takes it; a repeat has to be harmless.
    pub(super) async fn post_retrying<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &[u8],
        timeout: Duration,
    ) -> Result<T, Failure> {
        let posting = || self.request("POST", path, None, Some(body.to_vec()));
        self.understand(path, retry(timeout, Unreachable::Retried, posting).await?)
    }

    /// Decodes a JSON answer; an error answer becomes its message.
    pub(super) fn understand<T: DeserializeOwned>(&self, path: &str, answer: Answer) -> Result<T, Failure> {
        if ![OK, ACCEPTED].contains(&answer.status) {
            let message = serde_json::from_slice::<ErrorBody>(&answer.body).map(|b| b.error.message);
            let bare = |_| format!("{}{path} answers {}", self.url, answer.status);
            return Err(Failure::failed(message.unwrap_or_else(bare)));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|e| Failure::failed(format!("{}{path} answers what is not of its form: {e}", self.url)))
    }

    /// Sends a GET; its answer may be an error.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.request("GET", path, None, None).await
    }

    /// Sends a request; its answer may be an error.
    pub(super) async fn request(
        &self,
        method: &str,
        path: &str,
        id: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Failure> {
        self.request_within(http::HTTP_TIMEOUT, method, path, id, body).await
    }

    /// [`ClusterArguments::request`] with a time limit of its own.
    async fn request_within(
        &self,
        limit: Duration,
        method: &str,
        path: &str,
        id: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Failure> {
        let bearer = self.token.as_ref().map(|t| format!("Bearer {t}"));
        let bearer = bearer.iter().map(|b| ("authorization", b.as_str()));
        let headers: Vec<_> = bearer.chain(id.map(|id| ("idempotency-key", id))).collect();
        let trust = self.read_ca()?.map(|ca| Trust::only(&ca)).transpose()?;
        let server = Server { url: &self.url, trust: trust.as_ref() };
        http::request_within(limit, method, server, path, &headers, body).await.map_err(|e| match e {
            HttpError::Tls { .. } => Failure::failed(format!("{e}; {NAME_AUTHORITY}")),
            HttpError::Url(_) | HttpError::Unreachable { .. } => {
                Failure::failed(format!("{e}; {START_OR_NAME_ONE}"))
            }
        })
    }
}

/// The treatment of a cluster that can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreachable {
    /// Tries again: the cluster may come back.
    Retried,
    /// Fails at once: the address is probably wrong.
    Fails,
}

/// Repeats a request while the cluster answers 503 or 409. After `timeout` it asks once more and returns that answer.
pub(super) async fn retry<A: Future<Output = Result<Answer, Failure>>>(
    timeout: Duration,
    unreachable: Unreachable,
    ask: impl Fn() -> A,
) -> Result<Answer, Failure> {
    let asking = async {
        loop {
            match ask().await {
                Ok(answer) if ![UNAVAILABLE, IN_DOUBT].contains(&answer.status) => return Ok(answer),
                Err(e) if unreachable == Unreachable::Fails => return Err(e),
                Ok(_) | Err(_) => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
    };
    match tokio::time::timeout(timeout, asking).await {
        Ok(answer) => answer,
        Err(_) => ask().await,
    }
}
