//! The ledgers of streams that are gone, and what else the audit needs to know.

use super::{NAMES_REMEMBERED, Registry, RegistryFull};
use countree_common::audit::{AuditRecords, GivenUp};
use countree_common::cluster::{NodeName, Tier};
use countree_common::ledger::StreamLedger;
use countree_common::stream::StreamId;

impl Registry {
    /// Keeps the ledgers of streams that are wholly merged: of one leaf, the oldest that it still has a log of among
    /// them.
    ///
    /// # Errors
    /// When a leaf's name is new and there are too many; the streams before it were taken.
    pub fn retire(&mut self, ledgers: &[StreamLedger]) -> Result<(), RegistryFull> {
        for StreamLedger { stream, ledger, .. } in ledgers {
            if !self.retired.contains_key(&stream.leaf) && self.retired.len() >= NAMES_REMEMBERED {
                return Err(RegistryFull::Names);
            }
            self.note_incarnation(&stream.leaf, Tier::Leaf, stream.incarnation)?;
            self.open.close(&stream.leaf, stream.incarnation, ledger);
            self.retired.entry(stream.leaf.clone()).or_default().retire(stream.incarnation, *ledger);
        }
        let oldest = ledgers.iter().map(|of| &of.stream).min_by_key(|stream| stream.incarnation);
        if let Some((oldest, retired)) = oldest.and_then(|s| Some((s, self.retired.get_mut(&s.leaf)?))) {
            retired.fold(oldest.incarnation);
        }
        Ok(())
    }

    /// The ledgers of retired streams, as their leaves gave them, and of imports.
    pub fn ledgers(&self) -> Vec<StreamLedger> {
        let retired = self.retired.iter().flat_map(|(leaf, streams)| streams.ledgers(leaf));
        retired.chain(self.open.ledgers()).chain(self.imports.ledgers()).collect()
    }

    /// Notes how many of a stream's merged events the store lacks for good; 0 when it lacks none after all.
    ///
    /// # Errors
    /// When the leaf's name is new and there are too many.
    pub fn declare_lost(&mut self, stream: &StreamId, events: u64) -> Result<(), RegistryFull> {
        if !self.retired.contains_key(&stream.leaf) && self.retired.len() >= NAMES_REMEMBERED {
            return Err(RegistryFull::Names);
        }
        self.retired.entry(stream.leaf.clone()).or_default().declare_lost(stream.incarnation, events);
        Ok(())
    }

    /// Notes how many events of a stream whose log was given up documents hold.
    pub fn know_held(&mut self, stream: &StreamId, held: u64) {
        if let Some(retired) = self.retired.get_mut(&stream.leaf) {
            retired.know_held(stream.incarnation, held);
        }
    }

    /// All that the audit needs to know from here.
    pub fn audit_records(&self) -> AuditRecords {
        let of = |leaf: &NodeName, incarnation| StreamId { leaf: leaf.clone(), incarnation };
        let lost = self.retired.iter().flat_map(|(leaf, retired)| {
            retired.lost().map(move |(incarnation, events)| (of(leaf, incarnation), events))
        });
        let folded = self.retired.iter().map(|(leaf, retired)| (leaf.clone(), retired.folded_to()));
        let given_up = self.retired.iter().flat_map(|(leaf, retired)| {
            let given_up = retired.given_up();
            given_up.map(move |(incarnation, heard_at)| GivenUp { stream: of(leaf, incarnation), heard_at })
        });
        AuditRecords {
            view: self.view(),
            away: self.away(),
            retired: self.ledgers(),
            folded: folded.filter(|(_, to)| *to > 0).collect(),
            given_up: given_up.collect(),
            lost: lost.collect(),
            starts: self.incarnations.iter().map(|(leaf, last)| (leaf.clone(), *last)).collect(),
        }
    }
}
