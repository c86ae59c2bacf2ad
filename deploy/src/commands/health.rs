//! Runs `countree health`: checks whether a node can do its work, for containers without curl.

use crate::arguments::ClusterArguments;
use crate::report::Report;
use countree_common::shell::failure::Failure;
use countree_common::shell::http::ErrorBody;

pub(super) async fn run(node: ClusterArguments, report: Report) -> Result<(), Failure> {
    let answer = node.get("/readyz").await?;
    if answer.status == super::request::OK {
        report.print(&serde_json::json!({ "ready": true }), || "ready".into());
        return Ok(());
    }
    let why = serde_json::from_slice::<ErrorBody>(&answer.body).map(|body| body.error.message);
    Err(Failure::failed(why.unwrap_or_else(|_| format!("{} answers {}", node.url, answer.status))))
}
