//! The producers: each with its own sockets, connections and sessions.

use super::now;
use crate::http::Site;
use crate::latency::AckLatency;
use crate::plan::Plan;
use crate::zipf::Zipf;
use countree_client::{ClientError, Cluster, CounterHandle, OnAck, Producer, ProducerOptions, Tally};
use countree_common::delta::Delta;
use countree_common::shell::failure::Failure;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// Events that one producer lets wait to be sent. At full speed this queue is always full, and so most of
/// an event's wait: four batches keep the connection busy.
const QUEUED_EVENTS: usize = 64 << 10;

/// Producers with their connections up and their counters known.
pub(super) struct Producers {
    members: Vec<Member>,
}

struct Member {
    number: u16,
    producer: Producer,
    handles: Vec<CounterHandle>,
}

impl Producers {
    /// Connects them all. Each sends one event that is not measured, since the first one opens sessions.
    pub(super) async fn connect(
        plan: &Plan,
        site: &Site,
        latency: &Arc<AckLatency>,
    ) -> Result<Self, Failure> {
        let cluster = Cluster::discover(&site.url, site.token.clone()).await?;
        let counters = plan.counters()?;
        let mut members = Vec::new();
        for number in 0..plan.producers {
            let latency = latency.clone();
            let on_ack: OnAck = Arc::new(move |batch| latency.record(batch));
            let options = ProducerOptions {
                queued_events: QUEUED_EVENTS,
                on_ack: Some(on_ack),
                ..ProducerOptions::default()
            };
            let producer = Producer::new(cluster.clone(), options);
            let handles =
                counters.iter().map(|counter| producer.counter(counter)).collect::<Result<_, _>>()?;
            producer.send(&plan.first_sign(number)?, Delta::ONE).await?;
            members.push(Member { number, producer, handles });
        }
        let producers = Self { members };
        for member in &producers.members {
            member.producer.flush().await?;
        }
        let tally = producers.tally();
        if tally.acked < u64::from(plan.producers) {
            return Err(Failure::failed(not_acked(&tally)));
        }
        Ok(producers)
    }

    /// Copies to watch them by.
    pub(super) fn watch(&self) -> Vec<Producer> {
        self.members.iter().map(|member| member.producer.clone()).collect()
    }

    fn tally(&self) -> Tally {
        sum(self.members.iter().map(|member| member.producer.tally()))
    }

    /// Sends the whole plan and waits for every answer. Returns what became of its events.
    pub(super) async fn send_all(
        self,
        plan: &Arc<Plan>,
        zipf: &Arc<Zipf>,
        start: Instant,
    ) -> Result<Tally, Failure> {
        let before = self.tally();
        let mut tasks = JoinSet::new();
        for member in self.members {
            let (plan, zipf) = (plan.clone(), zipf.clone());
            tasks.spawn(async move {
                member.send(&plan, &zipf, start).await?;
                member.producer.close().await
            });
        }
        let mut tallies = Vec::new();
        while let Some(done) = tasks.join_next().await {
            tallies.push(done??);
        }
        let after = sum(tallies);
        Ok(Tally { sent: after.sent - before.sent, acked: after.acked - before.acked, ..after })
    }
}

impl Member {
    async fn send(&self, plan: &Plan, zipf: &Zipf, start: Instant) -> Result<(), ClientError> {
        let handles = plan.draws(zipf, self.number).filter_map(|counter| self.handles.get(counter as usize));
        let mut time = start;
        for (index, handle) in (0..).zip(handles) {
            let Some(due) = plan.due(self.number, index).map(|after| start + after) else {
                self.producer.send_to(handle, Delta::ONE).await?;
                continue;
            };
            // A look at the clock costs as much as sending, and is not needed while behind.
            if time < due {
                tokio::time::sleep_until(due.into()).await;
                time = now();
            }
            self.producer.send_due(handle, Delta::ONE, due).await?;
        }
        Ok(())
    }
}

fn sum(tallies: impl IntoIterator<Item = Tally>) -> Tally {
    let mut sum = Tally::default();
    for tally in tallies {
        sum.sent += tally.sent;
        sum.acked += tally.acked;
        sum.rejected += tally.rejected;
        sum.in_doubt += tally.in_doubt;
        // One reason is enough to go on.
        sum.errors.truncate(1);
        sum.errors.extend(tally.errors);
    }
    sum
}

fn not_acked(tally: &Tally) -> String {
    let why = tally.errors.last().map_or("no leaf answered", String::as_str);
    format!("the cluster does not take events: {why}")
}
