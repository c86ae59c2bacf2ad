//! `loadtest ingest`: many producers, one cluster, and the totals in the end.

mod exactness;
mod produce;
mod progress;
mod settle;

use crate::arguments::IngestArguments;
use crate::figures::{Figures, Processors};
use crate::http::Site;
use crate::latency::AckLatency;
use crate::plan::Plan;
use crate::server::Server;
use crate::zipf::Zipf;
use crate::{page, processor};
use countree_common::shell::failure::Failure;
use produce::Producers;
use std::sync::Arc;
use std::time::Instant;

/// Measures, prints, and fails when a total is not what it must be.
pub(crate) async fn run(arguments: IngestArguments, json: bool) -> Result<(), Failure> {
    let plan = Arc::new(arguments.plan(rand::random())?);
    let mut server = match arguments.target.cluster {
        Some(_) => None,
        None => Some(Server::start(&arguments.target).await?),
    };
    let url = server.as_ref().map(|server| server.url.clone()).or(arguments.target.cluster);
    let site = Site { url: url.unwrap_or_default(), token: arguments.target.token };
    let process = server.as_ref().map(Server::process);
    let latency = Arc::new(AckLatency::new()?);

    let figures = tokio::select! {
        figures = measure(plan, &site, process.as_deref(), latency.clone(), json) => figures?,
        failure = ended(server.as_mut()) => return Err(failure),
    };
    drop(server);

    if let Some(path) = arguments.report {
        let page = page::page(&figures, &latency.curve());
        std::fs::write(&path, page).map_err(|e| Failure::failed(format!("{}: {e}", path.display())))?;
    }
    println!("{}", if json { serde_json::to_string(&figures)? } else { figures.table() });
    figures.verdict().map_or(Ok(()), |complaint| Err(Failure::failed(complaint)))
}

/// Says how our own cluster ended; another one is not watched.
async fn ended(server: Option<&mut Server>) -> Failure {
    match server {
        Some(server) => server.ended().await,
        None => std::future::pending().await,
    }
}

async fn measure(
    plan: Arc<Plan>,
    site: &Site,
    process: Option<&str>,
    latency: Arc<AckLatency>,
    json: bool,
) -> Result<Figures, Failure> {
    let zipf = Arc::new(Zipf::new(plan.keys, plan.exponent));
    let producers = Producers::connect(&plan, site, &latency).await?;
    let log_bytes = site.log_bytes().await;
    latency.begin();

    let server_seconds = || process.map(processor::seconds).transpose();
    let (server_before, own_before) = (server_seconds()?, processor::seconds("self")?);
    let progress = progress::show(&producers, plan.events, json);
    let start = now();
    let tally = producers.send_all(&plan, &zipf, start).await?;
    let end = latency.last_ack().unwrap_or(start);
    let (server_acked, own_after) = (server_seconds()?, processor::seconds("self")?);
    drop(progress);
    settle::settled(site).await?;
    let (server_merged, merged) = (server_seconds()?, now());
    let log_bytes_after = site.log_bytes().await;

    let differences = exactness::check(&plan, &zipf, site).await?;
    let since = |after: Option<f64>| Some(processor::between(server_before?, after?));
    Ok(Figures::new(
        &plan,
        &tally,
        end.saturating_duration_since(start),
        merged.saturating_duration_since(start),
        Processors {
            server_acked: since(server_acked),
            server_merged: since(server_merged),
            own: processor::between(own_before, own_after),
        },
        latency.percentiles(),
        log_bytes_after.zip(log_bytes).and_then(|(after, before)| after.checked_sub(before)),
        differences,
    ))
}

#[allow(clippy::disallowed_methods, reason = "measuring takes a clock")]
fn now() -> Instant {
    Instant::now()
}
