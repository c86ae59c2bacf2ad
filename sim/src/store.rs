//! The store: topic documents and the registry in memory. It loses answers, is away for a while, and
//! may forget everything since it was last made durable.

use crate::flaws::Flaw;
use crate::random::Random;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::Snapshot;
use countree_common::key::Topic;
use countree_common::ledger::StreamLedger;
use countree_root::machine::document::Document;
use countree_root::machine::{BatchId, ReadId, Registry as Registrations};
use std::collections::{BTreeMap, BTreeSet};
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

/// Topic documents by topic. Each is one unit: it goes back in time as a whole.
pub(crate) type Documents = BTreeMap<Topic, Document>;
/// The registry's revision and text.
type Registry = Option<(u64, String)>;

/// The store, and the states that it may go back to.
#[derive(Debug)]
pub(crate) struct Store {
    /// The documents that it holds now.
    pub(crate) documents: Documents,
    registry: Registry,
    /// Since the last durable state, which is the first, one for each change.
    earlier_documents: Vec<Documents>,
    earlier_registries: Vec<Registry>,
    /// Topics that were ever rolled back.
    pub(crate) forgetful: BTreeSet<Topic>,
    /// Whether everything is durable when it is answered.
    is_durable: bool,
    /// Whether it answers nobody at the moment.
    pub(crate) is_down: bool,
    flaw: Option<Flaw>,
}

impl Store {
    /// An empty store; one that is not durable can be rolled back.
    pub(crate) fn new(is_durable: bool, flaw: Option<Flaw>) -> Self {
        Self {
            documents: Documents::new(),
            registry: None,
            earlier_documents: vec![Documents::new()],
            earlier_registries: vec![None],
            forgetful: BTreeSet::new(),
            is_durable,
            is_down: false,
            flaw,
        }
    }

    /// Does what is asked.
    pub(crate) fn perform(&mut self, operation: Operation) -> Answer {
        match operation {
            Operation::Merge(batch, cuts) => {
                let outcomes = cuts.iter().map(|cut| Some(self.merge(cut))).collect();
                Answer::Merged(batch, outcomes)
            }
            Operation::Read(read, topic) => {
                let document = self.documents.get(&topic);
                Answer::Read(read, Some(document.map(|d| d.snapshot(&topic))))
            }
            Operation::Load => Answer::Loaded(Some(self.registry.clone())),
            Operation::Save(expected, text) => {
                let revision = self.registry.as_ref().map_or(0, |(revision, _)| *revision);
                let fits = revision == expected;
                if fits {
                    self.registry = Some((revision + 1, text));
                    if !self.is_durable {
                        self.earlier_registries.push(self.registry.clone());
                    }
                }
                Answer::Saved(Some(fits))
            }
        }
    }

    fn merge(&mut self, cut: &Cut) -> Outcome {
        let says_durable = self.is_durable || self.flaw == Some(Flaw::EarlyTrim);
        let outcome = match self.documents.get_mut(&cut.topic) {
            Some(document) => merge(document, cut, says_durable, self.flaw),
            None => {
                // A topic that nothing was ever merged into has no document.
                let mut document = Document::default();
                let outcome = merge(&mut document, cut, says_durable, self.flaw);
                if matches!(outcome, Outcome::Applied(_)) {
                    self.documents.insert(cut.topic.clone(), document);
                }
                outcome
            }
        };
        if matches!(outcome, Outcome::Applied(_)) && !self.is_durable {
            self.earlier_documents.push(self.documents.clone());
        }
        outcome
    }

    /// The ledgers of streams whose logs are gone.
    pub(crate) fn retired(&self) -> Vec<StreamLedger> {
        let registry = self.registry.as_ref().and_then(|(_, text)| Registrations::from_text(text).ok());
        registry.map(|r| r.ledgers()).unwrap_or_default()
    }

    /// Everything so far is durable.
    pub(crate) fn save(&mut self) {
        self.earlier_documents.drain(..self.earlier_documents.len() - 1);
        self.earlier_registries.drain(..self.earlier_registries.len() - 1);
    }

    /// Forgets what happened to all documents, or to one of them (that server has failed over), since some
    /// moment after it was last made durable; returns whether that was anything.
    pub(crate) fn roll_back(&mut self, random: &mut Random) -> bool {
        let Some(to) = random.place(self.earlier_documents.len()) else { return false };
        let mut earlier = self.earlier_documents[to].clone();
        if self.flaw == Some(Flaw::SplitRollback)
            && let Some(other) = random.pick(&self.earlier_documents)
        {
            for (topic, document) in &mut earlier {
                document.streams = other.get(topic).map(|d| d.streams.clone()).unwrap_or_default();
            }
        }
        let before = self.documents.clone();
        let topics: Vec<Topic> = before.keys().cloned().collect();
        let only = random.pick(&topics).cloned().filter(|_| random.chance(50));
        // The others keep what they have; states from before the failover hold nothing newer of this one.
        for state in self.earlier_documents[to..].iter_mut().chain([&mut self.documents]) {
            match &only {
                None => state.clone_from(&earlier),
                Some(topic) => {
                    state.remove(topic);
                    state.extend(earlier.get(topic).map(|document| (topic.clone(), document.clone())));
                }
            }
        }
        let changed = before.iter().filter(|(topic, document)| self.documents.get(*topic) != Some(*document));
        self.forgetful.extend(changed.map(|(topic, _)| topic.clone()));
        self.documents != before
    }

    /// Forgets what happened to the registry since some moment after it was last made durable.
    pub(crate) fn roll_registry_back(&mut self, random: &mut Random) -> bool {
        let Some(to) = random.place(self.earlier_registries.len()) else { return false };
        self.earlier_registries.truncate(to + 1);
        let earlier = self.earlier_registries[to].clone();
        std::mem::replace(&mut self.registry, earlier) != self.registry
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
