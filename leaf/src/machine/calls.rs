//! Numbers the questions to other nodes, and remembers for which part of the machine each answer is.

use super::idempotency::questions::KeyQuestion;
pub use super::ids::CallId;
use super::ids::SubmissionId;
use countree_common::cluster::NodeName;
use countree_common::session::SessionId;
use std::collections::BTreeMap;

/// The node to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callee {
    /// Any root that answers.
    Root,
    /// This leaf.
    Leaf(NodeName),
}

/// The part of the machine that asks.
#[derive(Debug)]
pub(super) enum Asker {
    /// The leaf's own leave.
    Leave,
    /// Old streams that are about to go.
    Retirement,
    /// Producers whose session with that leaf is in doubt.
    Producers(NodeName, SessionId),
    /// A request with this many idempotency keys that the other leaf is asked about.
    Submission(SubmissionId, KeyQuestion, usize),
}

/// The questions that wait. Each asker bounds its own.
#[derive(Debug, Default)]
pub(super) struct Calls {
    last: u64,
    waiting: BTreeMap<CallId, Asker>,
}

impl Calls {
    /// Numbers a question.
    pub(super) fn begin(&mut self, asker: Asker) -> CallId {
        self.last += 1;
        let call = CallId(self.last);
        self.waiting.insert(call, asker);
        call
    }

    /// Takes the asker of a question; `None` when it was answered before.
    pub(super) fn end(&mut self, call: CallId) -> Option<Asker> {
        self.waiting.remove(&call)
    }
}
