//! The ledgers of all streams at one moment: the events that documents should hold.

use countree_common::audit::AuditRecords;
use countree_common::cluster::NodeName;
use countree_common::ledger::{Ledger, StreamLedger};
use countree_common::stream::StreamId;
use std::collections::{BTreeMap, BTreeSet};

/// The ledgers of all streams, by the registry and by the live leaves. The registry has to be read first: a leaf that
/// is about to delete a retired stream still lists it, to the same effect.
#[derive(Debug, Clone, Default)]
pub struct Account {
    ledgers: BTreeMap<StreamId, Ledger>,
    lost: BTreeMap<StreamId, u64>,
    folded: BTreeMap<NodeName, u64>,
    started: BTreeSet<NodeName>,
    /// Leaves whose live streams are missing: they are away, or did not answer.
    missing: BTreeSet<NodeName>,
    /// Streams whose logs were given up.
    given_up: BTreeSet<StreamId>,
}

impl Account {
    /// Makes the account; `leaves` are the answers of the live leaves, `None` for silence.
    pub fn new(records: AuditRecords, leaves: Vec<(NodeName, Option<Vec<StreamLedger>>)>) -> Self {
        let silent = leaves.iter().filter(|(_, answer)| answer.is_none()).map(|(leaf, _)| leaf.clone());
        let missing = records.away.iter().cloned().chain(silent).collect();
        let answers = leaves.into_iter().filter_map(|(_, answer)| answer).flatten();
        let ledgers = records.with_leaves(answers).into_iter().map(|(stream, of)| (stream, of.ledger));
        Self {
            ledgers: ledgers.collect(),
            lost: records.lost.into_iter().collect(),
            folded: records.folded.into_iter().collect(),
            started: records.starts.into_iter().map(|(leaf, _)| leaf).collect(),
            missing,
            given_up: records.given_up.into_iter().map(|given_up| given_up.stream).collect(),
        }
    }

    /// The streams that have a ledger of their own.
    pub fn streams(&self) -> Vec<StreamId> {
        self.ledgers.keys().filter(|stream| stream.incarnation > 0).cloned().collect()
    }

    /// The ledger that this stream's events are counted in.
    pub(super) fn named(&self, stream: &StreamId) -> StreamId {
        let is_folded = self.folded.get(&stream.leaf).is_some_and(|to| stream.incarnation <= *to);
        if is_folded { StreamId { leaf: stream.leaf.clone(), incarnation: 0 } } else { stream.clone() }
    }

    /// The ledger without what is known to be lost.
    pub(super) fn ledger(&self, stream: &StreamId) -> Option<Ledger> {
        let mut ledger = *self.ledgers.get(stream)?;
        ledger.declare_lost(self.lost(stream));
        Some(ledger)
    }

    /// The ledger as those who keep it know it.
    pub(super) fn remembered(&self, stream: &StreamId) -> Option<Ledger> {
        self.ledgers.get(stream).copied()
    }

    pub(super) fn lost(&self, stream: &StreamId) -> u64 {
        self.lost.get(stream).copied().unwrap_or_default()
    }

    pub(super) fn ledgers(&self) -> impl Iterator<Item = &StreamId> {
        self.ledgers.keys()
    }

    /// Whether there ever was such a leaf; an import under way has a stream, too, and no ledger yet.
    pub(super) fn has_started(&self, leaf: &NodeName) -> bool {
        self.started.contains(leaf)
    }

    /// The number of the leaf's oldest streams that share one ledger.
    pub(super) fn folded(&self, leaf: &NodeName) -> u64 {
        self.folded.get(leaf).copied().unwrap_or_default()
    }

    /// Whether nobody but the store can say how much of the stream was merged.
    pub(super) fn is_given_up(&self, stream: &StreamId) -> bool {
        self.given_up.contains(stream)
    }

    pub(super) fn is_missing(&self, leaf: &NodeName) -> bool {
        self.missing.contains(leaf)
    }
}
