//! The store: topic documents and the registry in memory. It loses answers, is away for a while, and
//! may forget everything since it was last made durable.

mod earlier;
mod eras;
mod operation;
mod rollback;

use crate::flaws::Flaw;
use countree_common::audit::AuditRecords;
use countree_common::cluster::NodeName;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::Version;
use countree_common::era;
use countree_common::forget::{ForgetOutcome, Tombstone};
use countree_common::key::Topic;
use countree_common::ledger::StreamLedger;
use countree_common::store::{StoreId, StoreRecord};
use countree_common::time::Time;
use countree_common::wire::publish::SnapshotPart;
use countree_common::wire::rpc::{Reply, SessionTable};
use countree_root::machine::Registry as Registrations;
use countree_root::machine::documents::{Document, served};
use countree_root::machine::identity::binding::{FoundStore, RandomIds};
use countree_root::machine::identity::standing::may_merge;
use std::collections::BTreeSet;

pub(crate) use earlier::Documents;
use earlier::{Earlier, Registry, SessionEnds};
use eras::Eras;
pub(crate) use operation::{Answer, Operation};

/// The distance between the eras of two server processes; eras of older copies lie between them.
const ERA_GAP: u64 = 4 * era::GAP;

/// The store.
#[derive(Debug)]
pub(crate) struct Store {
    /// The documents that it holds now.
    pub(crate) documents: Documents,
    registry: Registry,
    identity: Option<StoreRecord>,
    /// Random numbers that were taken for identities.
    random_ids: u64,
    /// The last counted batch of each session of leaves that left.
    session_ends: SessionEnds,
    /// The states that it may go back to.
    earlier: Earlier,
    /// The eras of its server processes.
    eras: Eras,
    /// Topics that were ever rolled back.
    pub(crate) forgetful: BTreeSet<Topic>,
    /// Whether everything is durable when it is answered.
    is_durable: bool,
    /// Whether it answers nobody at the moment.
    pub(crate) is_down: bool,
    /// Paused until then.
    pub(crate) paused_until: Time,
    flaw: Option<Flaw>,
}

impl Store {
    /// An empty store; one that is not durable can be rolled back.
    pub(crate) fn new(is_durable: bool, flaw: Option<Flaw>) -> Self {
        Self {
            documents: Documents::new(),
            registry: None,
            identity: None,
            random_ids: 0,
            session_ends: SessionEnds::new(),
            earlier: Earlier::new(),
            eras: Eras::new(),
            forgetful: BTreeSet::new(),
            is_durable,
            is_down: false,
            paused_until: Time::default(),
            flaw,
        }
    }

    /// Its record, as roots find it.
    pub(crate) fn found(&self) -> FoundStore {
        FoundStore { record: self.identity.clone(), is_shard_missing: false }
    }

    /// Writes that, over what was read.
    pub(crate) fn put_identity(&mut self, record: StoreRecord) {
        if self.identity.as_ref().map_or(0, |found| found.revision) == record.revision {
            self.identity = Some(StoreRecord { revision: record.revision + 1, ..record });
        }
    }

    /// Random numbers for a record.
    pub(crate) fn random_ids(&mut self) -> RandomIds {
        self.random_ids += 1;
        RandomIds { id: self.random_ids.into(), start: self.random_ids }
    }

    /// Does what is asked by a root that serves the store `bound`.
    pub(crate) fn perform(&mut self, operation: Operation, bound: StoreId) -> Answer {
        let found = self.identity.as_ref().map(|record| record.id);
        if !may_merge(bound, found) && self.flaw != Some(Flaw::UnfencedRoots) {
            return operation.silence();
        }
        match operation {
            Operation::Merge(batch, cuts) => {
                let outcomes = cuts.iter().map(|cut| Some(self.merge(cut))).collect();
                Answer::Merged(batch, outcomes)
            }
            Operation::Read(read, topic) => {
                let document = self.documents.get(&topic);
                Answer::Read(read, Some(document.map(|d| d.snapshot(&topic, self.served_in()))))
            }
            Operation::Show(link, topic) => {
                let snapshot = self.documents.get(&topic).map(|d| d.snapshot(&topic, self.served_in()));
                let (version, totals) = snapshot.map(|s| (s.version, s.totals)).unwrap_or_default();
                Answer::Replied(link, Reply::Snapshot(SnapshotPart { topic, version, totals, last: true }))
            }
            Operation::Forget(link, topic, at) => {
                let forgetting = self.forget(&topic, at);
                Answer::Forgotten(link, topic, forgetting)
            }
            Operation::Publish(link, SessionTable { leaf, sessions, .. }) => {
                for (session, last) in sessions {
                    self.session_ends.insert((leaf.clone(), session), last);
                }
                self.remember();
                Answer::Replied(link, Reply::Published { durable: self.says_durable() })
            }
            Operation::Ended(link, leaf, session) => {
                Answer::Replied(link, Reply::SessionEnd(self.session_ends.get(&(leaf, session)).copied()))
            }
            Operation::Era => Answer::Era(Some(self.eras.current)),
            Operation::Load => Answer::Loaded(Some(self.registry.clone())),
            Operation::Save { expected, next, text } => {
                let revision = self.registry.as_ref().map_or(0, |(revision, _)| *revision);
                let fits = revision == expected;
                if fits {
                    self.registry = Some((next, text));
                    if !self.is_durable {
                        self.earlier.registries.push(self.registry.clone());
                    }
                }
                Answer::Saved(Some(fits))
            }
        }
    }

