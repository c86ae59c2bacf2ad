//! The exactness rules of a producer.
//!
//! [`Lanes`] places events on leaves. A [`lane`] is the way to one leaf, whatever its address at the
//! moment: it owns a numbered [`session`], so that a batch that was once sent there is repeated there,
//! and nowhere else, until that leaf has answered. What was never sent may go anywhere.

pub mod backlog;
pub mod batch;
pub mod dictionary;
pub mod lane;
pub mod lanes;
pub mod names;
pub mod placing;
pub mod session;

pub use lanes::{Intake, Lanes};
pub use names::NameId;

use countree_common::cluster::NodeName;
use countree_common::limits;
use countree_common::time::Time;
use countree_common::wire::producer::ToLeaf;
use std::net::SocketAddr;
use std::time::Duration;

/// The room that a batch's last event and its name may take beyond a byte limit: three names with their
/// lengths, the longest event, and the batch's header.
const LAST_EVENT_BYTES: usize = 3 + limits::TOPIC_BYTES + limits::ITEM_BYTES + limits::KIND_BYTES + 12 + 21;

/// A session that was idle for this long is left behind, well before any leaf may have forgotten it (a
/// leaf's horizon is at least 10 minutes): its batches would be refused and stay in doubt.
pub const SESSION_IDLE: Duration = Duration::from_secs(5 * 60);

/// How a producer batches and waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The least time between two batches of a lane that are not full. An event waits no longer than
    /// this for company, and not at all when its lane has been quiet.
    pub linger: Duration,
    /// A batch with this many events is full; 1 to [`limits::BATCH_EVENTS`].
    pub batch_events: usize,
    /// A batch whose events take this many bytes is full; names come on top.
    pub batch_bytes: usize,
    /// Batches that one leaf may owe an answer to; at least 1.
    pub in_flight_batches: usize,
    /// A lane that has heard nothing for this long gives its batches up.
    pub give_up: Duration,
}

impl Rules {
    /// The nearest rules that keep to the wire's limits.
    pub fn clamped(self) -> Self {
        let bytes = limits::FRAME_BYTES - LAST_EVENT_BYTES;
        Self {
            batch_events: self.batch_events.clamp(1, limits::BATCH_EVENTS),
            batch_bytes: self.batch_bytes.clamp(1, bytes),
            in_flight_batches: self.in_flight_batches.max(1),
            ..self
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            linger: Duration::from_millis(3),
            batch_events: 16_384,
            batch_bytes: 64 << 10,
            in_flight_batches: 32,
            give_up: Duration::from_secs(120),
        }
    }
}

/// One attempt to reach a leaf; news of an older one is ignored.
pub type LinkId = u64;

/// A call of [`Lanes::handle_flush`].
pub type FlushId = u64;

/// What the shell does for the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Connect to this leaf, and report with `handle_connected` or `handle_lost`.
    Connect {
        /// The leaf, as its certificate has to name it.
        leaf: NodeName,
        /// The attempt.
        link: LinkId,
        /// Where the leaf is looked for.
        address: SocketAddr,
    },
    /// Send this on the link, in order. Nothing comes of it when the link is gone.
    Send {
        /// The leaf.
        leaf: NodeName,
        /// The attempt that connected.
        link: LinkId,
        /// What to send.
        frame: Outgoing,
    },
    /// Close the link or give the attempt up; no report is needed.
    Disconnect {
        /// The leaf.
        leaf: NodeName,
        /// The attempt.
        link: LinkId,
    },
    /// This is what became of some events, for good. Every event is in exactly one of these.
    Resolved(Resolved),
    /// Every event from before that flush is resolved.
    Flushed(FlushId),
}

/// A frame for a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A message.
    Message(ToLeaf),
    /// A batch's body.
    Batch(bytes::Bytes),
}

/// A batch whose fate is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// How many events it held.
    pub events: u64,
    /// When the first of them was queued.
    pub first_queued: Time,
    /// What became of them.
    pub fate: Fate,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Counted, once, durably.
    Acked,
    /// Not counted, for certain.
    Rejected(String),
    /// Counted once or not at all; nobody will ever say.
    InDoubt(String),
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
