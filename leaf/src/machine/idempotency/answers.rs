//! What other leaves are told of idempotency keys, and what is noted for them.

use crate::log::record::Record;
use crate::machine::intake::acks::Waiting;
use crate::machine::{LeafMachine, Output, RETRY_AFTER_MS, SubmissionId};
use countree_common::stream::Lsn;
use countree_common::time::Now;
use countree_common::wire::keys::{Attempt, IdempotencyKey, Remembered};
use countree_common::wire::producer::BusyReason;
use countree_common::wire::rpc::{Reply, SubmitError};

impl LeafMachine {
    /// The keys' owner by a later view wants to know what is remembered of them here. Answered by [`Output::Answer`].
    pub fn handle_recall(&mut self, now: Now, id: SubmissionId, keys: &[IdempotencyKey], epoch: u64) {
        if self.context.members.view().epoch < epoch {
            return self.fail(id, "this leaf has an older view");
        }
        let mut found = Vec::new();
        for key in keys {
            found.extend(self.recall(*key));
            if self.keys.used(*key).is_some() {
                continue;
            }
            // The asker may mean an earlier start, which has left with what it knew.
            if self.context.members.is_superseded()
                || self.context.members.listed_since().is_none_or(|since| epoch < since)
            {
                return self.fail(id, "this leaf was listed anew since: ask again by the latest view");
            }
            if self.is_resetting_under(*key) {
                return self.fail(id, "a reset under this key is under way");
            }
            // It could take the key right after it has answered.
            let registry_now = self.context.clocks.registry_now(now.mono);
            if self.owns(*key, registry_now) {
                return self.fail(id, "this leaf owns the key by a later view");
            }
        }
        self.remember(id, found);
    }

    /// The keys' owner has notes of attempts of this leaf. Of those that it does not answer with a use, it will never
    /// take any. Answered by [`Output::Answer`].
    pub fn handle_attempts(&mut self, id: SubmissionId, attempts: &[(IdempotencyKey, Attempt)]) {
        let mut found = Vec::new();
        for (key, attempt) in attempts {
            if self.keys.used(*key).is_some() {
                found.extend(self.keys.recall(*key));
            } else if attempt.leaf != self.context.config.leaf {
                return self.fail(id, "the attempt is another leaf's");
            } else if let Err(e) = self.check_own(attempt) {
                let reply = Reply::Remembered(Err(e));
                return self.context.outputs.push(Output::Answer { question: id, reply });
            }
        }
        self.remember(id, found);
    }

    /// Notes the keys that are not used up, and answers with those that are.
    pub(in crate::machine) fn note_keys(
        &mut self,
        now: Now,
        id: SubmissionId,
        keys: &[IdempotencyKey],
        by: Attempt,
    ) {
        let (used, fresh): (Vec<_>, Vec<_>) = keys.iter().partition(|key| self.keys.used(**key).is_some());
        match self.log_notes(now, fresh, by) {
            Ok(lsn) => {
                let found = used.into_iter().filter_map(|key| self.keys.recall(key)).collect();
                self.remember_once(id, lsn, found);
            }
            Err(e) => {
                let reply = Reply::Remembered(Err(e));
                self.context.outputs.push(Output::Answer { question: id, reply });
            }
        }
    }

    fn log_notes(&mut self, now: Now, keys: Vec<IdempotencyKey>, by: Attempt) -> Result<Lsn, SubmitError> {
        let busy = |reason| SubmitError::Busy { reason, retry_after_ms: RETRY_AFTER_MS };
        if keys.is_empty() {
            return Ok(0);
        }
        if self.context.is_leaving() {
            return Err(SubmitError::Draining);
        }
        if keys.iter().any(|key| self.is_resetting_under(*key)) {
            return Err(busy(BusyReason::UnderWay));
        }
        if let Some(reason) = self.admission().busy(0) {
            return Err(busy(reason));
        }
        if !self.keys.has_room(keys.len()) {
            return Err(busy(BusyReason::TableFull));
        }
        self.begin_segment_if_full();
        let at = self.context.clocks.age(now);
        let record = Record::Noted { keys: keys.clone(), at, by: by.clone() };
        let lsn = self.context.log(&record).ok_or(busy(BusyReason::DiskFailed))?;
        keys.into_iter().for_each(|key| self.keys.note_attempt(key, by.clone(), lsn, at));
        Ok(lsn)
    }

    fn remember(&mut self, id: SubmissionId, found: Vec<(Lsn, Remembered)>) {
        self.remember_once(id, 0, found);
    }

    /// Answers once everything that is said is on disk here, up to `lsn` at least.
    fn remember_once(&mut self, id: SubmissionId, lsn: Lsn, found: Vec<(Lsn, Remembered)>) {
        let lsn = found.iter().map(|(lsn, _)| *lsn).fold(lsn, Lsn::max);
        let keys = found.into_iter().map(|(_, of)| of).collect();
        self.context.answer_once_durable(lsn, Waiting::Remembered { question: id, keys });
    }

    pub(in crate::machine) fn fail(&mut self, id: SubmissionId, why: &str) {
        let reply = Reply::Failed(why.into());
        self.context.outputs.push(Output::Answer { question: id, reply });
    }
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
