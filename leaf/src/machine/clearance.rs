//! Whether an idempotency key is new, while the ring of keys changes: its owner asks every leaf that owned it before,
//! for as long as keys live, and takes nothing on a guess.
//!
//! A leaf that is asked has to know of the asker's epoch: from then on it takes the key no more, so that its answer
//! stays true. The asker has to know of the leaf's start: one that came back empty can't answer for the one before.
//! The asker goes by the answers only while its own view is the one that it asked under.

use super::calls::{Asker, Callee};
use super::{LeafMachine, Output, RETRY_AFTER_MS, SubmissionId, Waiting};
use countree_common::cluster::{KeyHistory, NodeName};
use countree_common::limits;
use countree_common::ring::Ring;
use countree_common::time::{Now, WallMs};
use countree_common::wire::producer::BusyReason;
use countree_common::wire::rpc::{Idempotency, Reply, Request, Reset, Submission, SubmitError, UsedKey};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Requests that wait for other leaves at once.
const REQUESTS: usize = 1_024;
/// Questions to other leaves that wait at once.
const QUESTIONS: usize = 8 * limits::HTTP_EVENTS;

/// Somebody is asked whether it remembers a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    leaf: NodeName,
    key: u128,
}

/// What uses keys up.
#[derive(Debug, Clone)]
pub(super) enum Claim {
    Submission(Submission),
    Reset(Reset),
}

impl Claim {
    fn keys(&self) -> &[u128] {
        match self {
            Claim::Submission(Submission { idempotency: Idempotency::None, .. }) => &[],
            Claim::Submission(Submission { idempotency: Idempotency::Request { key, .. }, .. }) => {
                std::slice::from_ref(key)
            }
            Claim::Submission(Submission { idempotency: Idempotency::Events(keys), .. }) => keys,
            Claim::Reset(reset) => std::slice::from_ref(&reset.key),
        }
    }
}

/// A request whose keys are being asked about.
#[derive(Debug)]
struct Clearance {
    claim: Claim,
    epoch: u64,
    open: BTreeSet<Question>,
    found: Vec<UsedKey>,
}

/// The requests that wait.
#[derive(Debug, Default)]
pub(super) struct Clearances {
    waiting: BTreeMap<SubmissionId, Clearance>,
    questions: usize,
}

