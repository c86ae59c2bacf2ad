//! Whether idempotency keys are new: before a leaf takes a request it asks whoever may know, and takes nothing on a guess.
//!
//! A key has one owner, which remembers it. While the ring of keys changes, the owner asks every leaf that owned the key
//! before, for as long as keys live; from then on those take the key no more, so that what they said stays true,
//! and none answers for a start before its own.
//!
//! A request may bring keys of several owners. One leaf takes all of it, with one log record, which alone decides whether
//! it counts. Before that it has each of the others note on disk that its attempt may use up the key. An owner that finds
//! a note asks the taker: what that took is used up; what it gave up, or had not logged before it started again, never
//! will be. So a repeat under any of the keys is known, wherever it comes.

use crate::machine::calls::{Asker, Callee};
use crate::machine::idempotency::keyed_events::Order;
use crate::machine::idempotency::keys::Keys;
use crate::machine::{LeafMachine, Output, RETRY_AFTER_MS, SubmissionId};
use countree_common::cluster::{KeyHistory, NodeName};
use countree_common::limits;
use countree_common::ring::Ring;
use countree_common::stream::Lsn;
use countree_common::time::{Now, WallMs};
use countree_common::wire::keys::{Attempt, IdempotencyKey, KeyState, Remembered};
use countree_common::wire::producer::BusyReason;
use countree_common::wire::rpc::{Reply, Request, Reset, SubmitError};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Requests that wait for other leaves at once.
const REQUESTS: usize = 1_024;
/// Keys that other leaves are asked about at once.
const QUESTIONS: usize = 8 * limits::HTTP_EVENTS;
/// How often a request asks anew because others have noted its keys meanwhile.
const ROUNDS: u32 = 4;

/// What a leaf is asked about keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Matter {
    /// It owned them before: what does it remember?
    Memory,
    /// Attempts of its were noted: did they use them up?
    Outcome,
    /// It owns them now: they are to be noted.
    Note,
}

/// What is asked of one leaf at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::machine) struct Question {
    leaf: NodeName,
    matter: Matter,
}

/// Keys by question, each with the attempts that are asked about.
type Questions = BTreeMap<Question, Vec<(IdempotencyKey, Option<Attempt>)>>;

/// What uses keys up.
#[derive(Debug, Clone)]
pub(in crate::machine) enum Claim {
    Order(Order),
    Reset(Reset),
    /// Another leaf's attempt to take a request.
    Note {
        keys: Vec<IdempotencyKey>,
        by: Attempt,
    },
}

impl Claim {
    /// Its keys that are not used up.
    fn fresh(&self, known: &Keys) -> BTreeSet<IdempotencyKey> {
        let is_fresh = |key: &IdempotencyKey| known.used(*key).is_none();
        match self {
            Claim::Order(order) if order.is_repeated_by(known) => BTreeSet::new(),
            Claim::Order(order) => order.keys().filter(is_fresh).collect(),
            Claim::Reset(Reset { key: 0, .. }) => BTreeSet::new(),
            Claim::Reset(reset) => {
                Some(IdempotencyKey::of_request(reset.key)).into_iter().filter(is_fresh).collect()
            }
            Claim::Note { keys, .. } => keys.iter().copied().filter(is_fresh).collect(),
        }
    }
}

/// A request whose keys are being asked about.
#[derive(Debug)]
struct Clearance {
    claim: Claim,
    epoch: u64,
    attempt: Attempt,
    rounds: u32,
    open: Questions,
    known: Known,
}

/// What others have said.
#[derive(Debug, Default)]
struct Known {
    found: Vec<Remembered>,
    /// Whose memory of which keys that is all.
    recalled: BTreeSet<(NodeName, IdempotencyKey)>,
    /// Attempts whose takers have said what became final: a use is among what was found, and else there will be none.
    settled: BTreeSet<(IdempotencyKey, Attempt)>,
    /// Keys whose owners have noted this attempt, or have said that they are used up.
    noted: BTreeSet<IdempotencyKey>,
}

/// The requests that wait.
#[derive(Debug, Default)]
pub(in crate::machine) struct Clearances {
    waiting: BTreeMap<SubmissionId, Clearance>,
    questions: usize,
    attempts: u64,
}

impl Clearances {
    /// Whether this attempt may still be taken.
    pub(in crate::machine) fn is_open(&self, attempt: &Attempt) -> bool {
        self.waiting.values().any(|clearance| clearance.attempt == *attempt)
    }
}

/// Who owns keys in a view, and who did.
#[derive(Debug)]
pub(in crate::machine) struct KeyRings {
    present: Ring,
    past: Vec<(WallMs, Ring)>,
}

