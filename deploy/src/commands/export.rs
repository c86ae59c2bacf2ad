//! Runs `countree export`: prints totals as NDJSON.

use super::request::{NOT_FOUND, Unreachable, retry};
use crate::arguments::{ClusterArguments, ExportArguments};
use countree_common::document::{CounterTotal, TopicView};
use countree_common::key::Topic;
use countree_common::shell::failure::Failure;
use countree_common::shell::http::path_segment;
use countree_common::shell::overview::TopicPage;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Time for a recovering cluster to merge the events that it had acked.
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
/// Topics that are read at once.
const READS: usize = 16;
/// From this size on, programs that read numbers as floats lose digits; the line then has the total as text, too.
const EXACT_FROM: u64 = 1 << 53;

/// One line of the file: one total.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) topic: String,
    pub(super) item: String,
    pub(super) kind: String,
    pub(super) total: i64,
    /// The total as text, where a JSON number may lose digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exact: Option<String>,
}

impl Line {
    fn new(topic: &Topic, counter: CounterTotal) -> Self {
        let CounterTotal { item, kind, total } = counter;
        let exact = (total.unsigned_abs() >= EXACT_FROM).then(|| total.to_string());
        Self { topic: topic.to_string(), item: item.into(), kind: kind.into(), total, exact }
    }
}

pub(super) async fn run(arguments: ExportArguments) -> Result<(), Failure> {
    let ExportArguments { topics, cluster } = arguments;
    let cluster = Arc::new(cluster);
    let mut out = BufWriter::new(io::stdout().lock());
    if !topics.is_empty() {
        for topics in topics.chunks(READS) {
            print(&cluster, topics, true, &mut out).await?;
        }
        return Ok(out.flush()?);
    }
    let (mut seen, mut next) = (HashSet::new(), String::new());
    loop {
        let path = format!("/v1/topics?after={}", path_segment(&next));
        let mut page: TopicPage = cluster.read_retrying(&path, RETRY_TIMEOUT).await?;
        page.topics.retain(|topic| seen.insert(hash(topic)));
        for topics in page.topics.chunks(READS) {
            print(&cluster, topics, false, &mut out).await?;
        }
        match page.next {
            Some(after) => next = after,
            None => return Ok(out.flush()?),
        }
    }
}

/// Hashes a topic; printed topics are remembered by hash, since a scan may find one twice.
fn hash(topic: &Topic) -> u64 {
    let mut hasher = DefaultHasher::new();
    topic.hash(&mut hasher);
    hasher.finish()
}

/// Prints these topics' totals, with everything that was acked before.
async fn print(
    cluster: &Arc<ClusterArguments>,
    topics: &[Topic],
    is_named: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut reading = JoinSet::new();
    for (index, topic) in topics.iter().cloned().enumerate() {
        let cluster = cluster.clone();
        reading.spawn(async move { (index, read(&cluster, &topic).await) });
    }
    let mut views = Vec::new();
    while let Some(read) = reading.join_next().await {
        let (index, view) = read?;
        match view? {
            Some(view) => views.push((index, view)),
            None if is_named => {
                let topic = topics.get(index).map(Topic::as_str).unwrap_or_default();
                return Err(Failure::failed(format!("nothing was ever counted in topic '{topic}'")));
            }
            // It was removed after it was listed.
            None => {}
        }
    }
    views.sort_by_key(|(index, _)| *index);
    for (_, view) in views {
        for (item, kinds) in view.counts {
            for (kind, total) in kinds {
                let line = Line::new(&view.topic, CounterTotal { item: item.clone(), kind, total });
                serde_json::to_writer(&mut *out, &line)?;
                out.write_all(b"\n")?;
            }
        }
    }
    Ok(())
}

/// Reads a topic; `None` when it does not exist.
async fn read(cluster: &ClusterArguments, topic: &Topic) -> Result<Option<TopicView>, Failure> {
    let path = format!("/v1/topics/{}?wait=complete", path_segment(topic.as_str()));
    let answer = retry(RETRY_TIMEOUT, Unreachable::Fails, || cluster.get(&path)).await?;
    if answer.status == NOT_FOUND { Ok(None) } else { cluster.understand(&path, answer).map(Some) }
}
