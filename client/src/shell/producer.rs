//! The producer handle: sends events into the queue of a background task.

use super::acks::OnAck;
use super::cluster::Cluster;
use super::driver::Driver;
use super::error::ClientError;
use super::handle::CounterHandle;
use super::inbox::Inbox;
use super::tally::Tally;
use super::timeline::Timeline;
use crate::machine::producer::ProducerOptions;
use countree_common::delta::Delta;
use countree_common::key::Counter;
use std::sync::Arc;
#[cfg(feature = "load")]
use std::time::Instant;

/// Sends events. Cheap to clone and to use from many tasks; copies share everything.
///
/// When the last copy is dropped without [`Producer::close`], events that were sent are still delivered for
/// as long as the runtime runs, but its results are lost.
#[derive(Debug, Clone)]
pub struct Producer {
    owner: Arc<Owner>,
}

#[derive(Debug)]
struct Owner {
    inbox: Arc<Inbox>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.inbox.end(ClientError::Closed);
    }
}

impl Producer {
    /// Starts a producer. Must run inside a tokio runtime, on which its task lives.
    ///
    /// When it can't work at all (without a UDP socket, for example), `send` and `flush` return the error.
    pub fn new(cluster: Cluster, options: ProducerOptions) -> Self {
        Self::start(cluster, options, None)
    }

    /// [`Producer::new`] with a listener for every acked batch, for measurements.
    #[cfg(feature = "load")]
    pub fn with_ack_listener(cluster: Cluster, options: ProducerOptions, on_ack: OnAck) -> Self {
        Self::start(cluster, options, Some(on_ack))
    }

    fn start(cluster: Cluster, options: ProducerOptions, on_ack: Option<OnAck>) -> Self {
        let timeline = Timeline::start();
        let inbox = Arc::new(Inbox::new(options.queued_events, timeline));
        match cluster.producer_peers() {
            Ok(peers) => {
                let driver = Driver::new(cluster, peers, inbox.clone(), timeline, (options, on_ack));
                tokio::spawn(driver.run());
            }
            Err(e) => inbox.end(e),
        }
        Self { owner: Arc::new(Owner { inbox }) }
    }

    /// Queues one event: `delta` for `kind` of `item` in `topic`. Returns once there is room for it, which is
    /// not yet an ack: [`Producer::flush`] waits for that.
    ///
    /// # Errors
    /// When a name or the delta is out of range, the producer is closed, or the cluster does not let it in.
    /// The event is not counted.
    pub async fn send(&self, topic: &str, item: &str, kind: &str, delta: i64) -> Result<(), ClientError> {
        self.send_event(&Counter::new(topic, item, kind)?, Delta::new(delta)?).await
    }

    /// [`Producer::send`] for names that were checked before.
    ///
    /// # Errors
    /// When the producer is closed, or the cluster does not let it in.
    pub async fn send_event(&self, counter: &Counter, delta: Delta) -> Result<(), ClientError> {
        self.owner.inbox.send(counter, delta).await
    }

    /// Looks a counter's name up once, for many calls of [`Producer::send_to`].
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub fn counter(&self, counter: &Counter) -> Result<CounterHandle, ClientError> {
        self.owner.inbox.handle(counter)
    }

    /// [`Producer::send`] for a counter of this producer that was looked up before.
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub async fn send_to(&self, counter: &CounterHandle, delta: Delta) -> Result<(), ClientError> {
        self.owner.inbox.send_to(counter, delta, None).await
    }

    /// [`Producer::send_to`] for many events at once, at half the cost of each.
    ///
    /// # Errors
    /// As [`Producer::send`]; the first of them may have been taken, see [`Producer::tally`].
    pub async fn send_all(&self, events: &[(&CounterHandle, Delta)]) -> Result<(), ClientError> {
        self.owner.inbox.send_all(events, None).await
    }

    /// [`Producer::send_all`] for events of which the first was due at `due`, as [`Producer::send_due`].
    ///
    /// # Errors
    /// As [`Producer::send_all`].
    #[cfg(feature = "load")]
    pub async fn send_all_due(
        &self,
        events: &[(&CounterHandle, Delta)],
        due: Instant,
    ) -> Result<(), ClientError> {
        self.owner.inbox.send_all(events, Some(due)).await
    }

    /// [`Producer::send_to`] for an event that was due at `due`: the latency of its batch is measured from
    /// then, so that the time for which a full queue kept the sender waiting is not left out.
    ///
    /// # Errors
    /// As [`Producer::send`].
    #[cfg(feature = "load")]
    pub async fn send_due(
        &self,
        counter: &CounterHandle,
        delta: Delta,
        due: Instant,
    ) -> Result<(), ClientError> {
        self.owner.inbox.send_to(counter, delta, Some(due)).await
    }

    /// Waits until every event that was sent before is acked, rejected, or in doubt for good.
    ///
    /// # Errors
    /// When the cluster does not let this producer in, or the producer is closed. The tally is right even
    /// then.
    pub async fn flush(&self) -> Result<Tally, ClientError> {
        let is_done = self.owner.inbox.flush()?;
        self.finish(is_done).await
    }

    /// Returns the results of the events so far.
    pub fn tally(&self) -> Tally {
        self.owner.inbox.tally()
    }

    /// Flushes and ends the producer, for all its copies.
    ///
    /// # Errors
    /// As [`Producer::flush`].
    pub async fn close(self) -> Result<Tally, ClientError> {
        let is_done = self.owner.inbox.flush()?;
        self.owner.inbox.end(ClientError::Closed);
        self.finish(is_done).await
    }

    async fn finish(&self, is_done: tokio::sync::oneshot::Receiver<()>) -> Result<Tally, ClientError> {
        match is_done.await {
            Ok(()) => Ok(self.tally()),
            Err(_) => Err(self.owner.inbox.ended().unwrap_or(ClientError::Stopped)),
        }
    }
}