    fn merge(&mut self, cut: &Cut) -> Outcome {
        let (says_durable, served_in) = (self.says_durable(), self.served_in());
        let outcome = match self.documents.get_mut(&cut.topic) {
            Some(document) => merge(document, cut, served_in, says_durable, self.flaw),
            None => {
                // A topic that nothing was ever merged into has no document.
                let mut document = Document::default();
                let outcome = merge(&mut document, cut, served_in, says_durable, self.flaw);
                if matches!(outcome, Outcome::Applied(_)) {
                    self.documents.insert(cut.topic.clone(), document);
                }
                outcome
            }
        };
        if let Outcome::Applied(applied) = &outcome {
            self.eras.record = self.eras.record.max(applied.version.era);
            self.remember();
            self.note_eras();
        }
        outcome
    }

    fn forget(&mut self, topic: &Topic, at: Version) -> ForgetOutcome {
        let (says_durable, served_in) = (self.says_durable(), self.served_in());
        let Some(document) = self.documents.get_mut(topic) else { return ForgetOutcome::Unknown };
        let any = served(document.version, served_in);
        let at = if self.flaw == Some(Flaw::ForgetAtAnyVersion) { any } else { at };
        let forgetting = document.forget(at, served_in, says_durable);
        if let ForgetOutcome::Forgotten(Tombstone { version, was_gone: false, .. }) = forgetting {
            match self.flaw {
                Some(Flaw::ForgottenPositions) => document.streams.clear(),
                Some(Flaw::ForgottenVersions) => document.version = Version::default(),
                Some(Flaw::DroppedTombstones) => drop(self.documents.remove(topic)),
                _ => {}
            }
            self.eras.record = self.eras.record.max(version.era);
            self.remember();
            self.note_eras();
        }
        forgetting
    }

    fn says_durable(&self) -> bool {
        self.is_durable || self.flaw == Some(Flaw::EarlyTrim)
    }

    /// A state that the store may go back to.
    fn remember(&mut self) {
        if !self.is_durable {
            self.earlier.documents.push(self.documents.clone());
            self.earlier.session_ends.push(self.session_ends.clone());
            self.earlier.era_records.push(self.eras.record);
        }
    }

    /// The era of the server process that serves.
    pub(crate) fn served_in(&self) -> u64 {
        self.eras.current
    }

    /// Another process serves. Where one of several servers has failed over, all of them count as another.
    pub(crate) fn change_process(&mut self) {
        if self.flaw == Some(Flaw::LastingEra) {
            return;
        }
        // Far enough apart for what leaves ask for in between.
        let era = self.eras.given.iter().copied().fold(self.eras.record, u64::max) + ERA_GAP;
        self.begin_era(era);
    }

    fn begin_era(&mut self, era: u64) {
        self.eras.given.push(era);
        self.eras.record = self.eras.record.max(era);
        self.eras.current = era;
        self.note_eras();
    }

    /// Notes which era each topic is in now.
    fn note_eras(&mut self) {
        for topic in self.documents.keys().chain(self.forgetful.iter()) {
            let era = self
                .documents
                .get(topic)
                .map_or(0, |document| served(document.version, self.served_in()).era);
            let order = self.eras.order.entry(topic.clone()).or_default();
            if order.last() != Some(&era) {
                order.push(era);
            }
        }
    }

    /// The rank of an era among all that the topic was in, where 0 is before the first. All times at which the store
    /// has nothing of the topic look the same: the first of them that is not before rank `from` counts, so that nobody
    /// is shown less.
    pub(crate) fn era_rank(&self, topic: &Topic, era: u64, from: usize) -> Option<usize> {
        if era == 0 && from == 0 {
            return Some(0);
        }
        let mut ranks = (1..).zip(self.eras.order.get(topic)?).filter(|(_, e)| **e == era).map(|(at, _)| at);
        if era == 0 { ranks.find(|at| *at >= from) } else { ranks.last() }
    }

    /// The ledgers of streams whose logs are gone.
    pub(crate) fn retired(&self) -> Vec<StreamLedger> {
        self.audit_records().retired
    }

    /// The registry's records for the audit.
    pub(crate) fn audit_records(&self) -> AuditRecords {
        let registry = self.registry.as_ref().and_then(|(_, text)| Registrations::from_text(text).ok());
        registry.map(|r| r.audit_records()).unwrap_or_default()
    }

    /// The leaves that may hold events which nobody can be asked for.
    pub(crate) fn away(&self) -> Vec<NodeName> {
        let registry = self.registry.as_ref().and_then(|(_, text)| Registrations::from_text(text).ok());
        registry.map(|r| r.away()).unwrap_or_default()
    }
}

/// The rule of every store, unless a flaw breaks it.
fn merge(document: &mut Document, cut: &Cut, served_in: u64, durable: bool, flaw: Option<Flaw>) -> Outcome {
    let have = document.streams.get(&cut.stream).map_or(0, |p| p.lsn);
    if flaw == Some(Flaw::MergesForward) && cut.from != have && cut.to > have {
        // As if the document stood where the cut begins.
        document.streams.entry(cut.stream.clone()).or_default().lsn = cut.from;
    }
    let mut outcome = document.merge(cut, served_in, durable);
    if flaw == Some(Flaw::RevivedEras)
        && let Outcome::Applied(applied) = &mut outcome
    {
        document.version.era = document.version.era.max(cut.era);
        applied.version = document.version;
    }
    outcome
}
