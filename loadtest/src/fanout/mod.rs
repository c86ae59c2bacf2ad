//! `loadtest fanout`: many viewers of counters that change all the time.

mod figures;

use crate::arguments::{FanoutArguments, Show, Target};
use crate::audience::changes::ChangeProducer;
use crate::audience::{self, Seen};
use crate::clock::now;
use crate::cluster::Cluster;
use crate::cluster::process::ProcessKind;
use crate::cluster::usage::{self, Usage};
use crate::report::{self, page};
use countree_client::{Cluster as ClientCluster, Producer, ProducerOptions};
use countree_common::key::Topic;
use countree_common::shell::failure::Failure;
pub(crate) use figures::Figures;
use std::time::Duration;

/// Time for viewers to see the last change.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The pause between the last connection and the first change, in which work for new connections ends.
const LEAD: Duration = Duration::from_millis(500);
const DELIVERIES: &str = "countree_broadcast_datagrams_total";

/// Measures, prints, and fails when a viewer is not shown the last total.
pub(crate) async fn run(arguments: FanoutArguments, json: bool) -> Result<(), Failure> {
    let target = arguments.show.pace(&arguments.target)?;
    let target = Target { apart: target.cluster.is_none(), ..target };
    let figures = measure(&arguments.show, &target, !json).await?;
    report::write(arguments.report.as_deref(), || {
        let plot = page::latency_plot(
            "Age of what is shown, by percentile",
            &[("staleness".into(), figures.curve.clone())],
        );
        page::document(&format!("fan-out to {} viewers", figures.viewers), &figures.rows(), &plot)
    })?;
    report::print(json, &figures, &figures.rows(), "")?;
    figures.verdict().map_or(Ok(()), |complaint| Err(Failure::failed(complaint)))
}

/// One show on a cluster that is started for it.
///
/// # Errors
/// When the cluster fails; what viewers miss is in the figures instead.
pub(crate) async fn measure(show: &Show, target: &Target, is_loud: bool) -> Result<Figures, Failure> {
    let cluster = Cluster::start(target).await?;
    tokio::select! {
        figures = perform(show, &cluster, is_loud) => figures,
        failure = cluster.ended() => Err(failure),
    }
}

async fn perform(show: &Show, cluster: &Cluster, is_loud: bool) -> Result<Figures, Failure> {
    let run: u32 = rand::random();
    let topics: Vec<Topic> = (0..show.topics)
        .map(|n| Topic::new(&format!("loadtest-{run:08x}/show-{n}")))
        .collect::<Result<_, _>>()?;
    let client = ClientCluster::discover(&cluster.endpoints.url, None).await?;
    let producer = Producer::new(client, ProducerOptions::default());
    let mut changer = ChangeProducer::new(producer, &topics, show.counters).await?;

    let viewers = show.viewers as usize;
    let seen = Seen::new(viewers)?;
    let resident = || cluster.process(ProcessKind::Broadcast).map(usage::resident_bytes).transpose();
    let (bytes_before, idle) = (resident()?, cluster.usage()?);
    let watching = audience::gather(&cluster.endpoints.url, &topics, viewers, &seen).await?;
    let connecting = cluster.usage()?.since(&idle);
    let bytes = resident()?.zip(bytes_before).map(|(after, before)| after.saturating_sub(before));
    if is_loud {
        eprintln!("{viewers} viewers are connected");
    }

    let schedule = changer.schedule(now() + LEAD, show.period(), show.changes());
    seen.begin(schedule);
    tokio::time::sleep(LEAD).await;
    let datagrams = cluster.metric(DELIVERIES).await;
    let (start, before, own_before) = (now(), cluster.usage()?, usage::seconds("self")?);
    changer.follow(schedule).await?;
    let behind = seen.all_saw(schedule.last(), REQUEST_TIMEOUT).await.err().unwrap_or(0);
    let (elapsed, after, own) = (start.elapsed(), cluster.usage()?, usage::seconds("self")?);
    let datagrams = cluster.metric(DELIVERIES).await.zip(datagrams).map(|(after, before)| after - before);
    drop(watching);

    let mut wrong_topics = 0;
    for topic in &topics {
        let view = cluster.endpoints.topic(topic).await?;
        let totals = view.iter().flat_map(|view| view.counts.values()).flat_map(|kinds| kinds.values());
        let right = totals.filter(|total| u64::try_from(**total) == Ok(changer.total())).count();
        wrong_topics += u32::from(right != show.counters as usize);
    }
    let used: Usage = after.since(&before);
    Ok(Figures::new(
        show,
        seen.deliveries(),
        figures::Measured {
            elapsed,
            used,
            own: usage::between(own_before, own),
            connecting: connecting.of("broadcast"),
            bytes,
            datagrams,
            behind,
            wrong_topics,
            beyond: seen.is_beyond(schedule.last()),
        },
    ))
}
