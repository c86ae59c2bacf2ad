//! Runs `countree forget`: removes a topic for good.

use super::request::{NOT_FOUND, Unreachable, retry};
use crate::arguments::TopicArguments;
use crate::report::{Report, thousands};
use countree_common::shell::failure::{Failure, printable};
use countree_common::shell::http::path_segment;
use serde_json::Value;
use std::time::Duration;

/// Time for a leaf that is away to come back.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) async fn run(arguments: TopicArguments, report: Report) -> Result<(), Failure> {
    let TopicArguments { topic, cluster } = arguments;
    let path = format!("/v1/topics/{}?forget=true", path_segment(topic.as_str()));
    let asking = || cluster.request("DELETE", &path, None, None);
    let answer = retry(RETRY_TIMEOUT, Unreachable::Fails, asking).await?;
    if answer.status == NOT_FOUND {
        return Err(Failure::failed(format!(
            "nothing was ever counted in topic '{topic}': there is nothing to forget"
        )));
    }
    let answer: Value = cluster.understand(&path, answer)?;
    let events = answer.get("events").and_then(Value::as_i64).unwrap_or_default();
    report.print(&answer, || {
        let topic = printable(topic.as_str());
        format!("forgotten: {topic}, {} events; what comes from now on counts from 0", thousands(events))
    });
    Ok(())
}
