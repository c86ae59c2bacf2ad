//! Answers other leaves' questions about idempotency keys, and notes their attempts.

use super::Idempotency;
use super::request::KeyedRequest;
use crate::log::record::Record;
use crate::machine::LeafMachine;
use crate::machine::context::Context;
use crate::machine::context::RETRY_AFTER_MS;
use crate::machine::counters::Counters;
use crate::machine::ids::SubmissionId;
use crate::machine::intake::acks::Waiting;
use crate::machine::intake::admission::Admission;
use crate::machine::resets::Resets;
use crate::machine::uplink::Uplink;
use countree_common::stream::Lsn;
use countree_common::time::Now;
use countree_common::wire::keys::{Attempt, IdempotencyKey, Remembered};
use countree_common::wire::producer::BusyReason;
use countree_common::wire::rpc::{Reply, SubmitError};

/// Keys that are remembered, each with the record that says so.
type Recalled = Vec<(Lsn, Remembered)>;

impl Idempotency {
    /// Returns all that is remembered of keys, for a leaf that owns them by the view of that epoch.
    ///
    /// # Errors
    /// With the reason for which this leaf can't tell.
    fn recall_all(
        &mut self,
        now: Now,
        keys: &[IdempotencyKey],
        epoch: u64,
        resets: &Resets,
        context: &mut Context,
    ) -> Result<Recalled, &'static str> {
        if context.members.view().epoch < epoch {
            return Err("this leaf has an older view");
        }
        let mut found = Vec::new();
        for key in keys {
            found.extend(self.recall(*key, &context.members));
            if self.keys.used(*key).is_some() {
                continue;
            }
            // The asker may mean an earlier start, which has left with what it knew.
            if context.members.is_superseded()
                || context.members.listed_since().is_none_or(|since| epoch < since)
            {
                return Err("this leaf was listed anew since: ask again by the latest view");
            }
            if resets.is_open_under(*key) {
                return Err("a reset under this key is under way");
            }
            // It could take the key right after it has answered.
            let registry_now = context.clocks.registry_now(now.mono);
            if self.owns(*key, registry_now, context) {
                return Err("this leaf owns the key by a later view");
            }
        }
        Ok(found)
    }

    /// The uses of keys by attempts of this leaf. Those without a use will never have one.
    ///
    /// # Errors
    /// While an attempt may still use a key.
    fn recall_outcomes(&self, attempts: &[(IdempotencyKey, Attempt)]) -> Result<Recalled, SubmitError> {
        let mut found = Vec::new();
        for (key, attempt) in attempts {
            if self.keys.used(*key).is_some() {
                found.extend(self.keys.recall(*key));
            } else {
                self.check_own(attempt)?;
            }
        }
        Ok(found)
    }

    /// Checks whether an attempt may be noted for these keys, none of which is used up.
    fn check_note(
        &self,
        keys: &[IdempotencyKey],
        (counters, uplink, resets): (&Counters, &Uplink, &Resets),
        context: &Context,
    ) -> Result<(), SubmitError> {
        let busy = |reason| SubmitError::Busy { reason, retry_after_ms: RETRY_AFTER_MS };
        if context.is_leaving() {
            return Err(SubmitError::Draining);
        }
        if keys.iter().any(|key| resets.is_open_under(*key)) {
            return Err(busy(BusyReason::UnderWay));
        }
        if let Some(reason) = (Admission { context, counters, uplink }).busy(0) {
            return Err(busy(reason));
        }
        if !self.keys.has_room(keys.len()) {
            return Err(busy(BusyReason::TableFull));
        }
        Ok(())
    }

    /// Logs and notes an attempt; returns its record.
    fn note(
        &mut self,
        now: Now,
        keys: Vec<IdempotencyKey>,
        by: &Attempt,
        context: &mut Context,
    ) -> Result<Lsn, SubmitError> {
        let at = context.clocks.age(now);
        let record = Record::Noted { keys: keys.clone(), at, by: by.clone() };
        let failed = SubmitError::Busy { reason: BusyReason::DiskFailed, retry_after_ms: RETRY_AFTER_MS };
        let lsn = context.log(&record).ok_or(failed)?;
        keys.into_iter().for_each(|key| self.keys.note_attempt(key, by.clone(), lsn, at));
        Ok(lsn)
    }
}

