//! Looks up requests as they come, and takes those that are admitted.

use super::lookup::{Lookup, OpenLookup, Step};
use super::questions::KeyQuestion;
use super::request::KeyedRequest;
use crate::machine::LeafMachine;
use crate::machine::ids::SubmissionId;
use countree_common::time::Now;
use countree_common::wire::rpc::{Reply, SubmitError};

impl LeafMachine {
    /// A root has confirmed the view, or brought a newer one.
    pub fn handle_confirmation(&mut self, now: Now) {
        self.context.members.confirm(now.mono);
    }

    /// Takes a request, at once or when others have been asked about its keys.
    pub(in crate::machine) fn look_up(&mut self, now: Now, id: SubmissionId, request: KeyedRequest) {
        let lookup = self.idempotency.look_up(now, id, request, &mut self.context);
        self.end_lookup(now, id, lookup);
    }

    /// Takes a leaf's answer to a question about this many keys, or the lack of one.
    pub(in crate::machine) fn lookup_answered(
        &mut self,
        now: Now,
        id: SubmissionId,
        question: &KeyQuestion,
        keys: usize,
        reply: Option<Reply>,
    ) {
        let lookup = match self.idempotency.lookup_answered(id, question, keys, reply) {
            Step::Wait => Lookup::Wait,
            Step::Answered(open) => self.look_up_again(now, id, open),
            Step::Refuse(request, e) => Lookup::Refuse(request, e),
        };
        self.end_lookup(now, id, lookup);
    }

    /// Uses that others remember are noted here first, so that a repeat of the request asks nobody.
    fn look_up_again(&mut self, now: Now, id: SubmissionId, open: OpenLookup) -> Lookup {
        match open.uses(&self.context).and_then(|uses| self.take_over(now, &uses)) {
            Ok(_) => self.idempotency.look_up_again(now, id, open, &mut self.context),
            Err(e) => Lookup::Refuse(open.request, e),
        }
    }

    fn end_lookup(&mut self, now: Now, id: SubmissionId, lookup: Lookup) {
        match lookup {
            Lookup::Wait => {}
            Lookup::Admit(KeyedRequest::Events(events)) => self.submit(now, id, &events),
            Lookup::Admit(KeyedRequest::Reset(reset)) => self.begin_reset(id, reset),
            Lookup::Admit(KeyedRequest::Note { keys, by }) => self.note_keys(now, id, &keys, &by),
            Lookup::Refuse(request, e) => self.refuse(id, &request, e),
        }
    }

    fn refuse(&mut self, id: SubmissionId, request: &KeyedRequest, error: SubmitError) {
        match request {
            KeyedRequest::Events(_) | KeyedRequest::Reset(_) => self.context.outputs.refuse(id, error),
            KeyedRequest::Note { .. } => self.context.outputs.answer(id, Reply::Remembered(Err(error))),
        }
    }
}
