//! Runs `countree drain`: takes one node out gracefully, or gives up a dead leaf.

use super::audit;
use crate::arguments::{ClusterArguments, DrainArguments};
use crate::report::Report;
use countree_common::cluster::NodeName;
use countree_common::shell::failure::Failure;
use countree_common::shell::overview::{Draining, Forgotten, NodeStatus, Status};
use indicatif::ProgressBar;
use std::io::IsTerminal;
use std::time::Duration;

/// Time for a node to leave; after that an operator has to look at it.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

pub(super) async fn run(arguments: DrainArguments, report: Report) -> Result<(), Failure> {
    let DrainArguments { node, dead, cluster } = arguments;
    if dead {
        return give_up(&node, &cluster, report).await;
    }
    let path = format!("/v1/nodes/{node}/drain");
    let answer = cluster.request("POST", &path, None, None).await?;
    let draining: Draining = cluster.understand(&path, answer)?;
    let progress = progress(report);
    let left = tokio::time::timeout(DRAIN_TIMEOUT, left(&draining, &cluster, &progress)).await;
    progress.finish_and_clear();
    left.map_err(|_| {
        let seconds = DRAIN_TIMEOUT.as_secs();
        Failure::failed(format!(
            "{node} is still leaving after {seconds} s: its log and countree status say why"
        ))
    })??;
    let audit = audit::after_change(&cluster).await?;
    let value = serde_json::json!({ "drained": node, "audit": audit });
    report.print(&value, || format!("{node} has left\n{}", audit::show(&audit)));
    if audit.balanced { Ok(()) } else { Err(Failure::silent()) }
}

/// Returns once the node is neither listed nor away with unmerged events.
async fn left(
    draining: &Draining,
    cluster: &ClusterArguments,
    progress: &ProgressBar,
) -> Result<(), Failure> {
    loop {
        let status: Status = cluster.read_retrying("/v1/status", DRAIN_TIMEOUT).await?;
        let is_it =
            |n: &&NodeStatus| n.node.name == draining.draining && n.node.incarnation == draining.incarnation;
        let listed = status.nodes.iter().find(is_it);
        if listed.is_none() && !status.away.contains(&draining.draining) {
            return Ok(());
        }
        let lag = listed.and_then(|n| n.stats.as_ref()).map(|stats| format!(", {} ms behind", stats.lag_ms));
        progress.set_message(format!("{} is leaving{}", draining.draining, lag.unwrap_or_default()));
        tokio::time::sleep(POLL).await;
    }
}

async fn give_up(node: &NodeName, cluster: &ClusterArguments, report: Report) -> Result<(), Failure> {
    let path = format!("/v1/nodes/{node}");
    let answer = cluster.request("DELETE", &path, None, None).await?;
    let forgotten: Forgotten = cluster.understand(&path, answer)?;
    report.print(&forgotten, || {
        format!(
            "{node} is given up: what it had accepted and not merged is lost with its disk, and requests with the \
             idempotency keys that it remembered are answered with 409 until those expire; countree audit says how many \
             events are known to be lost"
        )
    });
    Ok(())
}

fn progress(report: Report) -> ProgressBar {
    if report.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(POLL);
    progress
}
