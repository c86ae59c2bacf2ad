//! Hands idempotency keys over from a leaf that leaves to those that own them afterwards.

use super::Idempotency;
use super::keys::Keys;
use crate::log::record::Record;
use crate::machine::LeafMachine;
use crate::machine::context::Context;
use crate::machine::context::RETRY_AFTER_MS;
use crate::machine::ids::SubmissionId;
use crate::machine::intake::acks::Waiting;
use countree_common::cluster::NodeName;
use countree_common::limits;
use countree_common::ring::Ring;
use countree_common::stream::Lsn;
use countree_common::time::{Now, WallMs};
use countree_common::wire::keys::Remembered;
use countree_common::wire::producer::BusyReason;
use countree_common::wire::rpc::{Counted, SubmitError};
use std::collections::BTreeMap;

/// The keys that a leaving leaf still has to hand over, by successor.
#[derive(Debug, Default)]
pub(in crate::machine) struct Handover {
    /// The epoch since which the leaves that it was divided among own keys; `None` before the division, and once more
    /// keys have come.
    owners_since: Option<u64>,
    parts: Vec<(NodeName, Vec<Remembered>)>,
}

impl Handover {
    /// Whether the keys were divided among the leaves that own keys since that epoch.
    pub(in crate::machine) fn was_divided_since(&self, since: u64) -> bool {
        self.owners_since == Some(since)
    }

    /// Gives each key to its owner among the successors, which own keys since that epoch.
    pub(super) fn divide(&mut self, successors: Vec<NodeName>, since: u64, keys: Vec<Remembered>) {
        let ring = Ring::new(successors);
        let mut by_successor: BTreeMap<NodeName, Vec<Remembered>> = BTreeMap::new();
        for of in keys {
            if let Some(successor) = ring.key_owner(of.key.hash) {
                by_successor.entry(successor.clone()).or_default().push(of);
            }
        }
        let pieces = |(successor, keys): (NodeName, Vec<Remembered>)| {
            let pieces: Vec<_> = keys.chunks(limits::KEYS_PER_MESSAGE).map(<[_]>::to_vec).collect();
            pieces.into_iter().map(move |piece| (successor.clone(), piece))
        };
        self.parts = by_successor.into_iter().flat_map(pieces).collect();
        self.owners_since = Some(since);
    }

    /// The next keys, and the leaf that gets them.
    pub(in crate::machine) fn next_part(&self) -> Option<(NodeName, Vec<Remembered>)> {
        self.parts.last().cloned()
    }

    /// The last part that was asked for is on its successor's disk.
    pub(in crate::machine) fn note_handed_over(&mut self) {
        self.parts.pop();
    }

    /// Whether the leaves that own keys since that epoch have everything. A successor that has left and come back since
    /// counts as another: it may know nothing of what it was given.
    pub(in crate::machine) fn is_done_since(&self, since: u64) -> bool {
        self.was_divided_since(since) && self.parts.is_empty()
    }

    fn reopen(&mut self) {
        self.owners_since = None;
    }
}

/// Picks those of another leaf's keys that are new here. Their age begins anew, since the other leaf's clock means
/// nothing here.
fn news(keys: &[Remembered], known: &Keys, at: WallMs) -> Vec<Remembered> {
    let news = keys.iter().filter(|of| known.news(of));
    news.map(|of| Remembered { at, ..of.clone() }).collect()
}

impl Idempotency {
    /// Logs and remembers keys from elsewhere; returns the record.
    fn absorb(&mut self, news: &[Remembered], context: &mut Context) -> Result<Lsn, SubmitError> {
        let lsn = context.log(&Record::Inherited(news.to_vec())).ok_or(busy(BusyReason::DiskFailed))?;
        news.iter().for_each(|of| self.keys.absorb(of, lsn));
        self.handover.reopen();
        Ok(lsn)
    }
}

impl LeafMachine {
    /// A leaving leaf hands over keys. Answered like a submission, once they are on disk here.
    pub fn handle_inheritance(&mut self, now: Now, id: SubmissionId, keys: &[Remembered]) {
        match self.take_over(now, keys) {
            Ok(lsn) => {
                let counted = Counted::default();
                self.context.answer_once_durable(lsn, Waiting::Submission { submission: id, counted });
            }
            Err(e) => self.context.outputs.refuse(id, e),
        }
    }

    /// Remembers keys from elsewhere; returns the last record that says so.
    pub(super) fn take_over(&mut self, now: Now, keys: &[Remembered]) -> Result<Lsn, SubmitError> {
        if self.leaving.is_past_handover() {
            return Err(SubmitError::Draining);
        }
        if let Some(reason) = self.admission().busy(0) {
            return Err(busy(reason));
        }
        let known = self.idempotency.keys();
        let news = news(keys, known, self.context.clocks.age(now));
        if news.len() > limits::KEYS_PER_MESSAGE || !known.has_room(news.len()) {
            return Err(busy(BusyReason::TableFull));
        }
        if news.is_empty() {
            let known = keys.iter().filter_map(|of| known.recall(of.key));
            return Ok(known.map(|(lsn, _)| lsn).max().unwrap_or_default());
        }
        self.begin_segment_if_full();
        self.idempotency.absorb(&news, &mut self.context)
    }
}

fn busy(reason: BusyReason) -> SubmitError {
    SubmitError::Busy { reason, retry_after_ms: RETRY_AFTER_MS }
}

#[cfg(test)]
#[path = "handover_tests.rs"]
mod tests;
