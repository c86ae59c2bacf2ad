//! Questions to other nodes: an output for each, and one answer, whoever wants to know.

use super::idempotency::lookup::Question;
use super::{LeafMachine, Output, SubmissionId};
use countree_common::cluster::NodeName;
use countree_common::session::SessionId;
use countree_common::time::Now;
use countree_common::wire::rpc::{Reply, Request};
use std::collections::BTreeMap;

/// A question that waits for its answer.
pub type CallId = u64;

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callee {
    /// Whichever root answers.
    Root,
    /// That leaf.
    Leaf(NodeName),
}

/// Who wants to know.
#[derive(Debug)]
pub(super) enum Asker {
    /// The leaf's own leave.
    Leave,
    /// Old streams that are about to go.
    Retirement,
    /// Producers whose session with that leaf is in doubt.
    Producers(NodeName, SessionId),
    /// A request with this many idempotency keys that the other leaf is asked about.
    Submission(SubmissionId, Question, usize),
}

/// The questions that wait. Each asker bounds its own.
#[derive(Debug, Default)]
pub(super) struct Calls {
    last: CallId,
    waiting: BTreeMap<CallId, Asker>,
}

impl LeafMachine {
    pub(super) fn call(&mut self, asker: Asker, callee: Callee, request: Request) {
        self.calls.last += 1;
        let call = self.calls.last;
        self.calls.waiting.insert(call, asker);
        self.outputs.push_back(Output::Call { call, callee, request });
    }

    /// An [`Output::Call`] was answered; `None` when nobody did.
    pub fn handle_reply(&mut self, now: Now, call: CallId, reply: Option<Reply>) {
        match self.calls.waiting.remove(&call) {
            Some(Asker::Leave) => self.leave_answered(now, reply),
            Some(Asker::Retirement) => self.retirement_answered(now, reply),
            Some(Asker::Producers(leaf, session)) => self.tell_ending(&(leaf, session), reply),
            Some(Asker::Submission(id, question, keys)) => self.cleared(now, id, &question, keys, reply),
            None => {}
        }
    }
}
