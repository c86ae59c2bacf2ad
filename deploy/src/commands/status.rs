//! `countree status`: the tiers, their nodes, and how they do.

use crate::arguments::ClusterArguments;
use crate::report::{Report, thousands};
use countree_common::cluster::{Split, Tier};
use countree_common::shell::failure::{Failure, printable};
use countree_common::shell::overview::{NodeStatus, Status};
use std::fmt::Write;

/// How many of the hottest items are shown.
const HOT_ITEMS: usize = 5;

pub(super) async fn run(cluster: ClusterArguments, report: Report) -> Result<(), Failure> {
    let status: Status = cluster.read("/v1/status").await?;
    report.print(&status, || show(&status));
    Ok(())
}

fn show(status: &Status) -> String {
    let mut text = format!("ring epoch {}", status.epoch);
    for tier in [Tier::Leaf, Tier::Root, Tier::Broadcast] {
        let nodes = status.nodes.iter().filter(|n| n.node.tier == tier);
        for node in nodes {
            let _ = write!(text, "\n{}", show_node(node));
        }
    }
    for leaf in &status.away {
        let _ = write!(text, "\n{:<12} leaf      away: it is leaving, or has crashed", leaf.as_str());
    }
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

fn show_node(status: &NodeStatus) -> String {
    let NodeStatus { node, stats } = status;
    let mut text = format!("{:<12} {:<9} {}", node.name.as_str(), node.tier.to_string(), node.quic);
    let Some(stats) = stats else { return text + "  (has not said how it does)" };
    let number = |n: u64| thousands(i64::try_from(n).unwrap_or(i64::MAX));
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
    if let Some(trouble) = &stats.trouble {
        let _ = write!(text, "\n             trouble: {trouble}");
    }
    text
}
