//! Setting counters to 0, exactly: events acked before a reset are gone from the totals, events acked
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

use super::forgets::OpenForget;
use super::idempotency::lookup::Claim;
use super::intake::acks::Waiting;
use super::{LeafMachine, Output, RETRY_AFTER_MS, SubmissionId};
use crate::log::record::{self, Record};
use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::document::{CounterTotal, Version};
use countree_common::forget::ForgetOutcome;
use countree_common::key::{Counter, Topic};
use countree_common::limits;
use countree_common::stream::Lsn;
use countree_common::time::Now;
use countree_common::wire::batch;
use countree_common::wire::keys::{IdempotencyKey, KeyUse};
use countree_common::wire::producer::{BusyReason, EventError, EventErrorCode};
use countree_common::wire::rpc::{Counted, Reset, SubmitError};
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_128;

/// A question that a reset has to the cluster. The shell asks it, and answers with [`LeafMachine::handle_answer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Who is in the cluster, by the store's word?
    Members,
    /// Is all merged that this leaf has accepted by now, and does it not reset the topic itself? May be asked of this
    /// very leaf.
    Flush {
        /// The reset's.
        topic: Topic,
        /// Who is asked.
        leaf: Node,
        /// The version that was read before, 0-0 for none.
        read: Version,
    },
    /// What does the store hold of the reset's topic?
    Totals(Topic),
    /// May the store forget the topic, if its document stands at that version?
    Forget {
        /// Which.
        topic: Topic,
        /// The version that holds all that every leaf said.
        at: Version,
    },
}

/// The cluster's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Members`].
    Members {
        /// The live nodes.
        view: ClusterView,
        /// Leaves that are not live and may hold events that are not merged.
        away: Vec<NodeName>,
    },
    /// To [`Question::Flush`]: it is, in that version of the topic; 0-0 where there was nothing.
    Flushed(NodeName, Version),
    /// To [`Question::Totals`].
    Totals {
        /// Where the document stood.
        version: Version,
        /// What it held.
        totals: Vec<CounterTotal>,
    },
    /// To [`Question::Forget`].
    ForgetOutcome(ForgetOutcome),
    /// There is none.
    Silence,
}

/// A reset gives up after reading so many versions that do not hold what the leaves said.
const READINGS: u32 = 3;

/// A reset under way.
#[derive(Debug)]
pub(super) struct OpenReset {
    reset: Reset,
    /// Those that may hold events.
    leaves: Vec<Node>,
    /// Those that have not answered yet.
    flushing: BTreeSet<NodeName>,
    /// What the others answered.
    told: BTreeSet<Version>,
    readings: u32,
    /// It is no reset: the topic is to be forgotten.
    pub(super) forget: Option<OpenForget>,
}

impl OpenReset {
    pub(super) fn new(reset: Reset, forget: Option<OpenForget>) -> Self {
        let (leaves, flushing, told) = Default::default();
        Self { reset, leaves, flushing, told, readings: 0, forget }
    }

    pub(super) fn topic(&self) -> &Topic {
        &self.reset.topic
    }

    /// The last version that a leaf said.
    pub(super) fn last_told(&self) -> Version {
        self.told.last().copied().unwrap_or_default()
    }

    /// Whether the leaves may be asked once more, given what was read.
    pub(super) fn begin_reading(&mut self) -> bool {
        self.readings += 1;
        self.readings < READINGS
    }

    /// Whether a document of this version holds all that the leaves had accepted.
    pub(super) fn is_held_by(&self, read: Version) -> bool {
        let mut told = self.told.iter().filter(|version| **version != Version::default());
        told.all(|version| version.era == read.era && *version <= read)
    }
}

/// What a reset's id was used for, to tell a repeat from a mistake.
pub(super) fn content(reset: &Reset) -> u128 {
    let part = |name: Option<&str>| name.map_or(String::new(), |n| format!("{}:{n}", n.len()));
    let (item, kind) = (reset.item.as_ref().map(|i| i.as_str()), reset.kind.as_ref().map(|k| k.as_str()));
    xxh3_128(format!("{}/{}/{}", part(Some(reset.topic.as_str())), part(item), part(kind)).as_bytes())
}

impl LeafMachine {
    /// Somebody wants counters to be 0. Answered like a submission. A key of 0 is none: such a reset is never a repeat.
    pub fn handle_reset(&mut self, now: Now, id: SubmissionId, reset: Reset) {
        self.handle_claim(now, id, Claim::Reset(reset));
    }

    /// Begins a reset whose key is not known elsewhere.
    pub(super) fn begin_reset(&mut self, id: SubmissionId, reset: Reset) {
        let refused = match self.keys.used(IdempotencyKey::of_request(reset.key)) {
            Some((lsn, known)) if known.matches(content(&reset)) => {
                let counted = Counted { is_replay: true };
                return self
                    .context
                    .answer_once_durable(lsn, Waiting::Submission { submission: id, counted });
            }
            Some(_) => Some(SubmitError::Refused(EventError {
                code: EventErrorCode::KeyReused,
                message: "this id was used for something else: take a new one for each reset".into(),
                index: None,
            })),
            None if self.context.is_leaving() => Some(SubmitError::Draining),
            None if self.is_resetting(&reset.topic) => {
                Some(SubmitError::Busy { reason: BusyReason::Overload, retry_after_ms: RETRY_AFTER_MS })
            }
            None if self.resets.len() >= limits::RESETS_PER_LEAF || !self.keys.has_room(1) => {
                Some(SubmitError::Busy { reason: BusyReason::TableFull, retry_after_ms: RETRY_AFTER_MS })
            }
            None => None,
        };
        match refused {
            Some(e) => self.end_reset(id, e),
            None => {
                self.resets.insert(id, OpenReset::new(reset, None));
                self.ask(id, Question::Members);
            }
        }
    }

