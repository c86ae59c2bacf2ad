//! What the audit asks of the registry and of the store: the ledgers count what leaves remember, this counts what is there.

use crate::cluster::{ClusterView, NodeName};
use crate::key::Topic;
use crate::ledger::StreamLedger;
use crate::stream::StreamId;
use crate::time::WallMs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Streams and topics that a store check names; beyond it only their number is told.
pub const GAPS_NAMED: usize = 100;

/// What the registry holds for the audit, read at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditRecords {
    /// The live nodes.
    pub view: ClusterView,
    /// Leaves that are not live and may hold events that are not merged.
    pub away: Vec<NodeName>,
    /// The ledgers of retired streams.
    pub retired: Vec<StreamLedger>,
    /// Of each leaf with old retired streams: all up to this one are one ledger, listed as incarnation 0.
    pub folded: Vec<(NodeName, u64)>,
    /// Streams whose logs were given up. Their ledgers are what was last heard of them, until the store has been read.
    pub given_up: Vec<GivenUp>,
    /// Events of each stream that were merged, that the store does not hold any more, and that no log holds either.
    pub lost: Vec<(StreamId, u64)>,
    /// Each leaf that ever started, and its last start.
    pub starts: Vec<(NodeName, u64)>,
}

impl AuditRecords {
    /// All ledgers, those of live leaves included. A leaf's word on a stream of its own is newer; what is one sum here is
    /// counted already.
    pub fn with_leaves(
        &self,
        leaves: impl IntoIterator<Item = StreamLedger>,
    ) -> BTreeMap<StreamId, StreamLedger> {
        let is_folded =
            |of: &StreamId| self.folded.iter().any(|(leaf, to)| *leaf == of.leaf && of.incarnation <= *to);
        // A leaf on an older copy of its log knows only a part.
        let is_known =
            |of: &StreamId| is_folded(of) || self.given_up.iter().any(|given_up| given_up.stream == *of);
        let leaves = leaves.into_iter().filter(|of| !is_known(&of.stream));
        self.retired.iter().cloned().chain(leaves).map(|of| (of.stream.clone(), of)).collect()
    }

    /// Moves what the store has lost for good in these ledgers from merged to declared lost.
    pub fn declare(&self, ledgers: &mut [StreamLedger]) {
        for (stream, lost) in &self.lost {
            if let Some(of) = ledgers.iter_mut().find(|of| of.stream == *stream) {
                of.ledger.declare_lost(*lost);
            }
        }
    }
}

/// A stream whose log was given up: it is gone with its disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// The stream; incarnation 0 stands for a leaf's oldest ones together.
    pub stream: StreamId,
    /// When its leaf last said how far it had come. Events that it acked after that and had not merged yet are lost, too,
    /// and in no number.
    pub heard_at: WallMs,
}

/// Documents and ledgers that differ by so many events of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamGap {
    /// The stream; incarnation 0 stands for a leaf's oldest ones together.
    pub stream: StreamId,
    /// How many.
    pub events: u64,
}

/// A topic whose document holds fewer events than it did before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicGap {
    /// The topic.
    pub topic: Topic,
    /// How many fewer.
    pub events: u64,
}

/// What documents held when all of them were last read, compared with the ledgers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCheck {
    /// When the reading ended.
    pub checked_at: WallMs,
    /// How long ago that is, in milliseconds.
    pub age_ms: u64,
    /// Whether every field of every document was read, at full speed.
    pub full: bool,
    /// Documents that were read.
    pub documents: u64,
    /// Events that they hold.
    pub held: u64,
    /// How many of those are of topics that were forgotten: they are merged, and in no total any more.
    #[serde(default)]
    pub forgotten: u64,
    /// Fewer than were merged.
    pub short: Vec<StreamGap>,
    /// More than were accepted, or of a stream that has no ledger though its leaf is live.
    pub over: Vec<StreamGap>,
    /// Topics that are known to have fallen back and have not come up again. A root that has just started knows of none.
    pub topics: Vec<TopicGap>,
    /// Topics whose document can't be read.
    pub unreadable: Vec<Topic>,
    /// Streams that could not be compared: their leaf is away or did not answer, or they are too many.
    pub not_compared: Vec<StreamId>,
}

impl StoreCheck {
    /// Whether the store holds all that was merged, and nothing else.
    pub fn balanced(&self) -> bool {
        self.short.is_empty() && self.over.is_empty() && self.unreadable.is_empty()
    }
}
