//! Makes changes at known times: with each, every shown counter grows by one.

use crate::clock::now;
use countree_client::{CounterHandle, Producer};
use countree_common::delta::Delta;
use countree_common::key::{Counter, NameError, Topic};
use countree_common::shell::failure::Failure;
use std::time::{Duration, Instant};

/// The counter that viewers look at.
pub(crate) const SHOWN_ITEM: &str = "item-0";
pub(crate) const SHOWN_KIND: &str = "like";

/// The schedule of changes, which gives the due time of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChangeSchedule {
    start: Instant,
    period: Duration,
    /// The total before the first change.
    base: u64,
    changes: u64,
}

impl ChangeSchedule {
    /// A schedule of this many changes, one each `period` from `start` on, of counters that stand at `base`.
    pub(crate) fn new(start: Instant, period: Duration, base: u64, changes: u64) -> Self {
        Self { start, period, base, changes }
    }

    /// The due time of the change that brings a total to this value; `None` when it is not in the schedule.
    pub(crate) fn due(&self, total: u64) -> Option<Instant> {
        let change = total.checked_sub(self.base + 1).filter(|change| *change < self.changes)?;
        Some(self.start + Duration::from_secs_f64(self.period.as_secs_f64() * change as f64))
    }

    /// The total after the last change.
    pub(crate) fn last(&self) -> u64 {
        self.base + self.changes
    }
}

/// Makes the changes of a schedule.
pub(crate) struct ChangeProducer {
    producer: Producer,
    handles: Vec<CounterHandle>,
    /// The total of each counter so far.
    total: u64,
}

impl ChangeProducer {
    /// Sets every counter of every topic to 1, so that viewers see a total at once.
    ///
    /// # Errors
    /// When the cluster does not take events.
    pub(crate) async fn new(producer: Producer, topics: &[Topic], counters: u32) -> Result<Self, Failure> {
        let all = topics.iter().flat_map(|topic| (0..counters).map(move |number| counter(topic, number)));
        let handles = all.map(|counter| Ok(producer.counter(&counter?)?)).collect::<Result<_, Failure>>()?;
        let mut changer = Self { producer, handles, total: 0 };
        changer.make_change(now()).await?;
        changer.settle().await?;
        Ok(changer)
    }

    /// Makes a schedule from `start` on, for [`ChangeProducer::follow`].
    pub(crate) fn schedule(&self, start: Instant, period: Duration, changes: u64) -> ChangeSchedule {
        ChangeSchedule::new(start, period, self.total, changes)
    }

    /// Makes every change of the schedule when it is due, whether or not earlier ones were acked, and waits for all
    /// acks.
    ///
    /// # Errors
    /// When a change is not acked.
    pub(crate) async fn follow(&mut self, schedule: ChangeSchedule) -> Result<(), Failure> {
        while let Some(due) = schedule.due(self.total + 1) {
            tokio::time::sleep_until(due.into()).await;
            self.make_change(due).await?;
        }
        self.settle().await
    }

    async fn make_change(&mut self, due: Instant) -> Result<(), Failure> {
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