impl KeyRings {
    fn of(history: &KeyHistory, since: WallMs) -> Self {
        let ring = |owners: &[NodeName]| Ring::new(owners.iter().cloned());
        let past = history.past.iter().filter(|past| past.until >= since);
        let past = past.map(|past| (past.until, ring(&past.owners))).collect();
        Self { present: ring(&history.owners), past }
    }
}

impl LeafMachine {
    /// A root has confirmed the view, or brought a newer one.
    pub fn handle_confirmation(&mut self, now: Now) {
        self.context.members.confirm(now.mono);
    }

    /// The owner of these keys is to note that another leaf's attempt may use them up. Answered by [`Output::Answer`].
    pub fn handle_note(&mut self, now: Now, id: SubmissionId, keys: Vec<IdempotencyKey>, by: Attempt) {
        if !self.context.members.has_seen(&by) {
            return self.fail(id, "this leaf has an older view");
        }
        self.handle_claim(now, id, Claim::Note { keys, by });
    }

    /// Takes a request, at once or when others have been asked about its keys.
    pub(in crate::machine) fn handle_claim(&mut self, now: Now, id: SubmissionId, claim: Claim) {
        let known = Known::default();
        match self.questions(now, &claim, &known) {
            Ok(questions) if questions.is_empty() => self.take(now, id, claim),
            Ok(questions) => self.begin_clearing(id, claim, questions),
            Err(e) => self.refuse_claim(id, &claim, e),
        }
    }

    fn refuse_claim(&mut self, id: SubmissionId, claim: &Claim, error: SubmitError) {
        match claim {
            Claim::Order(_) | Claim::Reset(_) => self.context.outputs.refuse(id, error),
            Claim::Note { .. } => {
                let reply = Reply::Remembered(Err(error));
                self.context.outputs.push(Output::Answer { question: id, reply });
            }
        }
    }

    /// Takes a request whose unknown keys are new.
    fn take(&mut self, now: Now, id: SubmissionId, claim: Claim) {
        match claim {
            Claim::Order(order) => self.submit(now, id, &order),
            Claim::Reset(reset) => {
                // Those that are there have come to nothing; a later one is in the way of the reset.
                self.keys.drop_notes(IdempotencyKey::of_request(reset.key));
                self.begin_reset(id, reset);
            }
            Claim::Note { keys, by } => self.note_keys(now, id, &keys, by),
        }
    }

    /// What has to be asked before a request may be taken, beyond what is known.
    fn questions(&mut self, now: Now, claim: &Claim, known: &Known) -> Result<Questions, SubmitError> {
        let fresh = claim.fresh(&self.keys);
        let mut questions = Questions::new();
        if fresh.is_empty() {
            return Ok(questions);
        }
        if self.context.is_leaving() {
            return Err(SubmitError::Draining);
        }
        let horizon = self.context.config.horizon;
        // A view that is older than this may lack a leaf that has handed its keys to others since.
        if now.mono.since(self.context.members.confirmed()) > horizon / 2 {
            return Err(SubmitError::Unreachable);
        }
        let registry_now = self.context.clocks.registry_now(now.mono);
        if self.context.members.view().keys.whole_from > earlier(registry_now, horizon) {
            return Err(SubmitError::KeyLost);
        }
        for key in fresh {
            match self.owner(key, registry_now) {
                Some(owner) if owner == self.context.config.leaf => {
                    self.ask_those_before(key, registry_now, known, &mut questions)?;
                    self.ask_takers(key, known, &mut questions)?;
                }
                Some(owner) if matches!(claim, Claim::Order(_)) => {
                    if !known.noted.contains(&key) {
                        self.ask_about(owner, Matter::Note, (key, None), &mut questions)?;
                    }
                }
                _ => return Err(SubmitError::NotOwner { epoch: self.context.members.view().epoch }),
            }
        }
        Ok(questions)
    }

    fn rings(&mut self, now: WallMs) -> &KeyRings {
        let (horizon, keys) = (self.context.config.horizon, &self.context.members.view().keys);
        self.key_rings.get_or_insert_with(|| KeyRings::of(keys, earlier(now, horizon)))
    }

    fn owner(&mut self, key: IdempotencyKey, now: WallMs) -> Option<NodeName> {
        self.rings(now).present.key_owner(key.hash).cloned()
    }

    pub(in crate::machine) fn owns(&mut self, key: IdempotencyKey, now: WallMs) -> bool {
        self.owner(key, now).is_some_and(|owner| owner == self.context.config.leaf)
    }

    fn ask_about(
        &self,
        leaf: NodeName,
        matter: Matter,
        about: (IdempotencyKey, Option<Attempt>),
        questions: &mut Questions,
    ) -> Result<(), SubmitError> {
        if self.context.members.view().node(&leaf).is_none() {
            return Err(SubmitError::Away(vec![leaf]));
        }
        questions.entry(Question { leaf, matter }).or_default().push(about);
        Ok(())
    }

