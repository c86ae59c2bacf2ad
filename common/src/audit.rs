//! Records for the audit: the registry's ledgers, and the events that documents in the store were found to
//! hold.

use crate::cluster::{ClusterView, NodeName};
use crate::key::Topic;
use crate::ledger::StreamLedger;
use crate::stream::StreamId;
use crate::time::WallMs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Streams and topics that a store check names; beyond it only their number is given.
pub const GAPS_NAMED: usize = 100;

/// The registry's records for the audit, read at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditRecords {
    /// The live nodes.
    pub view: ClusterView,
    /// Leaves that are not live and may hold events that are not merged.
    pub away: Vec<NodeName>,
    /// The ledgers of retired streams.
    pub retired: Vec<StreamLedger>,
    /// Leaves whose old retired streams, up to this incarnation, share one ledger, listed as incarnation 0.
    pub folded: Vec<(NodeName, u64)>,
    /// Streams whose logs were given up. Their ledgers are the last reported ones, until the store has been
    /// read.
    pub given_up: Vec<GivenUp>,
    /// Events of each stream that were merged, and are now neither in the store nor in a log.
    pub lost: Vec<(StreamId, u64)>,
    /// Each leaf that ever started, and its last start.
    pub starts: Vec<(NodeName, u64)>,
}

impl AuditRecords {
    /// Returns all ledgers, with those of live leaves. A leaf's own ledger of a stream is newer than the
    /// registry's; streams that share a ledger
    /// here, or were given up, are counted already.
    pub fn with_leaves(
        &self,
        leaves: impl IntoIterator<Item = StreamLedger>,
    ) -> BTreeMap<StreamId, StreamLedger> {
        let is_folded =
            |of: &StreamId| self.folded.iter().any(|(leaf, to)| *leaf == of.leaf && of.incarnation <= *to);
        // A leaf on an older copy of its log has only a part.
        let is_known =
            |of: &StreamId| is_folded(of) || self.given_up.iter().any(|given_up| given_up.stream == *of);
        let leaves = leaves.into_iter().filter(|of| !is_known(&of.stream));
        self.retired.iter().cloned().chain(leaves).map(|of| (of.stream.clone(), of)).collect()
    }

    /// Moves events that the store has lost for good from merged to declared lost, in these ledgers.
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
    /// The time at which its leaf last reported its progress. Events that it acked after that and had not
    /// merged are lost, too, and in no number.
    pub heard_at: WallMs,
}

/// A difference between documents and ledgers in the events of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamGap {
    /// The stream; incarnation 0 stands for a leaf's oldest ones together.
    pub stream: StreamId,
    /// Number of events.
    pub events: u64,
}

/// A topic whose document holds fewer events than it did before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicGap {
    /// The topic.
    pub topic: Topic,
    /// Number of missing events.
    pub events: u64,
}

/// The last comparison of all documents with the ledgers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCheck {
    /// The time at which the reading ended, by the root's wall clock.
    pub checked_at: WallMs,
    /// The age of the check, in milliseconds.
    pub age_ms: u64,
    /// Whether every field of every document was read, at full speed.
    pub full: bool,
    /// Documents that were read.
    pub documents: u64,
    /// Events that they hold.
    pub held: u64,
    /// Events among those of topics that were forgotten: they are merged, and in no total any more.
    #[serde(default)]
    pub forgotten: u64,
    /// Streams of which documents hold fewer events than were merged.
    pub short: Vec<StreamGap>,
    /// Streams of which documents hold more events than were accepted, or that have no ledger though their
    /// leaf is live.
    pub over: Vec<StreamGap>,
    /// Topics that are known to have fallen back and have not come up again. A root that has just started
    /// knows of none.
    pub topics: Vec<TopicGap>,
    /// Topics whose document can't be read.
    pub unreadable: Vec<Topic>,
    /// Streams that could not be compared: their leaf is away or did not answer, or they are too many.
    pub not_compared: Vec<StreamId>,
}

impl StoreCheck {
    /// Whether the store holds exactly the events that were merged.
    pub fn balanced(&self) -> bool {
        self.short.is_empty() && self.over.is_empty() && self.unreadable.is_empty()
    }
}
