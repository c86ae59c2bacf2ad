//! Logs and counts the negatives of totals, which is what a reset comes down to.

use super::{TotalsRead, content};
use crate::log::record::{self, Record};
use crate::machine::LeafMachine;
use crate::machine::context::RETRY_AFTER_MS;
use countree_common::document::CounterTotal;
use countree_common::key::Counter;
use countree_common::limits;
use countree_common::stream::Lsn;
use countree_common::time::Now;
use countree_common::wire::batch;
use countree_common::wire::keys::{IdempotencyKey, KeyUse};
use countree_common::wire::producer::BusyReason;
use countree_common::wire::rpc::SubmitError;

impl LeafMachine {
    /// Logs and counts the negatives; returns the last record that says so.
    pub(super) fn negate(&mut self, now: Now, read: TotalsRead) -> Result<Lsn, SubmitError> {
        let TotalsRead { reset, totals } = read;
        if self.context.is_leaving() {
            return Err(SubmitError::Draining);
        }
        if let Some(reason) = self.admission().busy(0) {
            return Err(SubmitError::Busy { reason, retry_after_ms: RETRY_AFTER_MS });
        }
        let key = IdempotencyKey::of_request(reset.key);
        if self.idempotency.keys().recall(key).is_some() {
            // Used by a submission in the meantime; a repeat of the reset is answered accordingly.
            return Err(SubmitError::Unreachable);
        }
        let is_meant = |t: &CounterTotal| {
            t.total != 0
                && t.total != i64::MIN
                && reset.item.as_ref().is_none_or(|item| *item == t.item)
                && reset.kind.as_ref().is_none_or(|kind| *kind == t.kind)
        };
        let negatives: Vec<_> = totals
            .into_iter()
            .filter(is_meant)
            .map(|t| (Counter { topic: reset.topic.clone(), item: t.item, kind: t.kind }, -t.total))
            .collect();
        let used = (reset.key != 0).then(|| KeyUse { key, content: content(&reset) });
        // The key goes with the last record: a crash in between leaves a reset that its repeat completes.
        let (last, earlier) = match negatives.chunks(limits::BATCH_EVENTS).collect::<Vec<_>>().split_last() {
            Some((last, earlier)) => (last.to_vec(), earlier.iter().map(|part| part.to_vec()).collect()),
            None => (Vec::new(), Vec::new()),
        };
        for part in earlier {
            self.log_negatives(now, &part, Vec::new())?;
        }
        let lsn = self.log_negatives(now, &last, used.into_iter().collect())?;
        if let Some(used) = used {
            self.idempotency.note_use(used, lsn, self.context.clocks.age(now));
        }
        Ok(lsn)
    }

    fn log_negatives(
        &mut self,
        now: Now,
        negatives: &[(Counter, i64)],
        keys: Vec<KeyUse>,
    ) -> Result<Lsn, SubmitError> {
        self.begin_segment_if_full();
        let (mut names, mut words) = (Vec::new(), Vec::new());
        for (id, (counter, delta)) in (0..).zip(negatives) {
            batch::put_name(counter, &mut names);
            batch::put_event(id, *delta, &mut words);
        }
        let event_count = negatives.len() as u32;
        let record = record::Submission {
            at: self.context.clocks.age(now),
            keys,
            names: &names,
            event_count,
            words: &words,
        };
        let full = SubmitError::Busy { reason: BusyReason::DiskFull, retry_after_ms: RETRY_AFTER_MS };
        let lsn = self.context.log(&Record::Submission(record)).ok_or(full)?;
        let volume = negatives.iter().fold(0u64, |v, (_, delta)| v.saturating_add(delta.unsigned_abs()));
        let counted = self.counters.intern(negatives.iter().map(|(counter, delta)| (counter, *delta)));
        self.counters.table_mut().add(counted.into_iter(), volume);
        self.uplink.note_accepted(u64::from(event_count));
        self.end_window_if_full(now);
        Ok(lsn)
    }
}
