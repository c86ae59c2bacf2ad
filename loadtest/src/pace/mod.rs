//! `loadtest latency`: how long an event takes to its ack, and to the screens of viewers, at shares of the capacity.

mod figures;

use crate::arguments::{LatencyArguments, Target};
use crate::audience::changes::ChangeProducer;
use crate::audience::{self, Seen};
use crate::clock::now;
use crate::cluster::Cluster;
use crate::load::Load;
use crate::load::latency::AckLatency;
use crate::load::plan::Plan;
use crate::load::transport::Transport;
use crate::report::{self, page};
use countree_client::{Cluster as ClientCluster, OnAck, Producer, ProducerOptions};
use countree_common::key::Topic;
use countree_common::shell::failure::Failure;
use figures::{Figures, Point};
use std::sync::Arc;
use std::time::Duration;

/// Changes that viewers wait for: often enough for the percentiles, and at no fixed distance to windows and ticks.
const CHANGE_PERIOD: Duration = Duration::from_micros(10_700);
/// Time for viewers to see the last change.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Events that measure the capacity: the first such round is to warm up, the second one counts.
const CAPACITY_EVENTS: u64 = 4_000_000;
const MANNER: Transport = Transport::Quic { batch: None, in_flight: None };

/// Measures, prints, and fails when an event is lost or a viewer is not shown the last change.
pub(crate) async fn run(arguments: LatencyArguments, json: bool) -> Result<(), Failure> {
    let cluster = Cluster::start(&arguments.target).await?;
    let figures = tokio::select! {
        figures = measure(&arguments, &cluster, !json) => figures?,
        failure = cluster.ended() => return Err(failure),
    };
    drop(cluster);
    report::write(arguments.report.as_deref(), || {
        let body =
            page::latency_plot("Due to a viewer's screen", &figures.curves(|point| &point.screen_curve))
                + &page::latency_plot("Due to ack", &figures.curves(|point| &point.ack_curve));
        page::document("latency", &figures.rows(), &body)
    })?;
    report::print(json, &figures, &figures.rows(), "")?;
    figures.verdict().map_or(Ok(()), |complaint| Err(Failure::failed(complaint)))
}

async fn measure(arguments: &LatencyArguments, cluster: &Cluster, is_loud: bool) -> Result<Figures, Failure> {
    let plan = |events, rate| arguments.spread.plan(rand::random(), events, arguments.producers, rate);
    let mut complaint = None;
    let capacity = match arguments.capacity {
        Some(capacity) => capacity as f64,
        None => {
            let mut load = Load::connect(plan(CAPACITY_EVENTS, None)?, MANNER, cluster, is_loud).await?;
            load.round(cluster, 0).await?;
            let round = load.round(cluster, 1).await?;
            // Until everything is merged, not only acked: the rate that the cluster can sustain.
            round.tally.acked as f64 / round.merged.as_secs_f64()
        }
    };
    let mut points = Vec::new();
    for &share in &arguments.shares {
        if is_loud {
            eprintln!("{share} % of {capacity:.0} events/s");
        }
        let rate = capacity * f64::from(share) / 100.0;
        let events = (rate * f64::from(arguments.seconds)).max(1.0) as u64;
        let point = at_share(arguments, share, plan(events, Some(rate))?, cluster).await?;
        complaint = complaint.or_else(|| point.complaint.clone());
        points.push(point);
    }
    let Target { window, tick, .. } = &arguments.target;
    Ok(Figures::new(capacity, *window, *tick, points, complaint))
}

/// Load at one rate, with a schedule that viewers watch beside it.
async fn at_share(
    arguments: &LatencyArguments,
    share: u32,
    plan: Plan,
    cluster: &Cluster,
) -> Result<Point, Failure> {
    let rate = plan.rate.unwrap_or_default();
    let topic = Topic::new(&format!("{}/pulse", plan.prefix))?;
    let mut load = Load::connect(plan, MANNER, cluster, false).await?;
    let pulse_acks = Arc::new(AckLatency::new()?);
    let mut changer = {
        let acks = pulse_acks.clone();
        let on_ack: OnAck = Arc::new(move |batch| acks.record(batch));
        let client = ClientCluster::discover(&cluster.endpoints.url, None).await?;
        ChangeProducer::new(
            Producer::with_ack_listener(client, ProducerOptions::default(), on_ack),
            std::slice::from_ref(&topic),
            1,
        )
        .await?
    };
    let seen = Seen::new(arguments.viewers as usize)?;
    let watching = audience::gather(
        &cluster.endpoints.url,
        std::slice::from_ref(&topic),
        arguments.viewers as usize,
        &seen,
    )
    .await?;

    let changes = (f64::from(arguments.seconds) / CHANGE_PERIOD.as_secs_f64()) as u64;
    let schedule = changer.schedule(now(), CHANGE_PERIOD, changes);
    seen.begin(schedule);
    pulse_acks.begin();
    let (round, changed) = tokio::join!(load.round(cluster, 0), changer.follow(schedule));
    let (round, ()) = (round?, changed?);
    let behind = seen.all_saw(schedule.last(), REQUEST_TIMEOUT).await.err().unwrap_or(0);
    drop(watching);
    let wrong = load.differences(cluster).await?.len();
    let mut complaint = None;
    let mut complain = |is_so: bool, what: String| {
        if is_so {
            complaint.get_or_insert(format!("at {share} %: {what}"));
        }
    };
    let delivered = seen.deliveries();
    complain(wrong > 0, format!("{wrong} counters are not exact"));
    complain(round.tally.acked != round.tally.sent, "not every event was acked".into());
    complain(behind > 0, format!("{behind} viewers were never shown the last change"));
    complain(delivered.steps_back > 0, format!("viewers were shown {} steps back", delivered.steps_back));
    Ok(Point {
        share,
        rate,
        events: round.tally.acked,
        reached: round.tally.acked as f64 / round.elapsed.as_secs_f64(),
        screen_ms: delivered.staleness_ms,
        ack_ms: load.latency.percentiles(),
        pulse_ack_ms: pulse_acks.percentiles(),
        screen_curve: delivered.curve,
        ack_curve: load.latency.curve(),
        complaint,
    })
}
