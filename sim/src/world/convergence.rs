//! Checks a cluster that has settled after all faults: totals, audits and viewers.

use super::World;
use crate::faults::Fault;
use crate::flaws::Flaw;
use crate::model::by_counter;
use crate::model::{Broken, Promise};
use crate::store::Documents;
use countree_common::audit::StoreCheck;
use countree_common::cluster::NodeName;
use countree_common::key::{Counter, Topic};
use countree_common::ledger::{Ledger, StreamLedger};
use countree_common::time::WallMs;
use countree_root::machine::audit::{Account, Auditor, Round};
use std::collections::BTreeMap;

impl World {
    /// Checks that the cluster has settled, with every event where it belongs.
    ///
    /// # Errors
    /// The first thing that is missing.
    pub(super) fn converged(&self) -> Result<(), Broken> {
        let settled = |what: String| Promise::Settled.broken(what);
        if let Some(producer) = self.unresolved().first() {
            return Err(settled(format!("producer-{producer} has events without an answer")));
        }
        if let Some(client) = self.clients.http.iter().position(|client| !client.is_done()) {
            return Err(settled(format!("client-{client} has requests without an answer")));
        }
        for (i, leaf) in self.cluster.leaves.iter().enumerate() {
            let Some(ledgers) = leaf.ledgers() else {
                return Err(settled(format!("leaf-{i} is not up")));
            };
            if leaf.is_leaving() {
                return Err(settled(format!("leaf-{i} is leaving")));
            }
            let mut sum = Ledger::default();
            ledgers.iter().for_each(|l| sum += l.ledger);
            if sum.in_flight > 0 {
                return Err(settled(format!("leaf-{i} has events in flight: {sum:?}")));
            }
            let may_lose = self.model.losses.has_emptied_store() || self.model.losses.has_adopted();
            if sum.declared_lost > 0 && !may_lose {
                return Err(Promise::Exact.broken(format!("leaf-{i} has declared events lost: {sum:?}")));
            }
        }
        let forgot = |topic: &Topic| self.store.forgetful.contains(topic);
        self.model.check(&self.totals(), forgot).map_err(|e| Promise::Exact.broken(e))?;
        if self.model.losses.has_folders() {
            self.check_declared()?;
        } else if self.model.losses.has_emptied_store() || self.model.losses.has_adopted() {
            self.check_counted_losses()?;
        } else {
            self.audit()?;
        }
        self.check_viewers()
    }

    /// Checks that events lost with a leaf's folder are reported: the registry calls that leaf away. One that fell
    /// back may have forgotten what it knew of the leaf.
    fn check_declared(&self) -> Result<(), Broken> {
        let lost = self.model.lost(&self.totals());
        let is_without_heartbeats =
            lost > 0 && self.faults.tally.of(Fault::RegistryRollback) == 0 && self.store.away().is_empty();
        if is_without_heartbeats {
            let what =
                format!("{lost} events are lost with a leaf's folder, and the registry calls no leaf away");
            return Err(Promise::Balanced.broken(what));
        }
        Ok(())
    }

    /// Checks that the audit finds all events that an emptied store has lost for good, from the store's side or the
    /// leaves'.
    fn check_counted_losses(&self) -> Result<(), Broken> {
        let lost = self.model.lost(&self.totals()) as u64;
        // A root that puts the registry back may not have heard of the last ledgers in it.
        let forgets = [Fault::RegistryRollback, Fault::LeafDrained]
            .iter()
            .any(|fault| self.faults.tally.of(*fault) > 0);
        let is_blurred = !self.model.resets.is_empty() || self.model.losses.has_adopted() || forgets;
        let leaves = self.cluster.leaves.iter().filter_map(|leaf| leaf.ledgers()).flatten();
        let declared: u64 = leaves.map(|of| of.ledger.declared_lost).sum();
        let check = self.check_store(&self.store.documents);
        let found: u64 = check.short.iter().map(|gap| gap.events).sum();
        if !is_blurred && found + declared < lost {
            let what =
                format!("{lost} events are lost, leaves declare {declared}, and the audit finds {check:?}");
            return Err(Promise::Balanced.broken(what));
        }
        Ok(())
    }

    /// All totals in the store.
    fn totals(&self) -> BTreeMap<Counter, i64> {
        let documents = self.store.documents.iter();
        documents
            .flat_map(|(topic, d)| by_counter(topic, d.snapshot(topic, self.store.served_in()).totals))
            .collect()
    }