impl LeafMachine {
    /// The keys' owner by a later view wants to know what is remembered of them here. Answered by
    /// [`Output::Answer`](crate::machine::Output::Answer).
    pub fn handle_recall(&mut self, now: Now, id: SubmissionId, keys: &[IdempotencyKey], epoch: u64) {
        let Self { idempotency, resets, context, .. } = self;
        match idempotency.recall_all(now, keys, epoch, resets, context) {
            Ok(found) => remember(id, 0, found, context),
            Err(why) => context.outputs.fail(id, why),
        }
    }

    /// The keys' owner has notes of attempts of this leaf, and asks how they ended. An attempt that the answer names no
    /// use of will never use its key. Answered by [`Output::Answer`](crate::machine::Output::Answer).
    pub fn handle_attempts(&mut self, id: SubmissionId, attempts: &[(IdempotencyKey, Attempt)]) {
        let Self { idempotency, context, .. } = self;
        let is_anothers = |(key, attempt): &(IdempotencyKey, Attempt)| {
            attempt.leaf != context.config.leaf && idempotency.keys().used(*key).is_none()
        };
        if attempts.iter().any(is_anothers) {
            return context.outputs.fail(id, "the attempt is another leaf's");
        }
        match idempotency.recall_outcomes(attempts) {
            Ok(found) => remember(id, 0, found, context),
            Err(e) => context.outputs.answer(id, Reply::Remembered(Err(e))),
        }
    }

    /// The owner of these keys is to note that another leaf's attempt may use them up. Answered by
    /// [`Output::Answer`](crate::machine::Output::Answer).
    pub fn handle_note(&mut self, now: Now, id: SubmissionId, keys: Vec<IdempotencyKey>, by: Attempt) {
        if !self.context.members.has_seen(&by) {
            return self.context.outputs.fail(id, "this leaf has an older view");
        }
        self.look_up(now, id, KeyedRequest::Note { keys, by });
    }

    /// Notes the keys that are not used up, and answers with those that are.
    pub(super) fn note_keys(&mut self, now: Now, id: SubmissionId, keys: &[IdempotencyKey], by: &Attempt) {
        let known = self.idempotency.keys();
        let (used, fresh): (Vec<_>, Vec<_>) = keys.iter().partition(|key| known.used(**key).is_some());
        let noted = if fresh.is_empty() { Ok(0) } else { self.log_note(now, fresh, by) };
        match noted {
            Ok(lsn) => {
                let found = used.into_iter().filter_map(|key| self.idempotency.keys().recall(key)).collect();
                remember(id, lsn, found, &mut self.context);
            }
            Err(e) => self.context.outputs.answer(id, Reply::Remembered(Err(e))),
        }
    }

    fn log_note(&mut self, now: Now, keys: Vec<IdempotencyKey>, by: &Attempt) -> Result<Lsn, SubmitError> {
        let rest = (&self.counters, &self.uplink, &self.resets);
        self.idempotency.check_note(&keys, rest, &self.context)?;
        self.begin_segment_if_full();
        self.idempotency.note(now, keys, by, &mut self.context)
    }
}

/// Answers once every record that the answer rests on is on disk, up to `lsn` at least.
fn remember(id: SubmissionId, lsn: Lsn, found: Recalled, context: &mut Context) {
    let lsn = found.iter().map(|(lsn, _)| *lsn).fold(lsn, Lsn::max);
    let keys = found.into_iter().map(|(_, of)| of).collect();
    context.answer_once_durable(lsn, Waiting::Remembered { question: id, keys });
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
