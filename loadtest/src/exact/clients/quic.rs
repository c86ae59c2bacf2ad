//! Producers over QUIC: half of them never wait, the other half learn the fate of each handful of events.

use crate::exact::events::catalogue::EventId;
use crate::exact::events::verdict::{Fate, Group};
use crate::exact::run::Run;
use countree_client::{Cluster, OnAck, Producer, ProducerOptions, Tally};
use countree_common::shell::failure::Failure;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// The time between two handfuls of events.
const TICK: Duration = Duration::from_millis(20);
/// No producer gives up before the run does: what a leaf owes it is asked for until the end.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// One producer's task.
pub(in crate::exact) struct QuicSender {
    run: Arc<Run>,
    number: u16,
    producer: Producer,
    sent: u32,
}

impl QuicSender {
    /// Finds the cluster through one of its nodes and starts a producer with connections of its own.
    pub(in crate::exact) async fn connect(run: Arc<Run>, number: u16, url: &str) -> Result<Self, Failure> {
        let cluster = Cluster::discover(url, None).await?;
        let (acks, latency) = (run.acks.clone(), run.latency.clone());
        let on_ack: OnAck = Arc::new(move |batch| {
            acks.record(batch.events, batch.acked);
            latency.record(batch);
        });
        let mut options = ProducerOptions::default();
        options.give_up = NEVER;
        Ok(Self { run, number, producer: Producer::with_ack_listener(cluster, options, on_ack), sent: 0 })
    }

    /// Sends until the load ends; returns the outcomes of all events.
    pub(in crate::exact) async fn work(self) -> Result<Vec<Group>, Failure> {
        if self.number.is_multiple_of(2) { self.stream().await } else { self.flush_each().await }
    }

    /// Sends without waiting for acks, so that many events are under way when a process dies.
    async fn stream(mut self) -> Result<Vec<Group>, Failure> {
        let mut ticks = interval(TICK);
        while !self.run.load_over.has_begun() {
            ticks.tick().await;
            self.send_handful().await?;
        }
        let tally = self.settle().await?;
        Ok(vec![self.group(0, &Tally::default(), &tally)])
    }

    /// Waits for every handful, so that the fate of each is known by itself.
    async fn flush_each(mut self) -> Result<Vec<Group>, Failure> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut groups, mut before) = (Vec::new(), Tally::default());
        while !self.run.load_over.has_begun() {
            ticks.tick().await;
            let first = self.sent;
            self.send_handful().await?;
            let after = self.settle().await?;
            groups.push(self.group(first, &before, &after));
            before = after;
        }
        Ok(groups)
    }

    async fn send_handful(&mut self) -> Result<(), Failure> {
        for _ in 0..self.run.handful(TICK) {
            let event = self.run.catalogue.event(EventId { sender: self.number, index: self.sent })?;
            self.producer.send_event(&event.counter, event.delta).await?;
            self.sent += 1;
        }
        Ok(())
    }

    /// Waits until everything is acked, or as long as the run has timeout after its load.
    async fn settle(&self) -> Result<Tally, Failure> {
        let end = async {
            self.run.load_over.begun().await;
            tokio::time::sleep(self.run.timeout).await;
        };
        tokio::select! {
            tally = self.producer.flush() => Ok(tally?),
            () = end => Ok(self.producer.tally()),
        }
    }

    /// Events without an answer at the end of the run's timeout are in doubt.
    fn group(&self, first: u32, before: &Tally, after: &Tally) -> Group {
        let (acked, rejected) = (after.acked - before.acked, after.rejected - before.rejected);
        let in_doubt = u64::from(self.sent - first).saturating_sub(acked + rejected);
        if rejected > 0 || in_doubt > 0 {
            let why = after.errors.last().map_or("its leaf has not answered", String::as_str);
            let fate = format!("{rejected} events rejected and {in_doubt} in doubt");
            self.run.remark(format!("producer {}: {fate}: {why}", self.number));
        }
        Group { sender: self.number, indices: first..self.sent, fate: Fate { acked, rejected, in_doubt } }
    }
}

/// Runs a task's future no longer than the run has timeout after its load.
pub(in crate::exact) async fn bounded<T>(run: &Run, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => Some(done),
        () = run.load_over.begun() => timeout(run.timeout, work).await.ok(),
    }
}
