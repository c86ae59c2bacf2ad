//! Forgetting a topic, exactly: events acked before it began are gone, events sent after its answer count from 0, and those
//! in between are one or the other.
//!
//! It goes as a [reset](super::resets) does, up to the point where every leaf has said which version of the topic holds all
//! that it had accepted. Then the store forgets the topic, if its document stands at such a version. The positions in that
//! document are what orders the forgotten before what comes later, for each leaf stream: all up to there was merged, is
//! gone, and comes in no more; all behind it counts.
//!
//! Versions never come again. So any answer of the store says that what was asked before will not be carried out any more,
//! however late it arrives; and as long as there is none the question is repeated, and neither a reset nor another leaf's
//! wish for the same topic gets in between.

use super::resets::{OpenReset, Question};
use super::{LeafMachine, Output, RETRY_AFTER_MS, SubmissionId};
use countree_common::document::Version;
use countree_common::forget::{ForgetOutcome, Tombstone};
use countree_common::key::Topic;
use countree_common::limits;
use countree_common::wire::producer::BusyReason;
use countree_common::wire::rpc::{Reset, SubmitError};

/// A topic that changes each time before the store is asked keeps its events after this many tries.
const TRIES: u32 = 32;

/// How far a topic that is to be forgotten has come.
#[derive(Debug, Default)]
pub(super) struct OpenForget {
    /// The version that the store was asked to forget the topic at.
    asked: Option<Version>,
    tries: u32,
    /// Nobody has answered that: it is asked again.
    is_due: bool,
    /// Nobody ever answered some question: that it was refused later does not mean that nothing is gone.
    is_in_doubt: bool,
}

impl OpenReset {
    pub(super) fn is_asking_to_forget(&self) -> bool {
        self.forget.as_ref().is_some_and(|forget| forget.asked.is_some())
    }

    pub(super) fn ask_to_forget_again(&mut self) {
        if let Some(forget) = &mut self.forget {
            (forget.is_due, forget.is_in_doubt) = (true, true);
        }
    }

    /// What its asker is told if it ends with this error.
    pub(super) fn refusal_to_forget(&self, error: SubmitError) -> SubmitError {
        let is_in_doubt = self.forget.as_ref().is_some_and(|forget| forget.is_in_doubt);
        if is_in_doubt { SubmitError::InDoubt } else { error }
    }
}

impl LeafMachine {
    /// Somebody wants a topic to be forgotten. [`Output::Forgotten`] is the answer; a repeat is harmless.
    pub fn handle_forget(&mut self, id: SubmissionId, topic: Topic) {
        let busy = |reason| SubmitError::Busy { reason, retry_after_ms: RETRY_AFTER_MS };
        let refused = match () {
            () if self.context.is_leaving() => Some(SubmitError::Draining),
            () if self.is_resetting(&topic) => Some(busy(BusyReason::Overload)),
            () if self.resets.len() >= limits::RESETS_PER_LEAF => Some(busy(BusyReason::TableFull)),
            () => None,
        };
        if let Some(error) = refused {
            return self.tell_forgotten(id, Err(error));
        }
        let whole = Reset { key: 0, topic, item: None, kind: None };
        self.resets.insert(id, OpenReset::new(whole, Some(OpenForget::default())));
        self.ask(id, Question::Members);
    }

    pub(super) fn tell_forgotten(
        &mut self,
        id: SubmissionId,
        result: Result<Option<Tombstone>, SubmitError>,
    ) {
        self.context.outputs.push(Output::Forgotten { submission: id, result });
    }

    /// Asks the store to forget the topic at that version.
    pub(super) fn ask_to_forget(&mut self, id: SubmissionId, at: Version) {
        let Some(open) = self.resets.get_mut(&id) else { return };
        let topic = open.topic().clone();
        let Some(forget) = &mut open.forget else { return };
        (forget.asked, forget.is_due) = (Some(at), false);
        forget.tries += 1;
        self.ask(id, Question::Forget { topic, at });
    }

    /// Asks again where nobody has answered.
    pub(super) fn ask_again_to_forget(&mut self) {
        let due = |(id, open): (&SubmissionId, &OpenReset)| {
            let forget = open.forget.as_ref().filter(|forget| forget.is_due)?;
            Some((*id, forget.asked?))
        };
        let due: Vec<_> = self.resets.iter().filter_map(due).collect();
        due.into_iter().for_each(|(id, at)| self.ask_to_forget(id, at));
    }

    /// The store has answered.
    pub(super) fn forgetting_answered(&mut self, id: SubmissionId, forgetting: ForgetOutcome) {
        let Some(open) = self.resets.get_mut(&id) else { return };
        let Some(forget) = &mut open.forget else { return };
        // What was asked before this answer is without effect from now on.
        forget.asked = None;
        let tries = forget.tries;
        let stands_at = match forgetting {
            // It was asked of a version that holds all.
            ForgetOutcome::Forgotten(gone) if !gone.was_gone => return self.end_forgetting(id, Some(gone)),
            ForgetOutcome::Forgotten(Tombstone { version, .. }) | ForgetOutcome::Moved(version) => version,
            ForgetOutcome::Unknown => Version::default(),
        };
        match (open.is_held_by(stands_at), forgetting) {
            (false, _) if open.begin_reading() => self.flush_leaves(id, stands_at),
            (false, _) => self.end_reset(id, SubmitError::Unreachable),
            (true, ForgetOutcome::Forgotten(gone)) => self.end_forgetting(id, Some(gone)),
            (true, ForgetOutcome::Unknown) => self.end_forgetting(id, None),
            (true, ForgetOutcome::Moved(_)) if tries < TRIES => self.ask_to_forget(id, stands_at),
            (true, ForgetOutcome::Moved(_)) => {
                let busy = SubmitError::Busy { reason: BusyReason::Overload, retry_after_ms: RETRY_AFTER_MS };
                self.end_reset(id, busy);
            }
        }
    }

    fn end_forgetting(&mut self, id: SubmissionId, gone: Option<Tombstone>) {
        self.resets.remove(&id);
        self.tell_forgotten(id, Ok(gone));
    }
}

#[cfg(test)]
#[path = "forgets_tests.rs"]
mod tests;
