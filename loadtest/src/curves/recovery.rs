//! Measures the time that a killed leaf takes to start again, by the length of its log.

use super::growth::{Growth, Measure};
use super::sizes::sizes;
use crate::arguments::{CurvesArguments, Store, Target};
use crate::cluster::Cluster;
use crate::load::Load;
use crate::load::plan::Plan;
use crate::load::transport::Transport;
use countree_common::shell::failure::Failure;
use std::time::Duration;

const MEASURES: [Measure; 2] = [("kill -9 to ready", "s"), ("the same a GB", "s a GB")];
/// A leaf that is not ready after this long won't be.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const MANNER: Transport = Transport::Quic { batch: None, in_flight: None };

/// Fills a log, kills the leaf, and starts it again; a cluster of its own for each size.
///
/// # Errors
/// When one does not come up, or does not come up again.
pub(super) async fn curve(arguments: &CurvesArguments) -> Result<Growth, Failure> {
    let mut growth = Growth::new("log bytes", &MEASURES);
    let million = 1_000_000;
    for events in sizes(&[million, 10 * million, 30 * million, 100 * million], arguments.quick, 2) {
        // A store that may forget keeps leaves from trimming their logs.
        let store = Store::RedisEverysec;
        let target = Target { apart: true, store, countree: arguments.countree.clone(), ..Target::default() };
        let mut cluster = Cluster::start(&target).await?;
        let plan = Plan {
            events,
            keys: 100_000,
            topics: 100,
            exponent: 1.1,
            producers: 2,
            rate: None,
            seed: 1,
            prefix: "loadtest-curves".into(),
        };
        let mut load = Load::connect(plan, MANNER, &cluster, false).await?;
        load.round(&cluster, 0).await?;
        let log = cluster.endpoints.log_bytes().await.unwrap_or(0) as f64;
        let took = cluster.kill_and_start_leaf(START_TIMEOUT).await?.as_secs_f64();
        let wrong = load.differences(&cluster).await?.len();
        let complaint = (wrong > 0).then(|| format!("{wrong} counters are not exact after the restart"));
        growth.add(log, &[Some(took), (log > 1e7).then(|| took * 1e9 / log)], complaint);
    }
    Ok(growth)
}
