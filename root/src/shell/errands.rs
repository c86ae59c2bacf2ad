//! Cuts that are merged for somebody of this process, not for a leaf.

use crate::machine::ConnectionId;
use countree_common::cluster::NodeName;
use countree_common::wire::uplink::{CutOutcome, FromRoot};
use std::collections::HashMap;
use tokio::sync::oneshot;

/// What became of the cuts, not in their order.
pub(super) type Outcomes = oneshot::Sender<Vec<CutOutcome>>;

#[derive(Debug)]
struct Errand {
    left: usize,
    outcomes: Vec<CutOutcome>,
    reply: Outcomes,
}

/// The errands under way, each with a number from the far end of those that conversations get.
#[derive(Debug, Default)]
pub(super) struct Errands {
    under_way: HashMap<ConnectionId, Errand>,
    begun: u64,
}

impl Errands {
    /// One of so many cuts begins.
    pub(super) fn begin(&mut self, cuts: usize, reply: Outcomes) -> ConnectionId {
        let number = ConnectionId(u64::MAX - self.begun);
        self.begun += 1;
        self.under_way.insert(number, Errand { left: cuts, outcomes: Vec::new(), reply });
        number
    }

    /// Takes an answer; whether it was the last.
    pub(super) fn answered(&mut self, number: ConnectionId, message: FromRoot) -> bool {
        let (Some(errand), FromRoot::Outcomes(outcomes)) = (self.under_way.get_mut(&number), message) else {
            return false;
        };
        errand.left = errand.left.saturating_sub(outcomes.len());
        errand.outcomes.extend(outcomes);
        if errand.left > 0 {
            return false;
        }
        if let Some(Errand { outcomes, reply, .. }) = self.under_way.remove(&number) {
            // Whoever asked may have gone.
            let _ = reply.send(outcomes);
        }
        true
    }

    /// Takes it back: its cuts are not to be merged.
    pub(super) fn refuse(&mut self, number: ConnectionId) {
        self.under_way.remove(&number);
    }

    /// Whether the number is an errand's.
    pub(super) fn is_one(&self, number: ConnectionId) -> bool {
        self.under_way.contains_key(&number)
    }

    /// What errands are called where leaves have names.
    pub(super) fn name() -> Option<NodeName> {
        NodeName::new("errand").ok()
    }
}
