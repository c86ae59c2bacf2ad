//! The cluster's answers over HTTP: its ledger, its totals, its log.

use countree_common::document::TopicView;
use countree_common::key::Topic;
use countree_common::shell::failure::Failure;
use countree_common::shell::http::{self, Answer, ErrorBody};
use countree_common::shell::overview::{Acknowledged, Audit, Forgotten};
use std::time::Duration;

const UNAVAILABLE: u16 = 503;
/// The time between two tries; [`TRIES`] is their number.
const RETRY: Duration = Duration::from_millis(500);
const TRIES: u32 = 20;
const AUDIT: &str = "/v1/audit";
const LOG_BYTES: &str = "countree_leaf_log_bytes";

/// A cluster's HTTP addresses, and the token for it.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    /// The address for events and requests.
    pub(crate) url: String,
    /// The address for reads of topics, of a broadcast node.
    pub(crate) reads: String,
    pub(crate) token: Option<String>,
}

impl Endpoints {
    /// One address for everything.
    pub(crate) fn at(url: String, token: Option<String>) -> Self {
        Self { reads: url.clone(), url, token }
    }

    async fn get_once(&self, url: &str, path: &str) -> Result<Answer, Failure> {
        let bearer = self.token.as_ref().map(|t| format!("Bearer {t}"));
        let headers: Vec<_> = bearer.iter().map(|b| ("authorization", b.as_str())).collect();
        Ok(http::request("GET", url, path, &headers, None).await?)
    }

    /// The answer; one that says to come again is waited out for a while.
    async fn get(&self, url: &str, path: &str) -> Result<Answer, Failure> {
        let mut tries = 0;
        loop {
            let answer = self.get_once(url, path).await?;
            tries += 1;
            if answer.status != UNAVAILABLE || tries == TRIES {
                return Ok(answer);
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    fn read<T: serde::de::DeserializeOwned>(&self, path: &str, answer: &Answer) -> Result<T, Failure> {
        if answer.status != 200 {
            let said = serde_json::from_slice::<ErrorBody>(&answer.body).map(|body| body.error.message);
            let said = said.unwrap_or_default();
            return Err(Failure::failed(format!("{}{path} answers {} {said}", self.url, answer.status)));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|e| Failure::failed(format!("{}{path} answers what is not of its form: {e}", self.url)))
    }

    /// The ledger of all leaves.
    pub(crate) async fn audit(&self) -> Result<Audit, Failure> {
        self.read(AUDIT, &self.get(&self.url, AUDIT).await?)
    }

    /// The ledger, if it can be had right now.
    pub(crate) async fn audit_now(&self) -> Result<Audit, Failure> {
        self.read(AUDIT, &self.get_once(&self.url, AUDIT).await?)
    }

    /// Gives up what a leaf had that is gone with its disk.
    pub(crate) async fn give_up(&self, leaf: &str) -> Result<Forgotten, Failure> {
        let path = format!("/v1/nodes/{leaf}");
        self.read(&path, &http::request("DELETE", &self.url, &path, &[], None).await?)
    }

    /// Acknowledges a changed store, as an operator would.
    pub(crate) async fn acknowledge(&self) -> Result<Acknowledged, Failure> {
        const PATH: &str = "/v1/store/acknowledge";
        self.read(PATH, &http::request("POST", &self.url, PATH, &[], None).await?)
    }

    /// A topic with everything that was acked before; `None` when nothing was ever counted in it.
    pub(crate) async fn topic(&self, topic: &Topic) -> Result<Option<TopicView>, Failure> {
        self.read_topic(topic, "?wait=complete").await
    }

    /// A topic as the store has it, which is at once: enough where the ledger has said that all is merged.
    pub(crate) async fn settled_topic(&self, topic: &Topic) -> Result<Option<TopicView>, Failure> {
        self.read_topic(topic, "").await
    }

    async fn read_topic(&self, topic: &Topic, query: &str) -> Result<Option<TopicView>, Failure> {
        let path = format!("/v1/topics/{}{query}", http::path_segment(topic.as_str()));
        let answer = self.get(&self.reads, &path).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        self.read(&path, &answer).map(Some)
    }

    /// Bytes in the logs of the leaves that this node's page tells of, where it tells.
    pub(crate) async fn log_bytes(&self) -> Option<u64> {
        metric(&self.url, LOG_BYTES).await
    }
}

/// Whether a node is there and can do its work.
pub(crate) async fn is_ready(url: &str) -> bool {
    http::request("GET", url, "/readyz", &[], None).await.is_ok_and(|answer| answer.status == 200)
}

/// The sum of a family's samples on a node's metrics page, where it has that.
pub(crate) async fn metric(url: &str, family: &str) -> Option<u64> {
    let page = http::request("GET", url, "/metrics", &[], None).await.ok()?;
    sum_of(family, std::str::from_utf8(&page.body).ok()?)
}

/// The sum of a family's samples on a page in Prometheus' text format; `None` when it has none.
fn sum_of(family: &str, page: &str) -> Option<u64> {
    let samples = page.lines().filter_map(|line| line.strip_prefix(family));
    let values = samples.filter(|rest| rest.starts_with(['{', ' '])).filter_map(|rest| rest.rsplit_once(' '));
    values.filter_map(|(_, value)| value.parse::<u64>().ok()).reduce(|a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_family_are_summed_and_others_left_out() {
        let page = "# TYPE a gauge\na{node=\"leaf 0\"} 5\na{node=\"leaf-1\"} 7\nab{node=\"x\"} 100\nb 3\n";
        assert_eq!(sum_of("a", page), Some(12));
        assert_eq!(sum_of("b", page), Some(3));
        assert_eq!(sum_of("c", page), None);
    }
}