    /// Those that owned a key before this leaf.
    fn ask_those_before(
        &mut self,
        key: IdempotencyKey,
        now: WallMs,
        known: &Known,
        questions: &mut Questions,
    ) -> Result<(), SubmitError> {
        let horizon = self.context.config.horizon;
        let past = self.rings(now).past.iter().filter(|(until, _)| now.since(*until) <= horizon);
        let past: Vec<_> =
            past.filter_map(|(until, r)| Some((*until, r.key_owner(key.hash)?.clone()))).collect();
        let mut asked = BTreeSet::new();
        for (until, owner) in past {
            if self.context.members.view().keys.lost.iter().any(|(lost, at)| *lost == owner && until <= *at) {
                return Err(SubmitError::KeyLost);
            }
            // One that is no owner any more has handed its keys over.
            let is_silent = owner == self.context.config.leaf
                || !self.context.members.view().keys.owners.contains(&owner);
            if is_silent || known.recalled.contains(&(owner.clone(), key)) || !asked.insert(owner.clone()) {
                continue;
            }
            self.ask_about(owner, Matter::Memory, (key, None), questions)?;
        }
        Ok(())
    }

    /// Those whose attempts were noted to use up a key of this leaf.
    fn ask_takers(
        &self,
        key: IdempotencyKey,
        known: &Known,
        questions: &mut Questions,
    ) -> Result<(), SubmitError> {
        let (since, mine) = self.keys.notes(key).unwrap_or((0, &[]));
        let mine = mine.iter().map(|attempt| (attempt, is_earlier(since)));
        let found = known.found.iter().filter(|of| of.key == key).flat_map(|of| match &of.state {
            KeyState::Noted(attempts) => attempts.as_slice(),
            KeyState::Used { .. } => &[],
        });
        let attempts: BTreeMap<_, _> = found.map(|attempt| (attempt, false)).chain(mine).collect();
        for (attempt, is_earlier) in attempts {
            let leaf = &attempt.leaf;
            let is_lost = self.context.members.view().keys.lost.iter().any(|(lost, _)| lost == leaf)
                && self
                    .context
                    .members
                    .view()
                    .node(leaf)
                    .is_none_or(|node| node.incarnation > attempt.incarnation);
            if is_lost {
                return Err(SubmitError::KeyLost);
            }
            if *leaf == self.context.config.leaf {
                self.check_own(attempt)?;
                continue;
            }
            let has_left = self.context.members.has_left(attempt, is_earlier);
            if !has_left && !known.settled.contains(&(key, attempt.clone())) {
                self.ask_about(leaf.clone(), Matter::Outcome, (key, Some(attempt.clone())), questions)?;
            }
        }
        Ok(())
    }

    /// What is remembered of a key, without attempts of leaves that have left: another leaf may not have seen them.
    pub(in crate::machine) fn recall(&self, key: IdempotencyKey) -> Option<(Lsn, Remembered)> {
        let (lsn, mut remembered) = self.keys.recall(key)?;
        self.without_those_that_left(&mut remembered, lsn).then_some((lsn, remembered))
    }

    /// Says whether anything is left.
    fn without_those_that_left(&self, remembered: &mut Remembered, lsn: Lsn) -> bool {
        let KeyState::Noted(attempts) = &mut remembered.state else { return true };
        attempts.retain(|attempt| !self.context.members.has_left(attempt, is_earlier(lsn)));
        !attempts.is_empty()
    }

    /// All keys that are remembered, in the same way.
    pub(in crate::machine) fn remembered(&self) -> Vec<Remembered> {
        self.keys
            .listed()
            .filter_map(|(lsn, mut of)| self.without_those_that_left(&mut of, lsn).then_some(of))
            .collect()
    }

    /// Whether it is certain that an attempt of this leaf, of which it remembers no use, never will use a key.
    pub(in crate::machine) fn check_own(&self, attempt: &Attempt) -> Result<(), SubmitError> {
        let under_way = SubmitError::Busy { reason: BusyReason::UnderWay, retry_after_ms: RETRY_AFTER_MS };
        if self.clearances.is_open(attempt) || attempt.incarnation > self.uplink.live().stream().incarnation {
            return Err(under_way);
        }
        Ok(())
    }

    /// Asks, and takes the request up again once all have answered.
    fn begin_clearing(&mut self, id: SubmissionId, claim: Claim, questions: Questions) {
        self.clearances.attempts += 1;
        let stream = self.uplink.live().stream();
        let attempt = Attempt {
            leaf: stream.leaf.clone(),
            incarnation: stream.incarnation,
            number: self.clearances.attempts,
        };
        let (epoch, open, known) = (self.context.members.view().epoch, Questions::new(), Known::default());
        self.clear(id, Clearance { claim, epoch, attempt, rounds: 0, open, known }, questions);
    }

