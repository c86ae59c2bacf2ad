//! What must be true once everything works again and has had time to settle.

use super::World;
use crate::truth::by_counter;
use countree_common::key::{Counter, Topic};
use countree_common::ledger::Ledger;
use std::collections::BTreeMap;

impl World {
    /// Whether the cluster has settled, with every event where it belongs.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn converged(&self) -> Result<(), String> {
        if let Some(producer) = self.unresolved().first() {
            return Err(format!("producer-{producer} has events without an answer"));
        }
        for (i, leaf) in self.leaves.iter().enumerate() {
            let Some(ledgers) = leaf.ledgers() else { return Err(format!("leaf-{i} is not up")) };
            let mut sum = Ledger::default();
            ledgers.iter().for_each(|l| sum += l.ledger);
            if sum.in_flight > 0 {
                return Err(format!("leaf-{i} has events in flight: {sum:?}"));
            }
            if sum.declared_lost > 0 {
                return Err(format!("leaf-{i} has declared events lost: {sum:?}"));
            }
        }
        self.truth.check(&self.totals())?;
        self.audit()?;
        self.check_viewers()
    }

    /// All totals in the store.
    fn totals(&self) -> BTreeMap<Counter, i64> {
        let documents = self.store.documents.iter();
        documents.flat_map(|(topic, d)| by_counter(topic, d.snapshot(topic).totals)).collect()
    }

    fn check_viewers(&self) -> Result<(), String> {
        for (i, viewer) in self.viewers.iter().enumerate() {
            for (topic, shown) in viewer.shown() {
                let is_spared = !self.plan.with_known && self.store.forgetful.contains(topic);
                let Some(document) = self.store.documents.get(topic).filter(|_| !is_spared) else { continue };
                let Some(shown) = shown else { return Err(format!("viewer-{i} shows nothing of {topic}")) };
                let totals: BTreeMap<Counter, i64> =
                    by_counter(topic, document.snapshot(topic).totals).collect();
                if let Some((counter, total)) = totals.iter().find(|(c, t)| shown.totals.get(*c) != Some(*t))
                {
                    let seen = shown.totals.get(counter);
                    return Err(format!(
                        "viewer-{i} shows {seen:?} for {counter:?} at {}, and the store holds {total} at {}",
                        shown.version, document.version
                    ));
                }
                if shown.totals.len() != totals.len() {
                    return Err(format!("viewer-{i} shows counters of {topic} that the store does not hold"));
                }
            }
        }
        Ok(())
    }

    /// How many viewers' topics were not compared with the store; see [`crate::KNOWN`].
    pub(super) fn spared(&self) -> u64 {
        let forgetful = |topic: &Topic| !self.plan.with_known && self.store.forgetful.contains(topic);
        self.viewers.iter().flat_map(|v| v.shown()).filter(|(topic, _)| forgetful(topic)).count() as u64
    }

    /// The audit: what all leaves accepted is what the store counts. Where the registry has taken over a
    /// stream that its leaf still lists, both say the same.
    fn audit(&self) -> Result<(), String> {
        let live = self.leaves.iter().filter_map(|l| l.ledgers()).flatten();
        let retired = self.store.retired().into_iter();
        let streams: BTreeMap<_, Ledger> = retired.chain(live).map(|l| (l.stream, l.ledger)).collect();
        let mut sum = Ledger::default();
        streams.into_values().for_each(|ledger| sum += ledger);
        let counted = self.truth.counted(&self.totals());
        if sum.merged == counted && sum.accepted == counted {
            Ok(())
        } else {
            Err(format!("the store counts {counted} events, and the ledgers say {sum:?}"))
        }
    }
}
