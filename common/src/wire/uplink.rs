//! Leaf ⇄ root: cuts up, outcomes down.

use crate::cut::{CounterSum, Cut, Outcome};
use crate::key::{Counter, Topic};
use crate::stamp::Stamp;
use crate::store::StoreId;
use crate::stream::{Lsn, StreamId};
use serde::{Deserialize, Serialize};

/// A message from a leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToRoot<S = Vec<CounterSum>> {
    /// Cuts to be merged. At most one of each (stream, topic) is under way at a time.
    Cuts(Vec<Cut<S>>),
    /// Everything is merged that this leaf had accepted when this stamp came, and the store has answered for
    /// all of it in the stamp's era.
    Echo(Stamp),
    /// The store of this leaf's folder; sent first. A root that serves another one ends the conversation.
    Store(StoreId),
}

/// A message from a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromRoot {
    /// Answers to cuts, in any order.
    Outcomes(Vec<CutOutcome>),
    /// Totals near their limit, and totals that are no longer near it, whichever leaf's events caused that.
    NearLimit(Vec<(Counter, i64)>),
    /// A stamp to be returned in an `Echo`. Returning a later one stands for all before it.
    Stamp(Stamp),
}

/// The answer to one cut, which it names by stream, topic and range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutOutcome {
    /// The cut's stream.
    pub stream: StreamId,
    /// The cut's topic.
    pub topic: Topic,
    /// The cut's `from`.
    pub from: Lsn,
    /// The cut's `to`.
    pub to: Lsn,
    /// The result; `None` when the store could not be asked, or may have applied the cut without an answer:
    /// send the very same cut again.
    pub outcome: Option<Outcome>,
}
