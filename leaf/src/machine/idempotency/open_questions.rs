//! Decides which leaves have to be asked about a request's keys, beyond what is known already.

use super::lookup::Learned;
use super::questions::{KeyQuestions, Subject};
use super::request::KeyedRequest;
use super::rings::{KeyRings, earlier};
use super::{Idempotency, is_earlier};
use crate::machine::context::Context;
use countree_common::cluster::NodeName;
use countree_common::time::{Now, WallMs};
use countree_common::wire::keys::IdempotencyKey;
use countree_common::wire::rpc::SubmitError;
use std::collections::{BTreeMap, BTreeSet};

impl Idempotency {
    /// The questions to ask before a request may be taken; none when it may be taken now.
    ///
    /// # Errors
    /// When this leaf can't take the request, or a leaf that may know its keys is away.
    pub(super) fn open_questions(
        &mut self,
        now: Now,
        request: &KeyedRequest,
        learned: &Learned,
        context: &mut Context,
    ) -> Result<KeyQuestions, SubmitError> {
        let fresh = request.fresh(&self.keys);
        let mut questions = KeyQuestions::default();
        if fresh.is_empty() {
            return Ok(questions);
        }
        if context.is_leaving() {
            return Err(SubmitError::Draining);
        }
        let horizon = context.config.horizon;
        // A view that is older than this may lack a leaf that has handed its keys to others since.
        if now.mono.since(context.members.confirmed()) > horizon / 2 {
            return Err(SubmitError::Unreachable);
        }
        let registry_now = context.clocks.registry_now(now.mono);
        if context.members.view().keys.whole_from > earlier(registry_now, horizon) {
            return Err(SubmitError::KeyLost);
        }
        for key in fresh {
            match self.owner(key, registry_now, context) {
                Some(owner) if owner == context.config.leaf => {
                    self.ask_past_owners(key, registry_now, learned, &mut questions, context)?;
                    self.ask_attempts(key, learned, &mut questions, context)?;
                }
                Some(owner) if matches!(request, KeyedRequest::Events(_)) => {
                    if !learned.is_noted(key) {
                        questions.ask(owner, Subject::Note, (key, None), &context.members)?;
                    }
                }
                _ => return Err(SubmitError::NotOwner { epoch: context.members.view().epoch }),
            }
        }
        Ok(questions)
    }

    fn rings(&mut self, now: WallMs, context: &Context) -> &KeyRings {
        let (horizon, keys) = (context.config.horizon, &context.members.view().keys);
        self.rings.get_or_insert_with(|| KeyRings::of(keys, earlier(now, horizon)))
    }

    fn owner(&mut self, key: IdempotencyKey, now: WallMs, context: &Context) -> Option<NodeName> {
        self.rings(now, context).owner(key).cloned()
    }

    /// Whether this leaf owns a key.
    pub(super) fn owns(&mut self, key: IdempotencyKey, now: WallMs, context: &Context) -> bool {
        self.rings(now, context).owner(key) == Some(&context.config.leaf)
    }

    /// Asks those that owned a key before this leaf.
    fn ask_past_owners(
        &mut self,
        key: IdempotencyKey,
        now: WallMs,
        learned: &Learned,
        questions: &mut KeyQuestions,
        context: &Context,
    ) -> Result<(), SubmitError> {
        let history = &context.members.view().keys;
        let mut asked = BTreeSet::new();
        for (until, owner) in self.rings(now, context).past_owners(key, now, context.config.horizon) {
            if history.lost.iter().any(|(lost, at)| *lost == owner && until <= *at) {
                return Err(SubmitError::KeyLost);
            }
            // One that is no owner any more has handed its keys over.
            let is_silent = owner == context.config.leaf || !history.owners.contains(&owner);
            if !is_silent && !learned.is_recalled(&owner, key) && asked.insert(owner.clone()) {
                questions.ask(owner, Subject::Memory, (key, None), &context.members)?;
            }
        }
        Ok(())
    }

    /// Asks those whose attempts were noted to use up a key of this leaf.
    fn ask_attempts(
        &self,
        key: IdempotencyKey,
        learned: &Learned,
        questions: &mut KeyQuestions,
        context: &Context,
    ) -> Result<(), SubmitError> {
        let view = context.members.view();
        let (since, own_notes) = self.keys.notes(key).unwrap_or((0, &[]));
        let own_notes = own_notes.iter().map(|attempt| (attempt, is_earlier(since)));
        let attempts: BTreeMap<_, _> =
            learned.attempts(key).map(|attempt| (attempt, false)).chain(own_notes).collect();
        for (attempt, is_earlier) in attempts {
            let leaf = &attempt.leaf;
            let is_lost = view.keys.lost.iter().any(|(lost, _)| lost == leaf)
                && view.node(leaf).is_none_or(|node| node.incarnation > attempt.incarnation);
            if is_lost {
                return Err(SubmitError::KeyLost);
            }
            if *leaf == context.config.leaf {
                self.check_own(attempt)?;
                continue;
            }
            if !context.members.has_left(attempt, is_earlier) && !learned.is_settled(key, attempt) {
                let about = (key, Some(attempt.clone()));
                questions.ask(leaf.clone(), Subject::Outcome, about, &context.members)?;
            }
        }
        Ok(())
    }
}
