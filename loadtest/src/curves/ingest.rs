//! Measures the cost of taking events, by counters, topics, producers, leaves and events in a message.

use super::growth::{Growth, Measure};
use super::sizes::sizes;
use crate::arguments::{CurvesArguments, Growing, Target};
use crate::cluster::Cluster;
use crate::cluster::process::ProcessKind;
use crate::cluster::usage;
use crate::load::plan::Plan;
use crate::load::transport::Transport;
use countree_common::shell::failure::Failure;

const MEASURES: [Measure; 4] = [
    ("leaf alone", "ns of CPU an event"),
    ("whole server", "ns of CPU an event"),
    ("events", "a second"),
    ("memory of the leaf", "bytes a counter"),
];
const COUNTERS: &str = "countree_leaf_counters";
/// The least number of counters at which memory is reported: below it, a leaf's fixed memory outweighs them.
const COUNTERS_FOR_MEMORY: u32 = 100_000;

/// One size: a cluster, and what is sent to it.
struct Size {
    size: f64,
    leaves: u32,
    batch: Option<usize>,
    plan: Plan,
}

/// Measures a cluster of its own at each size.
///
/// # Errors
/// When one does not come up.
pub(super) async fn curve(arguments: &CurvesArguments, growing: Growing) -> Result<Growth, Failure> {
    let (name, sizes) = sizes_of(growing, arguments.quick);
    let mut growth = Growth::new(name, &MEASURES);
    for Size { size, leaves, batch, plan } in sizes {
        let target = Target {
            apart: true,
            leaves: Some(leaves),
            countree: arguments.countree.clone(),
            ..Target::default()
        };
        let cluster = Cluster::start(&target).await?;
        let resident = || cluster.process(ProcessKind::Leaf).map(usage::resident_bytes).transpose();
        let bytes_before = resident()?;
        let transport = Transport::Quic { batch, in_flight: None };
        let (figures, _) = tokio::select! {
            measured = crate::ingest::measure(&plan, transport, &cluster, false) => measured?,
            failure = cluster.ended() => return Err(failure),
        };
        let grown = resident()?.zip(bytes_before).map(|(after, before)| after.saturating_sub(before) as f64);
        let counters = cluster.metric(COUNTERS).await.map(|counters| counters as f64);
        let is_telling = growing == Growing::Counters && plan.keys >= COUNTERS_FOR_MEMORY;
        // A leaf whose producers have gone may have forgotten their names by now.
        let counters = counters.filter(|counters| is_telling && *counters > 0.0);
        let memory = grown.zip(counters).map(|(bytes, counters)| bytes / counters);
        let nanoseconds = |rate: Option<f64>| rate.map(|rate| 1e9 / rate);
        let costs = [
            nanoseconds(figures.events_per_leaf_core_s),
            nanoseconds(figures.events_per_core_s),
            Some(figures.events_per_s),
            memory,
        ];
        growth.add(size, &costs, figures.verdict());
    }
    Ok(growth)
}

fn sizes_of(growing: Growing, quick: bool) -> (&'static str, Vec<Size>) {
    let events = if quick { 200_000 } else { 5_000_000 };
    let plan = Plan {
        events,
        keys: if quick { 10_000 } else { 1_000_000 },
        topics: 100,
        exponent: 1.1,
        producers: 2,
        rate: None,
        seed: 1,
        prefix: "loadtest-curves".into(),
    };
    let with = |size: u32, plan: Plan| Size { size: f64::from(size), leaves: 1, batch: None, plan };
    let plan = || plan.clone();
    match growing {
        Growing::Topics => {
            let topics = sizes(&[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000], quick, 4);
            ("topics", topics.into_iter().map(|n| with(n, Plan { topics: n, ..plan() })).collect())
        }
        Growing::Producers => {
            let producers = sizes(&[1, 10, 100, 1_000], quick, 3).into_iter();
            let plan = |producers: u16| Plan { producers, keys: 10_000, ..plan() };
            ("producers", producers.map(|n| with(n.into(), plan(n))).collect())
        }
        Growing::Leaves => {
            let size = |leaves: u32| Size { leaves, ..with(leaves, plan()) };
            ("leaves", sizes(&[1, 2, 3, 4], quick, 2).into_iter().map(size).collect())
        }
        Growing::Batch => {
            let batches = sizes(&[1, 10, 100, 1_000, 10_000, 25_000], quick, 3).into_iter();
            // Small messages are slow: as many messages as the time allows.
            let plan =
                |batch: u32| Plan { events: events.min(u64::from(batch) * 20_000), keys: 10_000, ..plan() };
            let size = |batch: u32| Size { batch: Some(batch as usize), ..with(batch, plan(batch)) };
            ("events in a message", batches.map(size).collect())
        }
        _ => {
            let counters = sizes(&[1_000, 10_000, 100_000, 1_000_000, 10_000_000], quick, 3).into_iter();
            // Evenly, so that each of them is active; at least twice as many events as counters.
            let plan = |keys: u32| Plan {
                keys,
                exponent: 0.0,
                topics: (keys / 1_000).clamp(1, 1_000),
                events: events.max(2 * u64::from(keys)),
                ..plan()
            };
            ("counters", counters.map(|n| with(n, plan(n))).collect())
        }
    }
}
