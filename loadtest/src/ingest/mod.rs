//! `loadtest ingest`: many producers, one cluster, and the totals in the end.

pub(crate) mod figures;

use crate::arguments::IngestArguments;
use crate::cluster::Cluster;
use crate::load::Load;
use crate::load::latency::Point;
use crate::load::plan::Plan;
use crate::load::transport::Transport;
use crate::report::{self, page};
use countree_common::shell::failure::Failure;
use figures::Figures;

/// The metric of roots that counts merged sums.
const MERGED_COUNTERS: &str = "countree_root_counters_total";
const NOTE: &str = "<p>Milliseconds from when an event was due, or handed to its producer, to its ack. Every event \
    of a batch is given the wait of the oldest in it, so none is shown faster than it was.</p>";

/// Measures, prints, and fails when a total is wrong.
pub(crate) async fn run(arguments: IngestArguments, json: bool) -> Result<(), Failure> {
    let (plan, transport) = (arguments.plan(rand::random())?, arguments.sending.transport()?);
    let cluster = Cluster::start(&arguments.target).await?;
    let (figures, curve) = tokio::select! {
        measured = measure(&plan, transport, &cluster, !json) => measured?,
        failure = cluster.ended() => return Err(failure),
    };
    drop(cluster);
    report::write(arguments.report.as_deref(), || {
        let verdict = if figures.exact { "every total is exact" } else { "the totals are NOT exact" };
        let plot = page::latency_plot("Ack latency by percentile", &[("ack".into(), curve)]);
        page::document(&format!("ingest, {verdict}"), &figures.rows(), &(plot + NOTE))
    })?;
    report::print(json, &figures, &figures.rows(), &figures.details())?;
    figures.verdict().map_or(Ok(()), |complaint| Err(Failure::failed(complaint)))
}

/// One round of the plan on a cluster, and the check of all its totals.
pub(crate) async fn measure(
    plan: &Plan,
    transport: Transport,
    cluster: &Cluster,
    is_loud: bool,
) -> Result<(Figures, Vec<Point>), Failure> {
    let mut load = Load::connect(plan.clone(), transport, cluster, is_loud).await?;
    let before = cluster.metric(MERGED_COUNTERS).await;
    let round = load.round(cluster, 0).await?;
    let merged = cluster.metric(MERGED_COUNTERS).await.zip(before).map(|(after, before)| after - before);
    let differences = load.differences(cluster).await?;
    let figures = Figures::new(plan, round, load.latency.percentiles(), merged, differences);
    Ok((figures, load.latency.curve()))
}
