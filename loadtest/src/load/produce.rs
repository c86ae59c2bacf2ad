//! Runs the producers, each with its own sockets, connections and sessions.

use crate::clock::now;
use crate::cluster::endpoints::Endpoints;
use crate::load::latency::AckLatency;
use crate::load::plan::Plan;
use crate::load::zipf::Zipf;
use countree_client::{ClientError, Cluster, CounterHandle, OnAck, Producer, ProducerOptions, Tally};
use countree_common::delta::Delta;
use countree_common::shell::failure::Failure;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// Events that one producer lets wait to be sent. At full speed this queue is always full, and so most of
/// an event's wait: four batches keep the connection busy.
const QUEUED_EVENTS: usize = 64 << 10;

/// Producers with their connections up and their counters known.
pub(crate) struct Producers {
    members: Vec<Member>,
}

#[derive(Clone)]
struct Member {
    number: u16,
    producer: Producer,
    handles: Handles,
}

/// A producer's counters by number.
#[derive(Clone)]
enum Handles {
    /// All of them, looked up before anything is measured.
    All(Arc<Vec<CounterHandle>>),
    /// Only the used ones: with many producers of many counters, all would take gigabytes.
    Used(Arc<Mutex<HashMap<u32, CounterHandle>>>),
}

/// Handles that are looked up beforehand, of all producers together.
const HANDLES_BEFOREHAND: u64 = 24_000_000;

/// Events that are drawn before the first of them is sent.
const DRAWN_AT_ONCE: usize = 128;

impl Producers {
    /// Connects them all. Each sends one event that is not measured, since the first one opens sessions.
    ///
    /// # Errors
    /// When the cluster does not take events.
    pub(crate) async fn connect(
        plan: &Plan,
        batch: Option<usize>,
        in_flight: Option<usize>,
        endpoints: &Endpoints,
        latency: &Arc<AckLatency>,
    ) -> Result<Self, Failure> {
        let cluster = Cluster::discover(&endpoints.url, endpoints.token.clone()).await?;
        let mut members = Vec::new();
        for number in 0..plan.producers {
            let latency = latency.clone();
            let on_ack: OnAck = Arc::new(move |batch| latency.record(batch));
            let mut options = ProducerOptions::default();
            options.queued_events = batch.map_or(QUEUED_EVENTS, |events| (4 * events).min(QUEUED_EVENTS));
            options.batch_events = batch.unwrap_or(options.batch_events);
            options.in_flight_batches = in_flight.unwrap_or(options.in_flight_batches);
            let producer = Producer::with_ack_listener(cluster.clone(), options, on_ack);
            let handles = if u64::from(plan.keys) * u64::from(plan.producers) <= HANDLES_BEFOREHAND {
                let handles = (0..plan.keys).map(|key| Ok(producer.counter(&plan.counter(key)?)?));
                Handles::All(Arc::new(handles.collect::<Result<_, Failure>>()?))
            } else {
                Handles::Used(Arc::default())
            };
            producer.send_event(&plan.first_sign(number)?, Delta::ONE).await?;
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

    fn tally(&self) -> Tally {
        sum(self.members.iter().map(|member| member.producer.tally()))
    }

    /// Sends the whole plan and waits for every answer. Returns the outcomes of its events.
    ///
    /// # Errors
    /// When the cluster does not let the producers in.
    pub(crate) async fn send_all(
        &self,
        plan: &Arc<Plan>,
        zipf: &Arc<Zipf>,
        start: Instant,
    ) -> Result<Tally, Failure> {
        let before = self.tally();
        let mut tasks = JoinSet::new();
        for member in self.members.iter().cloned() {
            let (plan, zipf) = (plan.clone(), zipf.clone());
            tasks.spawn(async move {
                member.send(&plan, &zipf, start).await?;
                Ok::<_, Failure>(member.producer.flush().await?)
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        let after = self.tally();
        Ok(Tally {
            sent: after.sent - before.sent,
            acked: after.acked - before.acked,
            rejected: after.rejected - before.rejected,
            in_doubt: after.in_doubt - before.in_doubt,
            errors: after.errors,
        })
    }
}

impl Member {
    async fn send(&self, plan: &Plan, zipf: &Zipf, start: Instant) -> Result<(), Failure> {
        let draws = plan.draws(zipf, self.number);
        match &self.handles {
            Handles::All(handles) => {
                let mut pace = Pace::new(plan, self.number, start);
                // Draws miss the cache, but none waits for another: many at once take little longer than one.
                let (mut draws, mut drawn) = (draws, Vec::with_capacity(DRAWN_AT_ONCE));
                loop {
                    drawn.clear();
                    let known = |key| Some((handles.get(key as usize)?, Delta::ONE));
                    drawn.extend(draws.by_ref().take(DRAWN_AT_ONCE).filter_map(known));
                    if drawn.is_empty() {
                        return Ok(());
                    }
                    pace.send_all(&self.producer, &drawn).await?;
                }
            }
            Handles::Used(handles) => {
                let (mut handles, mut pace) = (handles.lock().await, Pace::new(plan, self.number, start));
                for key in draws {
                    let handle = match handles.entry(key) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => new.insert(self.producer.counter(&plan.counter(key)?)?),
                    };
                    pace.send_all(&self.producer, &[(handle, Delta::ONE)]).await?;
                }
            }
        }
        Ok(())
    }
}

/// Sends each event when it is due.
struct Pace<'a> {
    plan: &'a Plan,
    number: u16,
    start: Instant,
    index: u64,
    time: Instant,
}

impl<'a> Pace<'a> {
    fn new(plan: &'a Plan, number: u16, start: Instant) -> Self {
        Self { plan, number, start, index: 0, time: start }
    }

    async fn send_all(
        &mut self,
        producer: &Producer,
        events: &[(&CounterHandle, Delta)],
    ) -> Result<(), ClientError> {
        let mut rest = events;
        while !rest.is_empty() {
            let Some(due) = self.due(0) else { return producer.send_all(rest).await };
            // A look at the clock costs as much as sending, and is not needed while behind.
            if self.time < due {
                tokio::time::sleep_until(due.into()).await;
                self.time = now();
            }
            let is_due = |more: &usize| self.due(*more).is_some_and(|due| due <= self.time);
            let (ready, later) = rest.split_at((1..rest.len()).take_while(is_due).count() + 1);
            producer.send_all_due(ready, due).await?;
            self.index += ready.len() as u64;
            rest = later;
        }
        Ok(())
    }

    /// The due time of the event that is this many after the next one.
    fn due(&self, more: usize) -> Option<Instant> {
        Some(self.start + self.plan.due(self.number, self.index + more as u64)?)
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
