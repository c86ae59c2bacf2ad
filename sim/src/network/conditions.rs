//! Network conditions: delays and losses.

use crate::random::Random;
use std::time::Duration;

/// The delays and losses of packets at the moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NetworkConditions {
    /// The least delay of a message, in microseconds.
    pub(crate) least_us: u64,
    /// The usual most.
    pub(crate) most_us: u64,
    /// Messages in a hundred that take up to [`NetworkConditions::spike_us`].
    pub(crate) spikes: u64,
    /// The longest delay.
    pub(crate) spike_us: u64,
    /// Datagrams in a hundred that get lost.
    pub(crate) datagram_loss: u64,
}

impl NetworkConditions {
    /// A good network.
    pub(crate) const GOOD: Self =
        Self { least_us: 100, most_us: 1_500, spikes: 0, spike_us: 0, datagram_loss: 0 };

    pub(super) fn delay(&self, random: &mut Random) -> Duration {
        if random.chance(self.spikes) {
            random.micros(self.least_us, self.spike_us)
        } else {
            random.micros(self.least_us, self.most_us)
        }
    }
}
