//! Runs `countree reset`: sets totals to 0.

use crate::arguments::ResetArguments;
use crate::report::Report;
use countree_common::shell::clock::wall;
use countree_common::shell::failure::{Failure, printable};
use countree_common::shell::http::path_segment;
use serde_json::Value;
use std::time::Duration;

/// Time for a leaf that is away to come back.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) async fn run(arguments: ResetArguments, report: Report) -> Result<(), Failure> {
    let ResetArguments { topic, item, kind, id, cluster } = arguments;
    let mut path = format!("/v1/topics/{}", path_segment(topic.as_str()));
    let item_query = item.as_ref().map(|i| format!("item={}", path_segment(i.as_str())));
    let kind_query = kind.as_ref().map(|k| format!("kind={}", path_segment(k.as_str())));
    let query: Vec<_> = item_query.into_iter().chain(kind_query).collect();
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let id = id.unwrap_or_else(|| format!("reset-{}-{}", std::process::id(), wall().0));
    let answer: Value = cluster.request_retrying("DELETE", &path, Some(&id), RETRY_TIMEOUT).await?;
    let topic = printable(topic.as_str());
    let (item, kind) = (item.map(|i| printable(i.as_str())), kind.map(|k| printable(k.as_str())));
    let what = match (&item, &kind) {
        (None, _) => format!("every total of {topic}"),
        (Some(item), None) => format!("every total of {item} in {topic}"),
        (Some(item), Some(kind)) => format!("{kind} of {item} in {topic}"),
    };
    report.print(&answer, || format!("reset: {what} is 0, but for what came after"));
    Ok(())
}
