//! Cuts, and the outcomes of their merges. The merge rule of `docs/exactly-once.md` is [`Cut`]'s contract.

use crate::document::Version;
use crate::key::{Item, Kind, Topic};
use crate::stream::{Lsn, StreamId};
use serde::{Deserialize, Serialize};

/// The sum of one counter of the cut's topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterSum {
    /// The item.
    pub item: Item,
    /// The kind.
    pub kind: Kind,
    /// Σ of the deltas; may be 0 when likes and unlikes cancel.
    pub delta: i64,
}

/// One topic's sum over the LSNs (`from`, `to`] of one leaf stream.
///
/// The store applies it **iff** the document's last merged LSN for `stream` equals `from` (absent is
/// 0), and then sets it to `to`. A cut with `from == to` and no sums changes nothing: it is a probe.
///
/// Leaves keep the sums in a form of their own, which is sent as if it were the one here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut<S = Vec<CounterSum>> {
    /// The leaf stream.
    pub stream: StreamId,
    /// The topic.
    pub topic: Topic,
    /// The last LSN that is not in the sum.
    pub from: Lsn,
    /// The last LSN that is.
    pub to: Lsn,
    /// Σδ per counter; each counter at most once.
    pub sums: S,
    /// Number of events in the sums.
    pub events: u64,
    /// The era that the document is to be in at least. Higher than the document's when the leaf has seen it
    /// go back in time while the store served; one that is not [of the process](crate::era::is_of) that
    /// serves changes nothing.
    pub era: u64,
}

/// The result of merging a cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The cut is in the totals, once.
    Applied(Applied),
    /// The document stands elsewhere; nothing changed. Equal to the cut's `to` when the cut had been
    /// applied before and only the answer was lost.
    Have {
        /// The document's last merged LSN for the stream.
        lsn: Lsn,
        /// Events merged from the stream into this document so far.
        events: u64,
        /// The document's version.
        version: Version,
    },
    /// A total would leave the range of a signed 64-bit integer; nothing changed. The leaf keeps the cut
    /// and repeats it, since a decrement or a reset makes room.
    Overflow,
}

/// A cut that went in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The document's new version.
    pub version: Version,
    /// The version that it replaced: a holder of that one needs only `totals` to be current.
    pub base: Version,
    /// The new total of each counter of the cut, in the cut's order.
    pub totals: Vec<i64>,
    /// Events merged from the stream into this document so far, this cut's included.
    pub events: u64,
    /// Whether the merge has reached stable storage, so that the log may be trimmed.
    pub durable: bool,
}
