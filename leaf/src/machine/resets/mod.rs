//! Sets counters to 0, exactly: events acked before a reset are gone from the totals, events acked
//! after it stay.
//!
//! A reset adds to each counter the negative of its total, as an event like any other. So nothing but the
//! totals has to be right: first every leaf that may hold events says which version of the topic holds all that it had
//! accepted, then the totals are read, and then their negatives are logged with the request's key. Events that
//! come in between are concurrent with the reset and stay. A crash before the log is a reset that did not
//! happen; after it, the key tells a repeat.
//!
//! A store that goes back before the totals are read shows less than the leaves had merged, and is sent the rest
//! again: events that the reset did not see would stay, and the negatives of an earlier reset would count on top of
//! its own. So the totals count only where their version holds what every leaf said; else the leaves are asked
//! again. A store that goes back later forgets events, and negatives perhaps, and is sent both again.

mod forgets;
mod leaf_versions;
mod negatives;
pub(super) mod question;

use super::LeafMachine;
use super::context::Context;
use super::context::RETRY_AFTER_MS;
use super::idempotency::keys::Keys;
use super::idempotency::request::KeyedRequest;
use super::ids::{FlushId, SubmissionId};
use super::intake::acks::Waiting;
use super::output::Output;
use countree_common::cluster::{NodeName, Tier};
use countree_common::document::{CounterTotal, Version};
use countree_common::key::Topic;
use countree_common::limits;
use countree_common::time::Now;
use countree_common::wire::keys::IdempotencyKey;
use countree_common::wire::producer::{BusyReason, EventError, EventErrorCode};
use countree_common::wire::rpc::{Counted, Reset, SubmitError};
use forgets::OpenForget;
use leaf_versions::LeafVersions;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_128;

pub use question::{Answer, Question};

/// A reset under way, or a topic that is to be forgotten.
#[derive(Debug)]
struct OpenReset {
    reset: Reset,
    versions: LeafVersions,
    /// It is no reset: the topic is to be forgotten.
    forget: Option<OpenForget>,
}

impl OpenReset {
    fn new(reset: Reset, forget: Option<OpenForget>) -> Self {
        Self { reset, versions: LeafVersions::default(), forget }
    }

    fn topic(&self) -> &Topic {
        &self.reset.topic
    }
}

/// Totals whose negatives are to be counted.
#[derive(Debug)]
pub(super) struct TotalsRead {
    reset: Reset,
    totals: Vec<CounterTotal>,
}

/// The resets under way.
#[derive(Debug, Default)]
pub(super) struct Resets {
    open: BTreeMap<SubmissionId, OpenReset>,
}

/// Identifies the request that a reset's key was used for, to tell a repeat from a mistake.
pub(super) fn content(reset: &Reset) -> u128 {
    let part = |name: Option<&str>| name.map_or(String::new(), |n| format!("{}:{n}", n.len()));
    let (item, kind) = (reset.item.as_ref().map(|i| i.as_str()), reset.kind.as_ref().map(|k| k.as_str()));
    xxh3_128(format!("{}/{}/{}", part(Some(reset.topic.as_str())), part(item), part(kind)).as_bytes())
}

impl Resets {
    /// Whether a reset with this key may still be logged.
    pub(super) fn is_open_under(&self, key: IdempotencyKey) -> bool {
        self.open.values().any(|open| IdempotencyKey::of_request(open.reset.key) == key)
    }

    /// Whether a topic is being reset or forgotten.
    pub(super) fn is_resetting(&self, topic: &Topic) -> bool {
        self.open.values().any(|open| open.reset.topic == *topic)
    }

    /// Begins a reset whose key is not known elsewhere.
    fn begin(&mut self, id: SubmissionId, reset: Reset, keys: &Keys, context: &mut Context) {
        let busy = |reason| SubmitError::Busy { reason, retry_after_ms: RETRY_AFTER_MS };
        let refused = match keys.used(IdempotencyKey::of_request(reset.key)) {
            Some((lsn, known)) if known.matches(content(&reset)) => {
                let counted = Counted { is_replay: true };
                return context.answer_once_durable(lsn, Waiting::Submission { submission: id, counted });
            }
            Some(_) => Some(SubmitError::Refused(EventError {
                code: EventErrorCode::KeyReused,
                message: "this id was used for something else: take a new one for each reset".into(),
                index: None,
            })),
            None if context.is_leaving() => Some(SubmitError::Draining),
            None if self.is_resetting(&reset.topic) => Some(busy(BusyReason::Overload)),
            None if self.is_full() || !keys.has_room(1) => Some(busy(BusyReason::TableFull)),
            None => None,
        };
        match refused {
            Some(e) => self.end(id, e, context),
            None => self.open(id, OpenReset::new(reset, None), context),
        }
    }

    fn is_full(&self) -> bool {
        self.open.len() >= limits::RESETS_PER_LEAF
    }