    fn clear(&mut self, id: SubmissionId, mut clearance: Clearance, questions: Questions) {
        let keys: usize = questions.values().map(Vec::len).sum();
        clearance.rounds += 1;
        let Clearances { waiting, questions: asked, .. } = &mut self.clearances;
        if waiting.len() >= REQUESTS || *asked + keys > QUESTIONS || clearance.rounds > ROUNDS {
            let busy = SubmitError::Busy { reason: BusyReason::Overload, retry_after_ms: RETRY_AFTER_MS };
            return self.refuse_claim(id, &clearance.claim, busy);
        }
        *asked += keys;
        clearance.open = questions.clone();
        let (epoch, by) = (clearance.epoch, clearance.attempt.clone());
        waiting.insert(id, clearance);
        for (question, about) in questions {
            let (callee, matter) = (Callee::Leaf(question.leaf.clone()), question.matter);
            let keys = || about.iter().map(|(key, _)| *key).collect();
            let request = match matter {
                Matter::Memory => Request::LookUpKeys { keys: keys(), epoch },
                Matter::Note => Request::NoteAttempt { keys: keys(), by: by.clone() },
                Matter::Outcome => {
                    let about = about.iter().filter_map(|(key, attempt)| Some((*key, attempt.clone()?)));
                    Request::AttemptOutcomes(about.collect())
                }
            };
            self.context.call(Asker::Submission(id, question, about.len()), callee, request);
        }
    }

    /// A leaf has answered what it was asked about so many keys, or has not.
    pub(in crate::machine) fn cleared(
        &mut self,
        now: Now,
        id: SubmissionId,
        question: &Question,
        keys: usize,
        reply: Option<Reply>,
    ) {
        self.clearances.questions -= keys;
        let Some(clearance) = self.clearances.waiting.get_mut(&id) else { return };
        let Some(about) = clearance.open.remove(question) else { return };
        let refused = match reply {
            Some(Reply::Remembered(Ok(found))) if answers(&about, &found) => {
                clearance.known.learn(question, about, found);
                None
            }
            Some(Reply::Remembered(Err(e))) => Some(e),
            _ => Some(SubmitError::Away(vec![question.leaf.clone()])),
        };
        if refused.is_none() && !clearance.open.is_empty() {
            return;
        }
        // From here on the attempt is taken, or asks on, or never will be taken.
        let Some(clearance) = self.clearances.waiting.remove(&id) else { return };
        if let Some(e) = refused {
            return self.refuse_claim(id, &clearance.claim, e);
        }
        match self.go_on_clearing(now, &clearance) {
            Ok(questions) if questions.is_empty() => self.take(now, id, clearance.claim),
            Ok(questions) => self.clear(id, clearance, questions),
            Err(e) => self.refuse_claim(id, &clearance.claim, e),
        }
    }

    /// What is still to be asked, once all have answered.
    fn go_on_clearing(&mut self, now: Now, clearance: &Clearance) -> Result<Questions, SubmitError> {
        if clearance.epoch != self.context.members.view().epoch {
            return Err(SubmitError::NotOwner { epoch: self.context.members.view().epoch });
        }
        let is_use = |of: &&Remembered| matches!(of.state, KeyState::Used { .. });
        let uses: Vec<_> = clearance.known.found.iter().filter(is_use).cloned().collect();
        self.inherit(now, &uses)?;
        self.questions(now, &clearance.claim, &clearance.known)
    }
}

impl Known {
    fn learn(
        &mut self,
        question: &Question,
        about: Vec<(IdempotencyKey, Option<Attempt>)>,
        found: Vec<Remembered>,
    ) {
        for (key, attempt) in about {
            match (question.matter, attempt) {
                (Matter::Memory, _) => drop(self.recalled.insert((question.leaf.clone(), key))),
                (Matter::Note, _) => drop(self.noted.insert(key)),
                (Matter::Outcome, attempt) => self.settled.extend(attempt.map(|attempt| (key, attempt))),
            }
        }
        self.found.extend(found);
    }
}

/// Whether a record is of an earlier start.
fn is_earlier(lsn: Lsn) -> bool {
    lsn == 0
}

/// Whether an answer is about what was asked. What earlier builds counted has no topic.
fn answers(about: &[(IdempotencyKey, Option<Attempt>)], found: &[Remembered]) -> bool {
    let asked: BTreeSet<_> = about.iter().flat_map(|(key, _)| [*key, key.unscoped()]).collect();
    found.iter().all(|of| asked.contains(&of.key))
}

pub(in crate::machine) fn earlier(now: WallMs, by: Duration) -> WallMs {
    WallMs(now.0.saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
