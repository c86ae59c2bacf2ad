//! The load: its plan, its senders, and the check of its totals.

pub(crate) mod exactness;
pub(crate) mod latency;
pub(crate) mod plan;
pub(crate) mod post;
pub(crate) mod produce;
pub(crate) mod progress;
pub(crate) mod settle;
pub(crate) mod transport;
pub(crate) mod zipf;

use crate::clock::now;
use crate::cluster::Cluster;
use crate::cluster::usage::{self, Usage};
use countree_client::Tally;
use countree_common::shell::failure::Failure;
use exactness::{Difference, Expected};
use latency::AckLatency;
use plan::Plan;
use std::sync::Arc;
use std::time::Duration;
use transport::{Senders, Transport};
use zipf::Zipf;

/// Senders that are connected, and what they have sent so far.
pub(crate) struct Load {
    plan: Plan,
    zipf: Arc<Zipf>,
    senders: Senders,
    expected: Expected,
    pub(crate) latency: Arc<AckLatency>,
    is_loud: bool,
}

/// One stretch of sending.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) tally: Tally,
    /// The time from the first send to the last ack.
    pub(crate) elapsed: Duration,
    /// The time from the first send until everything was in the store.
    pub(crate) merged: Duration,
    /// The server's processor time until the last ack.
    pub(crate) used_acked: Usage,
    /// The server's processor time until everything was merged: the whole work.
    pub(crate) used: Usage,
    /// This process's processor time until the last ack, in seconds.
    pub(crate) own: f64,
    /// The growth of the leaves' logs in bytes, where the cluster reports it.
    pub(crate) log_bytes: Option<u64>,
}

impl Load {
    /// Connects the senders; each sends one event that is not measured.
    ///
    /// # Errors
    /// When the cluster does not take events.
    pub(crate) async fn connect(
        plan: Plan,
        transport: Transport,
        cluster: &Cluster,
        is_loud: bool,
    ) -> Result<Self, Failure> {
        let latency = Arc::new(AckLatency::new()?);
        let zipf = Arc::new(Zipf::new(plan.keys, plan.exponent));
        let senders = Senders::connect(&plan, transport, &cluster.endpoints, &latency).await?;
        let expected = Expected::new(&plan);
        Ok(Self { plan, zipf, senders, expected, latency, is_loud })
    }

    /// Sends the whole plan, drawn anew for each `round`, and waits until all of it is merged.
    ///
    /// # Errors
    /// When the cluster fails, or its ledger does not balance.
    pub(crate) async fn round(&mut self, cluster: &Cluster, round: u32) -> Result<Round, Failure> {
        let plan =
            Arc::new(Plan { seed: self.plan.seed.wrapping_add(u64::from(round) << 32), ..self.plan.clone() });
        let log_bytes = cluster.endpoints.log_bytes().await;
        self.latency.begin();
        let (before, own_before) = (cluster.usage()?, usage::seconds("self")?);
        let progress = progress::show(&self.latency, plan.events, self.is_loud);
        let start = now();
        let tally = self.senders.send_all(&plan, &self.zipf, start).await?;
        let end = self.latency.last_ack().unwrap_or(start);
        let (acked, own) = (cluster.usage()?, usage::seconds("self")?);
        drop(progress);
        settle::settled(&cluster.endpoints).await?;
        let (after, merged) = (cluster.usage()?, now());
        let log_bytes_after = cluster.endpoints.log_bytes().await;
        self.expected.add(&plan, &self.zipf);
        Ok(Round {
            tally,
            elapsed: end.saturating_duration_since(start),
            merged: merged.saturating_duration_since(start),
            used_acked: acked.since(&before),
            used: after.since(&before),
            own: usage::between(own_before, own),
            log_bytes: log_bytes_after.zip(log_bytes).and_then(|(after, before)| after.checked_sub(before)),
        })
    }

    /// Reads every total, and returns those that are not what all rounds together have sent.
    ///
    /// # Errors
    /// When the totals can't be read.
    pub(crate) async fn differences(&self, cluster: &Cluster) -> Result<Vec<Difference>, Failure> {
        exactness::check(&self.plan, &self.expected, &cluster.endpoints).await
    }
}