/// Who owns keys in a view, and who did.
#[derive(Debug)]
pub(super) struct KeyRings {
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
        self.confirmed = now.mono;
    }

    /// Takes a request, at once or when others have been asked about its keys.
    pub(super) fn handle_claim(&mut self, now: Now, id: SubmissionId, claim: Claim) {
        match self.questions(now, claim.keys()) {
            Ok(questions) if questions.is_empty() => self.take(now, id, claim),
            Ok(questions) => self.clear(id, claim, questions),
            Err(e) => self.refuse_submission(id, e),
        }
    }

    /// Takes a request whose unknown keys are new.
    fn take(&mut self, now: Now, id: SubmissionId, claim: Claim) {
        match claim {
            Claim::Submission(submission) => self.submit(now, id, &submission),
            Claim::Reset(reset) => self.begin_reset(id, reset),
        }
    }

    /// What has to be asked before a request with these keys may be taken.
    fn questions(&mut self, now: Now, keys: &[u128]) -> Result<BTreeSet<Question>, SubmitError> {
        let is_new = |key: &&u128| **key != 0 && self.keys.get(**key).is_none();
        let fresh: BTreeSet<u128> = keys.iter().filter(is_new).copied().collect();
        if fresh.is_empty() {
            return Ok(BTreeSet::new());
        }
        if self.is_leaving() {
            return Err(SubmitError::Draining);
        }
        let horizon = self.config.horizon;
        // A view that is older than this may lack a leaf that has handed its keys to others since.
        if now.mono.since(self.confirmed) > horizon / 2 {
            return Err(SubmitError::Unreachable);
        }
        if self.view.keys.whole_from > earlier(now.wall, horizon) {
            return Err(SubmitError::KeyLost);
        }
        let mut questions = BTreeSet::new();
        for key in fresh {
            self.ask_about(key, now.wall, &mut questions)?;
        }
        Ok(questions)
    }

    fn ask_about(
        &mut self,
        key: u128,
        now: WallMs,
        questions: &mut BTreeSet<Question>,
    ) -> Result<(), SubmitError> {
        let horizon = self.config.horizon;
        let (me, view) = (&self.config.leaf, &self.view);
        let rings = self.key_rings.get_or_insert_with(|| KeyRings::of(&view.keys, earlier(now, horizon)));
        if rings.present.key_owner(key) != Some(me) {
            return Err(SubmitError::NotOwner { epoch: view.epoch });
        }
        for (until, ring) in rings.past.iter().filter(|(until, _)| now.since(*until) <= horizon) {
            let Some(owner) = ring.key_owner(key) else { continue };
            if view.keys.lost.iter().any(|(lost, at)| lost == owner && until <= at) {
                return Err(SubmitError::KeyLost);
            }
            // One that is no owner any more has handed its keys over.
            if owner == me || !view.keys.owners.contains(owner) {
                continue;
            }
            if view.node(owner).is_none() {
                return Err(SubmitError::Away(vec![owner.clone()]));
            }
            questions.insert(Question { leaf: owner.clone(), key });
        }
        Ok(())
    }

    /// Asks, and takes the request up again once all have answered.
    fn clear(&mut self, id: SubmissionId, claim: Claim, open: BTreeSet<Question>) {
        let Clearances { waiting, questions } = &mut self.clearances;
        if waiting.len() >= REQUESTS || *questions + open.len() > QUESTIONS {
            let busy = SubmitError::Busy { reason: BusyReason::Overload, retry_after_ms: RETRY_AFTER_MS };
            return self.refuse_submission(id, busy);
        }
        *questions += open.len();
        let epoch = self.view.epoch;
        waiting.insert(id, Clearance { claim, epoch, open: open.clone(), found: Vec::new() });
        for question in open {
            let (callee, key) = (Callee::Leaf(question.leaf.clone()), question.key);
            self.call(Asker::Submission(id, question), callee, Request::Key { key, epoch });
        }
    }

    /// A leaf has answered whether it remembers a key, or has not.
    pub(super) fn cleared(&mut self, now: Now, id: SubmissionId, question: &Question, reply: Option<Reply>) {
        self.clearances.questions -= 1;
        let Some(clearance) = self.clearances.waiting.get_mut(&id) else { return };
        match reply {
            Some(Reply::Key(None)) => {}
            Some(Reply::Key(Some(used))) if used.key == question.key => clearance.found.push(used),
            _ => {
                self.clearances.waiting.remove(&id);
                return self.refuse_submission(id, SubmitError::Away(vec![question.leaf.clone()]));
            }
        }
        clearance.open.remove(question);
        if !clearance.open.is_empty() {
            return;
        }
        let Some(Clearance { claim, epoch, found, .. }) = self.clearances.waiting.remove(&id) else {
            return;
        };
        let epoch_now = self.view.epoch;
        let result = if epoch == epoch_now {
            self.inherit(now, &found).map(drop)
        } else {
            Err(SubmitError::NotOwner { epoch: epoch_now })
        };
        match result {
            Ok(()) => self.take(now, id, claim),
            Err(e) => self.refuse_submission(id, e),
        }
    }

    /// The key's owner by a later view wants to know whether it was used here. Answered by [`Output::Answer`].
    pub fn handle_key_question(&mut self, now: Now, id: SubmissionId, key: u128, epoch: u64) {
        let reply = match self.keys.used(key) {
            _ if self.view.epoch < epoch => Reply::Failed("this leaf has an older view".into()),
            Some((lsn, used)) => {
                return self.answer_once_durable(lsn, Waiting::Remembered { question: id, used });
            }
            // The asker may mean an earlier start, which has left with what it knew.
            None if self.listed_since.is_none_or(|since| epoch < since) => {
                Reply::Failed("this leaf was listed anew since: ask again by the latest view".into())
            }
            None if self.is_resetting_under(key) => {
                Reply::Failed("a reset under this key is under way".into())
            }
            None if self.owns(key, now.wall) => {
                Reply::Failed("this leaf owns the key by a later view".into())
            }
            None => Reply::Key(None),
        };
        self.outputs.push_back(Output::Answer { question: id, reply });
    }

    fn owns(&mut self, key: u128, now: WallMs) -> bool {
        let (horizon, keys) = (self.config.horizon, &self.view.keys);
        let rings = self.key_rings.get_or_insert_with(|| KeyRings::of(keys, earlier(now, horizon)));
        rings.present.key_owner(key) == Some(&self.config.leaf)
    }
}

fn earlier(now: WallMs, by: Duration) -> WallMs {
    WallMs(now.0.saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
#[path = "clearance_tests.rs"]
mod tests;