    fn open(&mut self, id: SubmissionId, open: OpenReset, context: &mut Context) {
        self.open.insert(id, open);
        context.ask_for_reset(id, Question::Members);
    }

    fn end(&mut self, id: SubmissionId, error: SubmitError, context: &mut Context) {
        match self.open.remove(&id) {
            Some(OpenReset { forget: Some(forget), .. }) => {
                let result = Err(forget.refusal(error));
                context.outputs.push(Output::Forgotten { submission: id, result });
            }
            _ => context.outputs.refuse(id, error),
        }
    }

    /// Takes the cluster's answer; returns the totals once they are read.
    fn handle_answer(
        &mut self,
        id: SubmissionId,
        answer: Answer,
        context: &mut Context,
    ) -> Option<TotalsRead> {
        let open = self.open.get_mut(&id)?;
        match answer {
            Answer::Members { away, .. } if !away.is_empty() => {
                self.end(id, SubmitError::Away(away), context)
            }
            // While this leaf is not listed, it would not be asked itself.
            Answer::Members { view, .. } if view.node(&context.config.leaf).is_none() => {
                self.end(id, SubmitError::Unreachable, context);
            }
            Answer::Members { view, .. } => {
                open.versions.begin(view.tier(Tier::Leaf).cloned().collect());
                self.flush_leaves(id, Version::default(), context);
            }
            Answer::Flushed(leaf, version) => {
                let was_last = open.versions.note(&leaf, version);
                if was_last && open.forget.is_some() {
                    let at = open.versions.last_named();
                    self.ask_to_forget(id, at, context);
                } else if was_last {
                    let topic = open.topic().clone();
                    context.ask_for_reset(id, Question::Totals(topic));
                }
            }
            Answer::Totals { version, .. } if !open.versions.is_held_by(version) => {
                if open.versions.begin_reading() {
                    self.flush_leaves(id, version, context);
                } else {
                    self.end(id, SubmitError::Unreachable, context);
                }
            }
            Answer::Totals { totals, .. } => {
                let OpenReset { reset, .. } = self.open.remove(&id)?;
                return Some(TotalsRead { reset, totals });
            }
            Answer::ForgetOutcome(outcome) => self.forget_answered(id, outcome, context),
            Answer::Silence => match &mut open.forget {
                Some(forget) if forget.is_asked() => forget.ask_again(),
                _ => self.end(id, SubmitError::Unreachable, context),
            },
        }
        None
    }

    /// Asks every leaf, given what was read so far.
    fn flush_leaves(&mut self, id: SubmissionId, read: Version, context: &mut Context) {
        let Some(open) = self.open.get_mut(&id) else { return };
        for leaf in open.versions.ask_all() {
            let topic = open.reset.topic.clone();
            context.ask_for_reset(id, Question::Flush { topic, leaf, read });
        }
    }
}

impl LeafMachine {
    /// Sets counters to 0 on somebody's request. Answered like a submission. A key of 0 is none: such a reset is never
    /// a repeat.
    pub fn handle_reset(&mut self, now: Now, id: SubmissionId, reset: Reset) {
        self.look_up(now, id, KeyedRequest::Reset(reset));
    }

    /// Begins a reset whose key is not known elsewhere.
    pub(super) fn begin_reset(&mut self, id: SubmissionId, reset: Reset) {
        let Self { resets, idempotency, context, .. } = self;
        // The attempts noted for the key have come to nothing; a later one is refused while the reset is open.
        idempotency.drop_notes(IdempotencyKey::of_request(reset.key));
        resets.begin(id, reset, idempotency.keys(), context);
    }

    /// The cluster has answered a reset's question.
    pub fn handle_answer(&mut self, now: Now, id: SubmissionId, answer: Answer) {
        let Some(read) = self.resets.handle_answer(id, answer, &mut self.context) else { return };
        match self.negate(now, read) {
            Ok(lsn) => {
                let counted = Counted::default();
                self.context.answer_once_durable(lsn, Waiting::Submission { submission: id, counted });
            }
            Err(e) => self.context.outputs.refuse(id, e),
        }
    }

    /// Begins a flush for a reset of that topic, or to forget it, `by` some leaf: [`Output::Flushed`] says when all of
    /// it that is accepted by now is merged. `false` when too many flushes wait already, or when this leaf resets the
    /// topic itself: two resets that read the same totals would both subtract them. The later of two finds the other's
    /// reset either open or merged.
    pub fn handle_flush(
        &mut self,
        now: Now,
        flush: FlushId,
        topic: &Topic,
        by: &NodeName,
        read: Version,
    ) -> bool {
        let is_rival = *by != self.context.config.leaf && self.resets.is_resetting(topic);
        !is_rival && self.handle_topic_flush(now, flush, topic, read)
    }
}

#[cfg(test)]
#[path = "resets_tests.rs"]
mod tests;
