//! Runs `countree backup`: copies a running embedded store, with the files that a restored data folder needs.

use super::request::{Unreachable, retry};
use crate::arguments::BackupArguments;
use crate::report::{Report, thousands};
use countree_common::shell::clock::wall;
use countree_common::shell::failure::Failure;
use countree_common::shell::overview::BackedUp;
use std::path::absolute;
use std::time::Duration;

const PATH: &str = "/v1/backups";
/// Time for a recovering cluster to become ready.
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

pub(super) async fn run(arguments: BackupArguments, report: Report) -> Result<(), Failure> {
    let BackupArguments { folder, cluster } = arguments;
    let folder = absolute(&folder)?;
    let id = format!("backup-{}-{}", std::process::id(), wall().0);
    let asked = serde_json::json!({ "folder": folder, "id": id });
    let body = serde_json::to_vec(&asked)?;
    let bytes = loop {
        let asking = || cluster.request("POST", PATH, None, Some(body.clone()));
        let answer = retry(RETRY_TIMEOUT, Unreachable::Fails, asking).await?;
        let state: BackedUp = cluster.understand(PATH, answer)?;
        match state.bytes {
            Some(bytes) => break bytes,
            None => tokio::time::sleep(POLL).await,
        }
    };
    let value = serde_json::json!({ "folder": folder, "bytes": bytes });
    let number = thousands(i64::try_from(bytes).unwrap_or(i64::MAX));
    report.print(&value, || format!("backed up: {number} bytes in {}", folder.display()));
    Ok(())
}
