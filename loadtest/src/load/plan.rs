//! The plan of a load: the events of each producer, their counters, and when each is due.

use crate::load::zipf::Zipf;
use countree_common::key::{Counter, NameError, Topic};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use std::time::Duration;

/// The most counters: about as many as a leaf holds.
pub(crate) const COUNTERS_MAX: u32 = 16_000_000;

/// One run's events, decided by numbers alone, so that they can be drawn again to know what the totals must be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// Events of all producers; at least 1.
    pub(crate) events: u64,
    /// Counters, the most popular first; 1 to [`COUNTERS_MAX`].
    pub(crate) keys: u32,
    /// Topics that the counters are dealt to in turn; 1 to `keys`.
    pub(crate) topics: u32,
    /// Zipf's exponent; 0 is uniform.
    pub(crate) exponent: f64,
    /// Producers, at least 1.
    pub(crate) producers: u16,
    /// Events per second of all producers, or as fast as they are taken.
    pub(crate) rate: Option<f64>,
    /// The seed of the random numbers.
    pub(crate) seed: u64,
    /// The prefix of this run's topics.
    pub(crate) prefix: String,
}

impl Plan {
    /// The number of events of a producer: event n belongs to producer n modulo their number.
    pub(crate) fn share(&self, producer: u16) -> u64 {
        let (producers, producer) = (u64::from(self.producers), u64::from(producer));
        (self.events + producers - 1 - producer) / producers
    }

    /// The due time of a producer's `index`-th event, after the start. `None` means as soon as it is taken.
    pub(crate) fn due(&self, producer: u16, index: u64) -> Option<Duration> {
        let number = index * u64::from(self.producers) + u64::from(producer);
        self.rate.map(|rate| Duration::from_secs_f64(number as f64 / rate))
    }

    /// The counters that a producer's events go to, by number and in order.
    pub(crate) fn draws<'a>(&self, zipf: &'a Zipf, producer: u16) -> impl Iterator<Item = u32> + Send + 'a {
        let mut seeds = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        (0..producer).for_each(|_| {
            seeds.next_u64();
        });
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seeds.next_u64());
        (0..self.share(producer)).map(move |_| zipf.rank(random.next_u64()))
    }

    /// A topic by number.
    ///
    /// # Errors
    /// When the prefix is too long.
    pub(crate) fn topic(&self, topic: u32) -> Result<Topic, NameError> {
        Topic::new(&format!("{}/topic-{topic}", self.prefix))
    }

    /// A counter by number.
    ///
    /// # Errors
    /// When the prefix is too long.
    pub(crate) fn counter(&self, key: u32) -> Result<Counter, NameError> {
        let topic = self.topic(key % self.topics)?;
        Counter::new(topic.as_str(), &format!("item-{key}"), "like")
    }

    /// Every counter, by number.
    ///
    /// # Errors
    /// When the prefix is too long.
    pub(crate) fn counters(&self) -> Result<Vec<Counter>, NameError> {
        (0..self.keys).map(|key| self.counter(key)).collect()
    }

    /// The counter of the event that a producer sends before the measurement, so that its connections are up.
    ///
    /// # Errors
    /// When the prefix is too long.
    pub(crate) fn first_sign(&self, producer: u16) -> Result<Counter, NameError> {
        Counter::new(&format!("{}/first-sign", self.prefix), &format!("producer-{producer}"), "view")
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
