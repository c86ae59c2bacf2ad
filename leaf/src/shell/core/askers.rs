//! Keeps those who wait for an answer of the machine.

use crate::machine::{FlushId, SubmissionId};
use countree_common::document::Version;
use countree_common::wire::rpc::{Counted, Reply, SubmitError};
use std::collections::HashMap;
use tokio::sync::oneshot;

/// Those who wait, by the number under which the machine knows their request. Any of them may give up before the
/// answer: what it asked for is done all the same.
#[derive(Debug, Default)]
pub(super) struct Askers {
    last: u64,
    submissions: HashMap<SubmissionId, oneshot::Sender<Result<Counted, SubmitError>>>,
    questions: HashMap<SubmissionId, oneshot::Sender<Reply>>,
    flushes: HashMap<FlushId, oneshot::Sender<Version>>,
    drain: Option<oneshot::Sender<bool>>,
}

impl Askers {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Numbers an HTTP request, or one that is answered like one.
    pub(super) fn submission(
        &mut self,
        asker: oneshot::Sender<Result<Counted, SubmitError>>,
    ) -> SubmissionId {
        let id = SubmissionId(self.next());
        self.submissions.insert(id, asker);
        id
    }

    /// Numbers a question of another node.
    pub(super) fn question(&mut self, asker: oneshot::Sender<Reply>) -> SubmissionId {
        let id = SubmissionId(self.next());
        self.questions.insert(id, asker);
        id
    }

    /// Numbers a flush. Forgets those whose askers have given up, since a flush may never be answered.
    pub(super) fn flush(&mut self, asker: oneshot::Sender<Version>) -> FlushId {
        let id = FlushId(self.next());
        self.flushes.retain(|_, waiting| !waiting.is_closed());
        self.flushes.insert(id, asker);
        id
    }

    /// Notes that somebody waits until the leaf has left.
    pub(super) fn drain(&mut self, asker: oneshot::Sender<bool>) {
        self.drain = Some(asker);
    }

    /// Answers an HTTP request.
    pub(super) fn submitted(&mut self, id: SubmissionId, result: Result<Counted, SubmitError>) {
        if let Some(asker) = self.submissions.remove(&id) {
            let _ = asker.send(result);
        }
    }

    /// Answers a question.
    pub(super) fn answer(&mut self, id: SubmissionId, reply: Reply) {
        if let Some(asker) = self.questions.remove(&id) {
            let _ = asker.send(reply);
        }
    }

    /// Answers a flush.
    pub(super) fn flushed(&mut self, id: FlushId, version: Version) {
        if let Some(asker) = self.flushes.remove(&id) {
            let _ = asker.send(version);
        }
    }

    /// Lets go of the asker of a flush that the machine does not take.
    pub(super) fn refuse_flush(&mut self, id: FlushId) {
        self.flushes.remove(&id);
    }

    /// The leaf has left.
    pub(super) fn left(&mut self, keeps_keys: bool) {
        if let Some(asker) = self.drain.take() {
            let _ = asker.send(keeps_keys);
        }
    }
}
