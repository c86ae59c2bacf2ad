//! Runs `countree status`: prints whether the cluster is healthy, its nodes, and their load.

use crate::arguments::ClusterArguments;
use crate::report::{Report, thousands};
use countree_common::cluster::{NodeName, Split, Tier};
use countree_common::shell::failure::{Failure, printable};
use countree_common::shell::http::ClusterInfo;
use countree_common::shell::overview::{NodeStatus, Status};
use serde::Serialize;
use std::fmt::Write;

/// Hottest items that are shown.
const HOT_ITEMS: usize = 5;

/// The output of `status --json`.
#[derive(Debug, Serialize)]
struct Overview {
    cluster: NodeName,
    /// Whether there are no problems.
    healthy: bool,
    /// The problems, each with what to do.
    problems: Vec<String>,
    /// Accepted events per second.
    events_per_s: f64,
    viewers: u64,
    #[serde(flatten)]
    status: Status,
}

pub(super) async fn run(cluster: ClusterArguments, report: Report) -> Result<(), Failure> {
    let info: ClusterInfo = cluster.read("/v1/cluster").await?;
    let overview = Overview::of(info.cluster, cluster.read("/v1/status").await?);
    report.print(&overview, || overview.show());
    Ok(())
}

/// Formats a number of nodes: `1 root`, `2 leaves`.
fn count(tier: Tier, nodes: usize) -> String {
    let one = match tier {
        Tier::Leaf => "leaf",
        Tier::Root => "root",
        Tier::Broadcast => "broadcast node",
    };
    match (tier, nodes) {
        (_, 1) => format!("1 {one}"),
        (Tier::Leaf, _) => format!("{nodes} leaves"),
        _ => format!("{nodes} {one}s"),
    }
}

const TIERS: [Tier; 3] = [Tier::Leaf, Tier::Root, Tier::Broadcast];

impl Overview {
    fn of(cluster: NodeName, status: Status) -> Self {
        let problems = problems(&status);
        let of =
            |tier| status.nodes.iter().filter(move |n| n.node.tier == tier).filter_map(|n| n.stats.as_ref());
        Self {
            cluster,
            healthy: problems.is_empty(),
            problems,
            events_per_s: of(Tier::Leaf).map(|stats| stats.events_per_s).sum(),
            viewers: of(Tier::Broadcast).map(|stats| stats.connections).sum(),
            status,
        }
    }

    fn show(&self) -> String {
        let Self { cluster, status, .. } = self;
        let sizes =
            TIERS.map(|tier| count(tier, status.nodes.iter().filter(|n| n.node.tier == tier).count()));
        let mut text = format!(
            "{}: {}; {:.0} events/s, {} viewers",
            if self.healthy { "healthy" } else { "NOT HEALTHY" },
            sizes.join(", "),
            self.events_per_s,
            number(self.viewers)
        );
        for problem in &self.problems {
            let _ = write!(text, "\n  {}", printable(problem));
        }
        let _ = write!(text, "\ncluster {cluster}, ring epoch {}", status.epoch);
        let _ = write!(text, "\n{:<12} {:<9} {:<21}  LOAD", "NODE", "TIER", "ADDRESS (QUIC)");
        for tier in TIERS {
            for node in status.nodes.iter().filter(|n| n.node.tier == tier) {
                let _ = write!(text, "\n{}", show_node(node));
            }
        }
        for leaf in &status.away {
            let _ = write!(text, "\n{:<12} leaf      away", leaf.as_str());
        }
        text + &show_items(status)
    }
}

/// Lists the problems, each with what to do.
fn problems(status: &Status) -> Vec<String> {
    let mut problems = Vec::new();
    for tier in TIERS {
        if !status.nodes.iter().any(|n| n.node.tier == tier) {
            problems.push(format!("no {} runs: start one", count(tier, 1).trim_start_matches("1 ")));
        }
    }
    for leaf in &status.away {
        problems.push(format!(
            "{leaf} is away, and what it acked and had not merged waits with it: it is leaving, or has crashed; start it again on \
             its data folder, or give it up with countree drain {leaf} --dead"
        ));
    }
    for NodeStatus { node, stats } in &status.nodes {
        match stats {
            None => problems.push(format!("{} has not said how it does: look again in a second", node.name)),
            Some(stats) => {
                problems.extend(stats.trouble.iter().map(|trouble| format!("{}: {trouble}", node.name)))
            }
        }
    }
    problems
}

/// Lists the hottest items, and the split ones.
fn show_items(status: &Status) -> String {
    let mut text = String::new();
    let mut hot: Vec<_> =
        status.nodes.iter().filter_map(|n| n.stats.as_ref()).flat_map(|s| &s.hot_items).collect();
    hot.sort_by(|a, b| b.2.total_cmp(&a.2));
    for (topic, item, rate) in hot.iter().take(HOT_ITEMS) {
        let _ = write!(
            text,
            "\nhot item  {} {}  {rate:.0} events/s",
            printable(topic.as_str()),
            printable(item.as_str())
        );
    }
    for Split { topic, item, ways } in &status.splits {
        let _ = write!(
            text,
            "\nsplit     {} {}  over {ways} leaves",
            printable(topic.as_str()),
            printable(item.as_str())
        );
    }
    text
}

fn number(n: u64) -> String {
    thousands(i64::try_from(n).unwrap_or(i64::MAX))
}

fn show_node(status: &NodeStatus) -> String {
    let NodeStatus { node, stats } = status;
    let address = node.quic.to_string();
    let mut text = format!("{:<12} {:<9} {address:<21}", node.name.as_str(), node.tier.to_string());
    let Some(stats) = stats else { return text.trim_end().to_owned() };
    let _ = match node.tier {
        Tier::Leaf => write!(
            text,
            "  {:.0} events/s, lag {} ms, {} producers, {} counters, {} MiB of log",
            stats.events_per_s,
            number(stats.lag_ms),
            number(stats.connections),
            number(stats.entries),
            stats.log_bytes >> 20
        ),
        Tier::Root => write!(text, "  {:.0} events/s merged", stats.events_per_s),
        Tier::Broadcast => {
            write!(text, "  {} viewers, {} topics", number(stats.connections), number(stats.entries))
        }
    };
    text
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