    pub(super) fn ask(&mut self, reset: SubmissionId, question: Question) {
        self.context.outputs.push(Output::Ask { reset, question });
    }

    pub(super) fn end_reset(&mut self, id: SubmissionId, error: SubmitError) {
        match self.resets.remove(&id) {
            Some(open) if open.forget.is_some() => {
                self.tell_forgotten(id, Err(open.refusal_to_forget(error)));
            }
            _ => self.context.outputs.refuse(id, error),
        }
    }

    /// The cluster has answered a reset's question.
    pub fn handle_answer(&mut self, now: Now, id: SubmissionId, answer: Answer) {
        let Some(open) = self.resets.get_mut(&id) else { return };
        match answer {
            Answer::Members { away, .. } if !away.is_empty() => self.end_reset(id, SubmitError::Away(away)),
            // Not listed yet, it would not be asked itself.
            Answer::Members { view, .. } if view.node(&self.context.config.leaf).is_none() => {
                self.end_reset(id, SubmitError::Unreachable);
            }
            Answer::Members { view, .. } => {
                open.leaves = view.tier(Tier::Leaf).cloned().collect();
                self.flush_leaves(id, Version::default());
            }
            Answer::Flushed(leaf, version) => {
                open.told.insert(version);
                let was_last = open.flushing.remove(&leaf) && open.flushing.is_empty();
                if was_last && open.forget.is_some() {
                    let at = open.last_told();
                    self.ask_to_forget(id, at);
                } else if was_last {
                    let topic = open.reset.topic.clone();
                    self.ask(id, Question::Totals(topic));
                }
            }
            Answer::Totals { version, .. } if !open.is_held_by(version) => {
                if open.begin_reading() {
                    self.flush_leaves(id, version);
                } else {
                    self.end_reset(id, SubmitError::Unreachable);
                }
            }
            Answer::Totals { totals, .. } => {
                let reset = open.reset.clone();
                self.resets.remove(&id);
                match self.negate(now, &reset, totals) {
                    Ok(lsn) => {
                        let counted = Counted::default();
                        self.context
                            .answer_once_durable(lsn, Waiting::Submission { submission: id, counted });
                    }
                    Err(e) => self.end_reset(id, e),
                }
            }
            Answer::ForgetOutcome(forgetting) => self.forgetting_answered(id, forgetting),
            Answer::Silence if open.is_asking_to_forget() => open.ask_to_forget_again(),
            Answer::Silence => self.end_reset(id, SubmitError::Unreachable),
        }
    }

    /// Asks every leaf, given what was read so far.
    pub(super) fn flush_leaves(&mut self, id: SubmissionId, read: Version) {
        let Some(open) = self.resets.get_mut(&id) else { return };
        open.flushing = open.leaves.iter().map(|leaf| leaf.name.clone()).collect();
        open.told.clear();
        let (topic, leaves) = (open.reset.topic.clone(), open.leaves.clone());
        leaves
            .into_iter()
            .for_each(|leaf| self.ask(id, Question::Flush { topic: topic.clone(), leaf, read }));
    }

    /// Logs and counts the negatives; returns the last record that says so.
    fn negate(&mut self, now: Now, reset: &Reset, totals: Vec<CounterTotal>) -> Result<Lsn, SubmitError> {
        if self.context.is_leaving() {
            return Err(SubmitError::Draining);
        }
        if let Some(reason) = self.admission().busy(0) {
            return Err(SubmitError::Busy { reason, retry_after_ms: RETRY_AFTER_MS });
        }
        let key = IdempotencyKey::of_request(reset.key);
        if self.keys.recall(key).is_some() {
            // Used by a submission in the meantime; a repeat of the reset is told so.
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
        let used = (reset.key != 0).then(|| KeyUse { key, content: content(reset) });
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
            self.keys.note_use(used, lsn, self.context.clocks.age(now));
        }
        Ok(lsn)
    }

    /// Whether a reset with this key may still be logged.
    pub(super) fn is_resetting_under(&self, key: IdempotencyKey) -> bool {
        self.resets.values().any(|open| IdempotencyKey::of_request(open.reset.key) == key)
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

    /// For a reset of that topic, or to forget it, `by` some leaf: [`Output::Flushed`] is to say when all that was accepted
    /// of it by now is merged. `false` when too many wait already, or this leaf resets the topic, too: two that read the same totals
    /// would both subtract them. Whichever of two asked later finds the other's reset open, or merged.
    pub fn handle_flush(
        &mut self,
        now: Now,
        flush: u64,
        topic: &Topic,
        by: &NodeName,
        read: Version,
    ) -> bool {
        let is_rival = *by != self.context.config.leaf && self.is_resetting(topic);
        !is_rival && self.handle_topic_flush(now, flush, topic, read)
    }

    pub(super) fn is_resetting(&self, topic: &Topic) -> bool {
        self.resets.values().any(|open| open.reset.topic == *topic)
    }
}

#[cfg(test)]
#[path = "resets_tests.rs"]
mod tests;
