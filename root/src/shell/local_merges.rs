//! Merges of this root's own, such as rows of an import: cuts that no leaf sent.

use crate::machine::ConnectionId;
use countree_common::cluster::NodeName;
use countree_common::wire::uplink::{CutOutcome, FromRoot};
use std::collections::HashMap;
use tokio::sync::oneshot;

/// Receives the outcomes of the cuts, not in their order.
pub(super) type Outcomes = oneshot::Sender<Vec<CutOutcome>>;

#[derive(Debug)]
struct LocalMerge {
    left: usize,
    outcomes: Vec<CutOutcome>,
    reply: Outcomes,
}

/// The local merges under way. Their numbers count down from the highest, so that no conversation has one.
#[derive(Debug, Default)]
pub(super) struct LocalMerges {
    under_way: HashMap<ConnectionId, LocalMerge>,
    begun: u64,
}

impl LocalMerges {
    /// Begins a merge of `cuts` cuts.
    pub(super) fn begin(&mut self, cuts: usize, reply: Outcomes) -> ConnectionId {
        let number = ConnectionId(u64::MAX - self.begun);
        self.begun += 1;
        self.under_way.insert(number, LocalMerge { left: cuts, outcomes: Vec::new(), reply });
        number
    }

    /// Takes an answer; returns whether it was the last.
    pub(super) fn answered(&mut self, number: ConnectionId, message: FromRoot) -> bool {
        let (Some(merge), FromRoot::Outcomes(outcomes)) = (self.under_way.get_mut(&number), message) else {
            return false;
        };
        merge.left = merge.left.saturating_sub(outcomes.len());
        merge.outcomes.extend(outcomes);
        if merge.left > 0 {
            return false;
        }
        if let Some(LocalMerge { outcomes, reply, .. }) = self.under_way.remove(&number) {
            // The asker may have gone.
            let _ = reply.send(outcomes);
        }
        true
    }

    /// Drops a merge whose cuts are not to be merged; its reply is dropped, too.
    pub(super) fn refuse(&mut self, number: ConnectionId) {
        self.under_way.remove(&number);
    }

    /// Whether the number is a local merge's.
    pub(super) fn is_one(&self, number: ConnectionId) -> bool {
        self.under_way.contains_key(&number)
    }

    /// The name that local merges have in place of a leaf's.
    pub(super) fn name() -> Option<NodeName> {
        NodeName::new("local-merge").ok()
    }
}
