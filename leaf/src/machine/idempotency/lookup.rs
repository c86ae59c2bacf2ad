//! Looks up idempotency keys before a request is taken: asks every leaf that may know them, and takes nothing on a
//! guess.
//!
//! A key has one owner, which remembers it. While the ring of keys changes, the owner asks every leaf that owned the
//! key before, for as long as keys live. From then on those take the key no more, so that their answers stay true, and
//! none answers for a start before its own.
//!
//! A request may bring keys of several owners. One leaf takes all of it, with one log record, which alone decides
//! whether it counts. Before that it has each of the others note on disk that its attempt may use up the key. An owner
//! that finds a note asks the leaf that made the attempt: what that leaf took is used up; what it gave up, or had not
//! logged before it started again, never will be. So a repeat under any of the keys is known, wherever it comes.

use super::Idempotency;
use super::questions::{KeyQuestion, KeyQuestions, KeysAsked, Subject, is_about};
use super::request::KeyedRequest;
use crate::machine::calls::{Asker, Callee};
use crate::machine::context::Context;
use crate::machine::context::RETRY_AFTER_MS;
use crate::machine::ids::SubmissionId;
use countree_common::cluster::NodeName;
use countree_common::limits;
use countree_common::time::Now;
use countree_common::wire::keys::{Attempt, IdempotencyKey, KeyState, Remembered};
use countree_common::wire::producer::BusyReason;
use countree_common::wire::rpc::{Reply, SubmitError};
use std::collections::{BTreeMap, BTreeSet};

/// Requests that wait for other leaves at once.
const REQUESTS: usize = 1_024;
/// Keys that other leaves are asked about at once.
const KEYS_ASKED: usize = 8 * limits::HTTP_EVENTS;
/// The most rounds of questions for a request: others may note its keys meanwhile.
const ROUNDS: u32 = 4;

/// The result of looking up a request's keys.
#[derive(Debug)]
pub(in crate::machine) enum Lookup {
    /// All that there is to know of the keys is known here: the request may be taken.
    Admit(KeyedRequest),
    /// Other leaves are asked; the last answer brings the request back.
    Wait,
    /// The request is not taken.
    Refuse(KeyedRequest, SubmitError),
}

/// A step of a request that waits.
#[derive(Debug)]
pub(super) enum Step {
    /// Other answers are still to come.
    Wait,
    /// All have answered.
    Answered(OpenLookup),
    /// A leaf has refused to answer, or was not reached.
    Refuse(KeyedRequest, SubmitError),
}

/// A request whose keys other leaves are asked about.
#[derive(Debug)]
pub(super) struct OpenLookup {
    pub(super) request: KeyedRequest,
    /// The epoch of the view that it began under.
    epoch: u64,
    attempt: Attempt,
    rounds: u32,
    open: KeyQuestions,
    learned: Learned,
}

/// Knowledge from other leaves, for one request.
#[derive(Debug, Default)]
pub(super) struct Learned {
    found: Vec<Remembered>,
    /// Keys for which the leaf has said all that it remembers.
    recalled: BTreeSet<(NodeName, IdempotencyKey)>,
    /// Attempts whose leaves have said how they ended: a use is among what was found, and else there will be none.
    settled: BTreeSet<(IdempotencyKey, Attempt)>,
    /// Keys whose owners have noted this attempt, or have said that they are used up.
    noted: BTreeSet<IdempotencyKey>,
}

/// The requests that wait.
#[derive(Debug)]
pub(super) struct Lookups {
    /// This start, which makes the attempts.
    incarnation: u64,
    attempts: u64,
    waiting: BTreeMap<SubmissionId, OpenLookup>,
    /// Keys that other leaves are being asked about.
    keys_asked: usize,
}

impl Lookups {
    pub(super) fn new(incarnation: u64) -> Self {
        Self { incarnation, attempts: 0, waiting: BTreeMap::new(), keys_asked: 0 }
    }

    /// Whether an attempt of this leaf may still use keys.
    pub(super) fn may_use(&self, attempt: &Attempt) -> bool {
        attempt.incarnation > self.incarnation || self.waiting.values().any(|open| open.attempt == *attempt)
    }

    fn open(&mut self, request: KeyedRequest, context: &Context) -> OpenLookup {
        self.attempts += 1;
        let (leaf, incarnation) = (context.config.leaf.clone(), self.incarnation);
        let attempt = Attempt { leaf, incarnation, number: self.attempts };
        let epoch = context.members.view().epoch;
        OpenLookup {
            request,
            epoch,
            attempt,
            rounds: 0,
            open: KeyQuestions::default(),
            learned: Learned::default(),
        }
    }

    /// Asks another round of questions.
    fn ask(
        &mut self,
        id: SubmissionId,
        mut open: OpenLookup,
        questions: KeyQuestions,
        context: &mut Context,
    ) -> Lookup {
        let keys = questions.keys();
        open.rounds += 1;
        if self.waiting.len() >= REQUESTS || self.keys_asked + keys > KEYS_ASKED || open.rounds > ROUNDS {
            let busy = SubmitError::Busy { reason: BusyReason::Overload, retry_after_ms: RETRY_AFTER_MS };
            return Lookup::Refuse(open.request, busy);
        }
        self.keys_asked += keys;
        for (question, about) in questions.clone() {
            let request = question.request(&about, &open.attempt, open.epoch);
            let callee = Callee::Leaf(question.leaf.clone());
            context.call(Asker::Submission(id, question, about.len()), callee, request);
        }
        open.open = questions;
        self.waiting.insert(id, open);
        Lookup::Wait
    }

