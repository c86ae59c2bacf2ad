//! Runs `countree plan`: prints the steps to a manifest, and the shares that they move.

use crate::arguments::{ClusterArguments, ManifestArguments};
use crate::host::tier_of;
use crate::report::Report;
use crate::resize::{Action, Moves, Resize, Share, Sizes, Step, steps};
use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::config::Manifest;
use countree_common::shell::failure::Failure;
use countree_common::shell::http::ClusterInfo;
use countree_common::shell::overview::Status;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

const DRY_RUN: &str = "/v1/manifest?dry_run=true";

/// The output of `plan --json`.
#[derive(Debug, Serialize)]
struct Plan {
    /// Whether `countree apply` can do it; `false` when something else than `countree up` runs the nodes.
    applies: bool,
    come: Vec<NodeName>,
    go: Vec<NodeName>,
    /// The steps in order.
    steps: Vec<Step>,
    moves: Moves,
}

pub(super) async fn run(arguments: ManifestArguments, report: Report) -> Result<(), Failure> {
    let ManifestArguments { manifest: path, cluster } = arguments;
    let (text, manifest) = read(&path)?;
    let info: ClusterInfo = cluster.read("/v1/cluster").await?;
    let status: Status = cluster.read("/v1/status").await?;
    if info.cluster != manifest.cluster.name {
        return Err(Failure::failed(format!(
            "{} is the manifest of cluster '{}', and '{}' runs at {}: nothing was changed",
            path.display(),
            manifest.cluster.name,
            info.cluster,
            cluster.url
        )));
    }
    let planned = dry_run(&cluster, &text).await?;
    let applies = planned.is_some();
    let steps = match planned {
        Some(resize) => resize.steps,
        None => steps(&by_tier(&info.view)?, &Sizes::of(&manifest))?,
    };
    let viewers =
        status.nodes.into_iter().filter_map(|n| Some((n.node.name, n.stats?.connections))).collect();
    let moves = Moves::of(&info.view, &steps, &viewers);
    let of = |action| steps.iter().filter(|s| s.action == action).map(|s| s.node.clone()).collect();
    let plan = Plan { applies, come: of(Action::Start), go: of(Action::Drain), moves, steps };
    report.print(&plan, || show(&plan));
    Ok(())
}

/// Reads a manifest; returns its text and its settings.
pub(super) fn read(path: &Path) -> Result<(String, Manifest), Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::usage(format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
    // Without this process's environment: the variables that count are those of the cluster.
    let manifest = Manifest::parse(&text, &|_| None).map_err(|e| wrong(&e))?;
    Ok((text, manifest))
}

/// The body that carries a manifest.
pub(super) fn body(text: &str) -> Vec<u8> {
    serde_json::json!({ "manifest": text }).to_string().into_bytes()
}

/// Asks the cluster for its steps; `None` when something else than `countree up` runs its nodes.
async fn dry_run(cluster: &ClusterArguments, text: &str) -> Result<Option<Resize>, Failure> {
    let answer = cluster.request("POST", DRY_RUN, None, Some(body(text))).await?;
    if answer.status == super::request::NOT_FOUND {
        return Ok(None);
    }
    cluster.understand(DRY_RUN, answer).map(Some)
}

fn by_tier(view: &ClusterView) -> Result<BTreeMap<Tier, BTreeSet<NodeName>>, Failure> {
    let mut tiers: BTreeMap<Tier, BTreeSet<NodeName>> = BTreeMap::new();
    for node in &view.nodes {
        tiers.entry(tier_of(&node.name)?).or_default().insert(node.name.clone());
    }
    Ok(tiers)
}

fn show(plan: &Plan) -> String {
    if plan.steps.is_empty() {
        return "nothing to do: the cluster is as the manifest says".into();
    }
    let mut text = String::new();
    for step in &plan.steps {
        let sign = if step.action == Action::Start { '+' } else { '-' };
        let _ = writeln!(text, "{sign} {}", step.node);
    }
    let Moves { items, topics, keys, viewers } = &plan.moves;
    for (what, share) in [("items", items), ("topics", topics), ("keys", keys), ("viewers", viewers)] {
        let Share { moves, ideal } = share;
        let _ = writeln!(text, "{what:<8} {:>5.1} % move (ideal: {:.1} %)", moves * 100.0, ideal * 100.0);
    }
    text + if plan.applies {
        "countree apply does it, live"
    } else {
        "something else than countree up runs these nodes: change their number there (docs/resizing.md)"
    }
}
