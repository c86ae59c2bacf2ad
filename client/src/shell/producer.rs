//! The producer as programs use it.

use super::cluster::Cluster;
use super::driver::Driver;
use super::error::ClientError;
use super::handle::CounterHandle;
use super::inbox::Inbox;
use super::timeline::Timeline;
use crate::machine::producer::Rules;
use countree_common::delta::Delta;
use countree_common::key::Counter;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A batch that was acked: what latency is measured from.
#[cfg_attr(not(feature = "load"), doc(hidden))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckedBatch {
    /// How many events it held.
    pub events: u64,
    /// When the first of them was queued, or was due where that was earlier (`Producer::send_due`).
    pub first_queued: Instant,
    /// When the ack arrived.
    pub acked: Instant,
}

/// Called for every acked batch, on the producer's task: it should return soon.
#[cfg_attr(not(feature = "load"), doc(hidden))]
pub type OnAck = Arc<dyn Fn(AckedBatch) + Send + Sync>;

/// How a producer batches, waits and gives up. Begin with the default, and set what is to be different:
///
/// ```
/// # use countree_client::ProducerOptions;
/// # use std::time::Duration;
/// let mut options = ProducerOptions::default();
/// options.give_up = Duration::from_secs(120);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ProducerOptions {
    /// The least time between two batches to one leaf that are not full. An event waits no longer than
    /// this for company, and not at all when little is going on. By default 3 ms.
    pub linger: Duration,
    /// A batch with this many events is sent at once; 1 to 65,536, by default 16,384.
    pub batch_events: usize,
    /// A batch whose events take this many bytes is sent at once; an event mostly takes four. By default 65,536.
    pub batch_bytes: usize,
    /// Batches that one leaf may owe an ack for. By default 32.
    pub in_flight_batches: usize,
    /// Events that wait to be sent for the first time; beyond it `send` waits. By default 1,048,576.
    pub queued_events: usize,
    /// Without progress for this long, batches that were sent to a leaf are in doubt for good, and what
    /// could not even be sent is rejected. The longer, the surer: a leaf that comes back settles its batches. By default 120 s.
    pub give_up: Duration,
    /// For measurements; nothing by default.
    #[cfg(feature = "load")]
    pub on_ack: Option<OnAck>,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        let Rules { linger, batch_events, batch_bytes, in_flight_batches, give_up } = Rules::default();
        let queued_events = 1 << 20;
        Self {
            linger,
            batch_events,
            batch_bytes,
            in_flight_batches,
            queued_events,
            give_up,
            #[cfg(feature = "load")]
            on_ack: None,
        }
    }
}

impl fmt::Debug for ProducerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerOptions")
            .field("linger", &self.linger)
            .field("batch_events", &self.batch_events)
            .field("batch_bytes", &self.batch_bytes)
            .field("in_flight_batches", &self.in_flight_batches)
            .field("queued_events", &self.queued_events)
            .field("give_up", &self.give_up)
            .finish_non_exhaustive()
    }
}

/// How a producer's events ended so far. After a flush `sent` is the sum of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Taken by `send`.
    pub sent: u64,
    /// Counted, once, durably.
    pub acked: u64,
    /// Not counted, for certain.
    pub rejected: u64,
    /// Counted once or not at all; their leaf has not said and never will.
    pub in_doubt: u64,
    /// The last reasons for events that were not acked.
    pub errors: Vec<String>,
}

/// Sends events. Cheap to clone and to use from many tasks; copies share everything.
///
/// When the last copy is dropped without [`Producer::close`], what was sent is still worked on for as long
/// as the runtime runs, and nobody learns what became of it.
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
    /// When it can't work at all (no UDP socket, say), `send` and `flush` tell.
    pub fn new(cluster: Cluster, options: ProducerOptions) -> Self {
        let timeline = Timeline::start();
        let inbox = Arc::new(Inbox::new(options.queued_events, timeline));
        match cluster.producer_peers() {
            Ok(peers) => {
                let driver = Driver::new(cluster, peers, inbox.clone(), timeline, options);
                tokio::spawn(driver.run());
            }
            Err(e) => inbox.end(e),
        }
        Self { owner: Arc::new(Owner { inbox }) }
    }

    /// Leaves one event to be sent: `delta` for `kind` of `item` in `topic`. Returns once there is room for it, which is
    /// not yet an ack: [`Producer::flush`] waits for that.
    ///
    /// # Errors
    /// When a name or the delta is out of range, the producer is closed, or the cluster does not let it in. The event is
    /// not counted.
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

    /// Looks a counter's name up once, for [`Producer::send_to`] to be called often.
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

    /// [`Producer::send_to`] for many events that are at hand: they cost half as much together.
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
    /// When the cluster does not let this producer in, or the producer is closed. The tally is right even then.
    pub async fn flush(&self) -> Result<Tally, ClientError> {
        let is_done = self.owner.inbox.flush()?;
        self.finish(is_done).await
    }

    /// What became of the events so far.
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
