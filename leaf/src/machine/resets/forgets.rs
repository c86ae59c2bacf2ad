//! Forgets a topic, exactly: events acked before it began are gone, events sent after its answer count from 0, and
//! those in between are one or the other.
//!
//! It goes as a [reset](super) does, up to the point where every leaf has said which version of the topic holds all
//! that it had accepted. Then the store forgets the topic, if its document stands at such a version. The positions in
//! that document are what orders the forgotten before what comes later, for each leaf stream: all up to there was
//! merged, is gone, and comes in no more; all behind it counts.
//!
//! Versions never come again. So any answer of the store says that what was asked before will not be carried out any
//! more, however late it arrives; and as long as there is none the question is repeated, and neither a reset nor
//! another leaf's wish for the same topic gets in between.

use super::{OpenReset, Question, Resets};
use crate::machine::LeafMachine;
use crate::machine::context::Context;
use crate::machine::context::RETRY_AFTER_MS;
use crate::machine::ids::SubmissionId;
use crate::machine::output::Output;
use countree_common::document::Version;
use countree_common::forget::{ForgetOutcome, Tombstone};
use countree_common::key::Topic;
use countree_common::wire::producer::BusyReason;
use countree_common::wire::rpc::{Reset, SubmitError};

/// A topic that changes each time before the store is asked keeps its events after this many tries.
const TRIES: u32 = 32;

/// The state of a topic that is to be forgotten.
#[derive(Debug, Default)]
pub(super) struct OpenForget {
    /// The version that the store was asked to forget the topic at.
    asked: Option<Version>,
    tries: u32,
    /// The store has not answered that: it is asked again.
    is_due: bool,
    /// A question was once left unanswered: a refusal of a later one does not mean that nothing is gone.
    is_in_doubt: bool,
}

impl OpenForget {
    /// Whether the store is asked.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Notes that the store has not answered, so that it is asked again.
    pub(super) fn ask_again(&mut self) {
        (self.is_due, self.is_in_doubt) = (true, true);
    }

    /// The client's answer if this error ends the request.
    pub(super) fn refusal(&self, error: SubmitError) -> SubmitError {
        if self.is_in_doubt { SubmitError::InDoubt } else { error }
    }
}

impl Resets {
    fn forget(&mut self, id: SubmissionId, topic: Topic, context: &mut Context) {
        let busy = |reason| SubmitError::Busy { reason, retry_after_ms: RETRY_AFTER_MS };
        let refused = match () {
            () if context.is_leaving() => Some(SubmitError::Draining),
            () if self.is_resetting(&topic) => Some(busy(BusyReason::Overload)),
            () if self.is_full() => Some(busy(BusyReason::TableFull)),
            () => None,
        };
        if let Some(error) = refused {
            return context.outputs.push(Output::Forgotten { submission: id, result: Err(error) });
        }
        let whole = Reset { key: 0, topic, item: None, kind: None };
        self.open(id, OpenReset::new(whole, Some(OpenForget::default())), context);
    }

    /// Asks the store to forget the topic at that version.
    pub(super) fn ask_to_forget(&mut self, id: SubmissionId, at: Version, context: &mut Context) {
        let Some(open) = self.open.get_mut(&id) else { return };
        let topic = open.topic().clone();
        let Some(forget) = &mut open.forget else { return };
        (forget.asked, forget.is_due) = (Some(at), false);
        forget.tries += 1;
        context.ask_for_reset(id, Question::Forget { topic, at });
    }

    /// Asks again where the store has not answered.
    pub(in crate::machine) fn ask_again_to_forget(&mut self, context: &mut Context) {
        let due = |(id, open): (&SubmissionId, &OpenReset)| {
            let forget = open.forget.as_ref().filter(|forget| forget.is_due)?;
            Some((*id, forget.asked?))
        };
        let due: Vec<_> = self.open.iter().filter_map(due).collect();
        due.into_iter().for_each(|(id, at)| self.ask_to_forget(id, at, context));
    }

    /// The store has answered.
    pub(super) fn forget_answered(
        &mut self,
        id: SubmissionId,
        outcome: ForgetOutcome,
        context: &mut Context,
    ) {
        let Some(open) = self.open.get_mut(&id) else { return };
        let Some(forget) = &mut open.forget else { return };
        // What was asked before this answer is without effect from now on.
        forget.asked = None;
        let tries = forget.tries;
        let stands_at = match outcome {
            // The version that the store was asked about held everything.
            ForgetOutcome::Forgotten(gone) if !gone.was_gone => {
                return self.end_forgetting(id, Some(gone), context);
            }
            ForgetOutcome::Forgotten(Tombstone { version, .. }) | ForgetOutcome::Moved(version) => version,
            ForgetOutcome::Unknown => Version::default(),
        };
        match (open.versions.is_held_by(stands_at), outcome) {
            (false, _) if open.versions.begin_reading() => self.flush_leaves(id, stands_at, context),
            (false, _) => self.end(id, SubmitError::Unreachable, context),
            (true, ForgetOutcome::Forgotten(gone)) => self.end_forgetting(id, Some(gone), context),
            (true, ForgetOutcome::Unknown) => self.end_forgetting(id, None, context),
            (true, ForgetOutcome::Moved(_)) if tries < TRIES => self.ask_to_forget(id, stands_at, context),
            (true, ForgetOutcome::Moved(_)) => {
                let busy = SubmitError::Busy { reason: BusyReason::Overload, retry_after_ms: RETRY_AFTER_MS };
                self.end(id, busy, context);
            }
        }
    }

    fn end_forgetting(&mut self, id: SubmissionId, gone: Option<Tombstone>, context: &mut Context) {
        self.open.remove(&id);
        context.outputs.push(Output::Forgotten { submission: id, result: Ok(gone) });
    }
}

impl LeafMachine {
    /// Forgets a topic on somebody's request. [`Output::Forgotten`] is the answer; a repeat is harmless.
    pub fn handle_forget(&mut self, id: SubmissionId, topic: Topic) {
        self.resets.forget(id, topic, &mut self.context);
    }
}

#[cfg(test)]
#[path = "forgets_tests.rs"]
mod tests;