    /// Takes the answer of a leaf that was asked about this many keys; `None` when there is none.
    fn handle_reply(
        &mut self,
        id: SubmissionId,
        question: &KeyQuestion,
        keys: usize,
        reply: Option<Reply>,
    ) -> Step {
        self.keys_asked -= keys;
        let Some(open) = self.waiting.get_mut(&id) else { return Step::Wait };
        let Some(about) = open.open.take(question) else { return Step::Wait };
        let refused = match reply {
            Some(Reply::Remembered(Ok(found))) if is_about(&found, &about) => {
                open.learned.learn(question, about, found);
                None
            }
            Some(Reply::Remembered(Err(e))) => Some(e),
            _ => Some(SubmitError::Away(vec![question.leaf.clone()])),
        };
        if refused.is_none() && !open.open.is_empty() {
            return Step::Wait;
        }
        // From here on the attempt is taken, or asks on, or never will be taken.
        match (self.waiting.remove(&id), refused) {
            (Some(open), Some(e)) => Step::Refuse(open.request, e),
            (Some(open), None) => Step::Answered(open),
            (None, _) => Step::Wait,
        }
    }
}

impl OpenLookup {
    /// The uses that other leaves remember.
    ///
    /// # Errors
    /// When the view is another by now: the answers are of the past.
    pub(super) fn uses(&self, context: &Context) -> Result<Vec<Remembered>, SubmitError> {
        let epoch = context.members.view().epoch;
        if self.epoch != epoch {
            return Err(SubmitError::NotOwner { epoch });
        }
        let is_use = |of: &&Remembered| matches!(of.state, KeyState::Used { .. });
        Ok(self.learned.found.iter().filter(is_use).cloned().collect())
    }
}

impl Learned {
    fn learn(&mut self, question: &KeyQuestion, about: KeysAsked, found: Vec<Remembered>) {
        for (key, attempt) in about {
            match (question.subject, attempt) {
                (Subject::Memory, _) => drop(self.recalled.insert((question.leaf.clone(), key))),
                (Subject::Note, _) => drop(self.noted.insert(key)),
                (Subject::Outcome, attempt) => self.settled.extend(attempt.map(|attempt| (key, attempt))),
            }
        }
        self.found.extend(found);
    }

    /// Whether a leaf has said all that it remembers of a key.
    pub(super) fn is_recalled(&self, leaf: &NodeName, key: IdempotencyKey) -> bool {
        self.recalled.contains(&(leaf.clone(), key))
    }

    /// Whether the key's owner has noted this attempt.
    pub(super) fn is_noted(&self, key: IdempotencyKey) -> bool {
        self.noted.contains(&key)
    }

    /// Whether the leaf of an attempt has said how it ended.
    pub(super) fn is_settled(&self, key: IdempotencyKey, attempt: &Attempt) -> bool {
        self.settled.contains(&(key, attempt.clone()))
    }

    /// The attempts at a key that other leaves have noted.
    pub(super) fn attempts(&self, key: IdempotencyKey) -> impl Iterator<Item = &Attempt> {
        self.found.iter().filter(move |of| of.key == key).flat_map(|of| match &of.state {
            KeyState::Noted(attempts) => attempts.as_slice(),
            KeyState::Used { .. } => &[],
        })
    }
}

impl Idempotency {
    /// Looks up the keys of a request that has just come.
    pub(super) fn look_up(
        &mut self,
        now: Now,
        id: SubmissionId,
        request: KeyedRequest,
        context: &mut Context,
    ) -> Lookup {
        match self.open_questions(now, &request, &Learned::default(), context) {
            Ok(questions) if questions.is_empty() => Lookup::Admit(request),
            Ok(questions) => {
                let open = self.lookups.open(request, context);
                self.lookups.ask(id, open, questions, context)
            }
            Err(e) => Lookup::Refuse(request, e),
        }
    }

    /// Takes a leaf's answer.
    pub(super) fn lookup_answered(
        &mut self,
        id: SubmissionId,
        question: &KeyQuestion,
        keys: usize,
        reply: Option<Reply>,
    ) -> Step {
        self.lookups.handle_reply(id, question, keys, reply)
    }

    /// Goes on with a request once all have answered, and the uses that they remember are noted here, too.
    pub(super) fn look_up_again(
        &mut self,
        now: Now,
        id: SubmissionId,
        open: OpenLookup,
        context: &mut Context,
    ) -> Lookup {
        match self.open_questions(now, &open.request, &open.learned, context) {
            Ok(questions) if questions.is_empty() => Lookup::Admit(open.request),
            Ok(questions) => self.lookups.ask(id, open, questions, context),
            Err(e) => Lookup::Refuse(open.request, e),
        }
    }

    /// Makes sure that an attempt of this leaf, of which it remembers no use, never will use a key.
    ///
    /// # Errors
    /// While the attempt may still use one.
    pub(super) fn check_own(&self, attempt: &Attempt) -> Result<(), SubmitError> {
        if self.lookups.may_use(attempt) {
            return Err(SubmitError::Busy { reason: BusyReason::UnderWay, retry_after_ms: RETRY_AFTER_MS });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
