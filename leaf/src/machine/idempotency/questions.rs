//! Puts together the questions about keys that go to other leaves, one to each leaf about each subject.

use crate::machine::members::Members;
use countree_common::cluster::NodeName;
use countree_common::wire::keys::{Attempt, IdempotencyKey, Remembered};
use countree_common::wire::rpc::{Request, SubmitError};
use std::collections::{BTreeMap, BTreeSet, btree_map};

/// The subject of a question to a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// It owned the keys before: does it remember uses or attempts?
    Memory,
    /// Its attempts were noted: did they use the keys up?
    Outcome,
    /// It owns the keys now, and is to note this leaf's attempt.
    Note,
}

/// Names a question of one request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::machine) struct KeyQuestion {
    pub(super) leaf: NodeName,
    pub(super) subject: Subject,
}

/// The keys of a question, each with the attempt that is asked about, if it is about one.
pub(super) type KeysAsked = Vec<(IdempotencyKey, Option<Attempt>)>;

/// The questions that have to be asked, or wait for an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyQuestions(BTreeMap<KeyQuestion, KeysAsked>);

impl KeyQuestions {
    /// Adds a key to the question for a leaf.
    ///
    /// # Errors
    /// When the leaf is not in the view.
    pub(super) fn ask(
        &mut self,
        leaf: NodeName,
        subject: Subject,
        about: (IdempotencyKey, Option<Attempt>),
        members: &Members,
    ) -> Result<(), SubmitError> {
        if members.view().node(&leaf).is_none() {
            return Err(SubmitError::Away(vec![leaf]));
        }
        self.0.entry(KeyQuestion { leaf, subject }).or_default().push(about);
        Ok(())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of keys that they are about, counted once per question.
    pub(super) fn keys(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Takes the question that was answered; `None` when it is not open.
    pub(super) fn take(&mut self, question: &KeyQuestion) -> Option<KeysAsked> {
        self.0.remove(question)
    }
}

impl IntoIterator for KeyQuestions {
    type Item = (KeyQuestion, KeysAsked);
    type IntoIter = btree_map::IntoIter<KeyQuestion, KeysAsked>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl KeyQuestion {
    /// The message that asks it, for an attempt made under a view of this epoch.
    pub(super) fn request(&self, about: &KeysAsked, by: &Attempt, epoch: u64) -> Request {
        let keys = || about.iter().map(|(key, _)| *key).collect();
        match self.subject {
            Subject::Memory => Request::LookUpKeys { keys: keys(), epoch },
            Subject::Note => Request::NoteAttempt { keys: keys(), by: by.clone() },
            Subject::Outcome => {
                let about = about.iter().filter_map(|(key, attempt)| Some((*key, attempt.clone()?)));
                Request::AttemptOutcomes(about.collect())
            }
        }
    }
}

/// Whether an answer is about nothing but what was asked. Ids that earlier builds counted have no topic.
pub(super) fn is_about(found: &[Remembered], about: &KeysAsked) -> bool {
    let asked: BTreeSet<_> = about.iter().flat_map(|(key, _)| [*key, key.unscoped()]).collect();
    found.iter().all(|of| asked.contains(&of.key))
}