    fn check_viewers(&self) -> Result<(), Broken> {
        for (i, viewer) in self.clients.viewers.iter().enumerate() {
            for (topic, shown) in viewer.shown() {
                let Some(document) = self.store.documents.get(topic) else { continue };
                let Some(shown) = shown else {
                    return Err(Promise::Shown.broken(format!("viewer-{i} shows nothing of {topic}")));
                };
                let totals: BTreeMap<Counter, i64> =
                    by_counter(topic, document.snapshot(topic, self.store.served_in()).totals).collect();
                if let Some((counter, total)) = totals.iter().find(|(c, t)| shown.totals.get(*c) != Some(*t))
                {
                    let seen = shown.totals.get(counter);
                    return Err(Promise::Shown.broken(format!(
                        "viewer-{i} shows {seen:?} for {counter:?} at {}, and the store holds {total} at {}",
                        shown.version, document.version
                    )));
                }
                if shown.totals.len() != totals.len() {
                    let what = format!("viewer-{i} shows counters of {topic} that the store does not hold");
                    return Err(Promise::Shown.broken(what));
                }
            }
        }
        Ok(())
    }

    /// Audits: each leaf has accepted the events that the store counts of its streams. Where the registry has taken
    /// over a stream that its leaf still lists, both say the same.
    fn audit(&self) -> Result<(), Broken> {
        let live = self.cluster.leaves.iter().filter_map(|l| l.ledgers()).flatten();
        let retired = self.store.retired().into_iter();
        let streams: BTreeMap<_, Ledger> = retired.chain(live).map(|l| (l.stream, l.ledger)).collect();
        let (mut ledgers, mut store) =
            (BTreeMap::<NodeName, Ledger>::new(), BTreeMap::<NodeName, u64>::new());
        streams.into_iter().for_each(|(stream, ledger)| *ledgers.entry(stream.leaf).or_default() += ledger);
        for (stream, position) in self.store.documents.values().flat_map(|d| &d.streams) {
            *store.entry(stream.leaf.clone()).or_default() += position.events;
        }
        for (leaf, ledger) in &ledgers {
            let merged = store.remove(leaf).unwrap_or_default();
            if ledger.merged != merged || ledger.accepted != merged {
                let what =
                    format!("the store counts {merged} events of {leaf}, and its ledgers say {ledger:?}");
                return Err(Promise::Balanced.broken(what));
            }
        }
        if let Some((leaf, events)) = store.into_iter().find(|(_, events)| *events > 0) {
            let what = format!("the store counts {events} events of {leaf}, which has no ledger");
            return Err(Promise::Balanced.broken(what));
        }
        let merged: u64 = ledgers.values().map(|l| l.merged).sum();
        let counted = self.model.counted(&self.totals());
        // What a reset takes away was merged all the same.
        if self.model.resets.is_empty() && counted != merged {
            let what = format!("the totals hold {counted} events, and {merged} were merged");
            return Err(Promise::Balanced.broken(what));
        }
        self.audit_store()
    }

    /// Checks that the audit from the store's side finds no difference now, and that it would find each topic that was
    /// gone.
    fn audit_store(&self) -> Result<(), Broken> {
        let documents = &self.store.documents;
        let check = self.check_store(documents);
        if !check.balanced() || !check.not_compared.is_empty() {
            return Err(Promise::Balanced.broken(format!("all is merged, and the audit finds {check:?}")));
        }
        for (topic, document) in documents {
            let others = documents.iter().filter(|(other, _)| *other != topic);
            let check = self.check_store(&others.map(|(topic, d)| (topic.clone(), d.clone())).collect());
            let gone: u64 = document.streams.values().map(|position| position.events).sum();
            let missed: u64 = check.short.iter().map(|gap| gap.events).sum();
            if missed != gone || (gone > 0 && check.balanced()) {
                let what = format!("{gone} events are gone with {topic}, and the audit finds {check:?}");
                return Err(Promise::Balanced.broken(what));
            }
        }
        Ok(())
    }

    /// The audit's result for a store that holds these documents.
    fn check_store(&self, documents: &Documents) -> StoreCheck {
        let leaves: Vec<_> = self.cluster.leaves.iter().filter_map(|leaf| leaf.ledgers()).collect();
        let remembered = leaves.concat();
        let name = |ledgers: &Vec<StreamLedger>| Some(ledgers.first()?.stream.leaf.clone());
        let answers: Vec<_> = leaves.into_iter().filter_map(|l| Some((name(&l)?, Some(l)))).collect();
        let account = Account::new(self.store.audit_records(), answers);
        let mut round = Round::begin(account.clone(), true);
        for (topic, document) in documents {
            let held = document.streams.iter().map(|(stream, at)| (stream.clone(), at.events));
            if self.plan.flaw != Some(Flaw::TrustingAudit) {
                round.handle_document(topic, held, document.forgotten);
            }
        }
        if self.plan.flaw == Some(Flaw::TrustingAudit)
            && let Some(topic) = self.store.documents.keys().next()
        {
            let all = self.store.retired().into_iter().chain(remembered);
            let ledgers: BTreeMap<_, _> = all.map(|of| (of.stream, of.ledger.merged)).collect();
            round.handle_document(topic, ledgers.into_iter(), 0);
        }
        Auditor::default().handle_round(round, &account, WallMs(0)).check
    }
}
