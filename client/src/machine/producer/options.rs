//! The settings of a producer.

use countree_common::limits;
use std::time::Duration;

/// The room that a batch's last event and its name may take beyond a byte limit: three names with their
/// lengths, the longest event, and the batch's header.
const LAST_EVENT_BYTES: usize = 3 + limits::TOPIC_BYTES + limits::ITEM_BYTES + limits::KIND_BYTES + 12 + 21;

/// The most bytes of events and names in a batch that still takes events: with one more it still fits a
/// frame.
pub(super) const BATCH_BYTES_MAX: usize = limits::FRAME_BYTES - LAST_EVENT_BYTES;

/// The settings of a producer: batches, timeouts, room. Begin with the default, and set what is to be
/// different:
///
/// ```
/// # use countree_client::ProducerOptions;
/// # use std::time::Duration;
/// let mut options = ProducerOptions::default();
/// options.give_up = Duration::from_secs(60);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerOptions {
    /// The least time between two batches to one leaf that are not full. An event waits no longer than this
    /// for others to share its batch, and not at all when little is going on. By default 3 ms.
    pub linger: Duration,
    /// A batch with this many events is sent at once; 1 to 65,536, by default 16,384.
    pub batch_events: usize,
    /// A batch whose events take this many bytes is sent at once; an event mostly takes four, names come on
    /// top. By default 65,536.
    pub batch_bytes: usize,
    /// Unacked batches per leaf; at least 1, by default 32.
    pub in_flight_batches: usize,
    /// Events that wait to be sent for the first time; beyond it `send` waits. By default 1,048,576.
    pub queued_events: usize,
    /// Without progress for this long, batches that were sent to a leaf are in doubt for good, and what could
    /// not even be sent is rejected. Longer is safer: a leaf that comes back settles its batches. By default
    /// 120 s.
    pub give_up: Duration,
}

impl ProducerOptions {
    /// Brings batch settings into the range that the wire protocol allows.
    pub fn clamped(self) -> Self {
        Self {
            batch_events: self.batch_events.clamp(1, limits::BATCH_EVENTS),
            batch_bytes: self.batch_bytes.clamp(1, BATCH_BYTES_MAX),
            in_flight_batches: self.in_flight_batches.max(1),
            ..self
        }
    }
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            linger: Duration::from_millis(3),
            batch_events: 16_384,
            batch_bytes: 64 << 10,
            in_flight_batches: 32,
            queued_events: 1 << 20,
            give_up: Duration::from_secs(120),
        }
    }
}
