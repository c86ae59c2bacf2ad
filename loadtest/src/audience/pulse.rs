//! Changes at known times: at each beat every counter that is shown grows by one.

use crate::clock::now;
use countree_client::{CounterHandle, Producer};
use countree_common::delta::Delta;
use countree_common::key::{Counter, NameError, Topic};
use countree_common::shell::failure::Failure;
use std::time::{Duration, Instant};

/// The counter that viewers look at.
pub(crate) const SHOWN_ITEM: &str = "item-0";
pub(crate) const SHOWN_KIND: &str = "like";

/// The due time of each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pulse {
    start: Instant,
    period: Duration,
    /// The total before the first beat.
    base: u64,
    beats: u64,
}

impl Pulse {
    /// `beats` changes, one each `period` from `start` on, of counters that stand at `base`.
    pub(crate) fn new(start: Instant, period: Duration, base: u64, beats: u64) -> Self {
        Self { start, period, base, beats }
    }

    /// The due time of the change that brings a total to this value; `None` when it is not one of the pulse's.
    pub(crate) fn due(&self, total: u64) -> Option<Instant> {
        let beat = total.checked_sub(self.base + 1).filter(|beat| *beat < self.beats)?;
        Some(self.start + Duration::from_secs_f64(self.period.as_secs_f64() * beat as f64))
    }

    /// The total after the last beat.
    pub(crate) fn last(&self) -> u64 {
        self.base + self.beats
    }
}

/// The producer of the changes.
pub(crate) struct Heart {
    producer: Producer,
    handles: Vec<CounterHandle>,
    /// The total of each counter so far.
    total: u64,
}

impl Heart {
    /// Sets every counter of every topic to 1, so that viewers see a total at once.
    ///
    /// # Errors
    /// When the cluster does not take events.
    pub(crate) async fn new(producer: Producer, topics: &[Topic], counters: u32) -> Result<Self, Failure> {
        let all = topics.iter().flat_map(|topic| (0..counters).map(move |number| counter(topic, number)));
        let handles = all.map(|counter| Ok(producer.counter(&counter?)?)).collect::<Result<_, Failure>>()?;
        let mut heart = Self { producer, handles, total: 0 };
        heart.beat(now()).await?;
        heart.settle().await?;
        Ok(heart)
    }

    /// The pulse that [`Heart::follow`] would keep from `start` on.
    pub(crate) fn pulse(&self, start: Instant, period: Duration, beats: u64) -> Pulse {
        Pulse::new(start, period, self.total, beats)
    }

    /// Makes every change of the pulse when it is due, whether or not earlier ones were acked, and waits for all
    /// acks.
    ///
    /// # Errors
    /// When a change is not acked.
    pub(crate) async fn follow(&mut self, pulse: Pulse) -> Result<(), Failure> {
        while let Some(due) = pulse.due(self.total + 1) {
            tokio::time::sleep_until(due.into()).await;
            self.beat(due).await?;
        }
        self.settle().await
    }

    async fn beat(&mut self, due: Instant) -> Result<(), Failure> {
        for handle in &self.handles {
            self.producer.send_due(handle, Delta::ONE, due).await?;
        }
        self.total += 1;
        Ok(())
    }

    async fn settle(&self) -> Result<(), Failure> {
        let tally = self.producer.flush().await?;
        if tally.acked == tally.sent {
            return Ok(());
        }
        let why = tally.errors.last().map_or("no reason is known", String::as_str);
        Err(Failure::failed(format!("{} changes were not acked: {why}", tally.sent - tally.acked)))
    }

    /// The expected total of each counter.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

fn counter(topic: &Topic, number: u32) -> Result<Counter, NameError> {
    Counter::new(topic.as_str(), &format!("item-{number}"), SHOWN_KIND)
}
