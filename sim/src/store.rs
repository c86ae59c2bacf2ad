//! The store: topic documents and the registry in memory. It loses answers, is away for a while, and
//! may forget everything since it was last made durable.

use crate::flaws::Flaw;
use crate::random::Random;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::Snapshot;
use countree_common::key::Topic;
use countree_root::machine::document::Document;
use countree_root::machine::{BatchId, ReadId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a root asks of it.
#[derive(Debug)]
pub(crate) enum Operation {
    /// Merge cuts.
    Merge(BatchId, Arc<[Cut]>),
    /// Read a topic.
    Read(ReadId, Topic),
    /// Load the registry.
    Load,
    /// Save the registry over that revision.
    Save(u64, String),
}

impl Operation {
    /// What the root is told when no answer comes.
    pub(crate) fn silence(&self) -> Answer {
        match self {
            Operation::Merge(batch, cuts) => Answer::Merged(*batch, vec![None; cuts.len()]),
            Operation::Read(read, _) => Answer::Read(*read, None),
            Operation::Load => Answer::Loaded(None),
            Operation::Save(..) => Answer::Saved(None),
        }
    }
}

/// What a root is told; inner `None` where the store was silent.
#[derive(Debug)]
pub(crate) enum Answer {
    /// To [`Operation::Merge`], for each cut.
    Merged(BatchId, Vec<Option<Outcome>>),
    /// To [`Operation::Read`].
    Read(ReadId, Option<Option<Snapshot>>),
    /// To [`Operation::Load`].
    Loaded(Option<Option<(u64, String)>>),
    /// To [`Operation::Save`].
    Saved(Option<bool>),
}

/// All that the store holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contents {
    /// The topics' documents.
    pub(crate) documents: BTreeMap<Topic, Document>,
    registry: Option<(u64, String)>,
}

/// The store, and the states that it may go back to.
#[derive(Debug)]
pub(crate) struct Store {
    /// What it holds now.
    pub(crate) contents: Contents,
    /// Since the last durable state, which is the first, one for each change.
    history: Vec<Contents>,
    /// Whether everything is durable when it is answered.
    is_durable: bool,
    /// Whether it answers nobody at the moment.
    pub(crate) is_down: bool,
    flaw: Option<Flaw>,
}

impl Store {
    /// An empty store; one that is not durable can be rolled back.
    pub(crate) fn new(is_durable: bool, flaw: Option<Flaw>) -> Self {
        let contents = Contents::default();
        Self { history: vec![contents.clone()], contents, is_durable, is_down: false, flaw }
    }

    /// Does what is asked.
    pub(crate) fn perform(&mut self, operation: Operation) -> Answer {
        match operation {
            Operation::Merge(batch, cuts) => {
                let outcomes = cuts.iter().map(|cut| Some(self.merge(cut))).collect();
                Answer::Merged(batch, outcomes)
            }
            Operation::Read(read, topic) => {
                let document = self.contents.documents.get(&topic);
                Answer::Read(read, Some(document.map(|d| d.snapshot(&topic))))
            }
            Operation::Load => Answer::Loaded(Some(self.contents.registry.clone())),
            Operation::Save(expected, text) => {
                let revision = self.contents.registry.as_ref().map_or(0, |(revision, _)| *revision);
                let fits = revision == expected;
                if fits {
                    self.contents.registry = Some((revision + 1, text));
                    self.remember();
                }
                Answer::Saved(Some(fits))
            }
        }
    }

    fn merge(&mut self, cut: &Cut) -> Outcome {
        let says_durable = self.is_durable || self.flaw == Some(Flaw::EarlyTrim);
        let outcome = match self.contents.documents.get_mut(&cut.topic) {
            Some(document) => merge(document, cut, says_durable, self.flaw),
            None => {
                // A topic that nothing was ever merged into has no document.
                let mut document = Document::default();
                let outcome = merge(&mut document, cut, says_durable, self.flaw);
                if matches!(outcome, Outcome::Applied(_)) {
                    self.contents.documents.insert(cut.topic.clone(), document);
                }
                outcome
            }
        };
        if matches!(outcome, Outcome::Applied(_)) {
            self.remember();
        }
        outcome
    }

    fn remember(&mut self) {
        if self.is_durable {
            return;
        }
        self.history.push(self.contents.clone());
    }

    /// Everything so far is durable.
    pub(crate) fn save(&mut self) {
        self.history.drain(..self.history.len() - 1);
    }

    /// Forgets everything since some moment after it was last made durable; returns whether that was anything.
    pub(crate) fn roll_back(&mut self, random: &mut Random) -> bool {
        let Some(to) = random.place(self.history.len()) else { return false };
        let forgets = to + 1 < self.history.len();
        let mut earlier = self.history[to].clone();
        if self.flaw == Some(Flaw::SplitRollback) {
            let other = random.place(self.history.len()).unwrap_or(to);
            for (topic, document) in &mut earlier.documents {
                let streams = self.history[other].documents.get(topic).map(|d| d.streams.clone());
                document.streams = streams.unwrap_or_default();
            }
        }
        self.history.truncate(to + 1);
        self.contents = earlier;
        forgets
    }
}

/// The rule of every store, unless a flaw breaks it.
fn merge(document: &mut Document, cut: &Cut, durable: bool, flaw: Option<Flaw>) -> Outcome {
    let have = document.streams.get(&cut.stream).map_or(0, |p| p.lsn);
    if flaw == Some(Flaw::MergesForward) && cut.from != have && cut.to > have {
        // As if the document stood where the cut begins.
        document.streams.entry(cut.stream.clone()).or_default().lsn = cut.from;
    }
    document.merge(cut, durable)
}
