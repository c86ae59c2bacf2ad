//! Lets leaves go for good: in good order, or given up.

use super::{Registry, RegistryFull};
use countree_common::cluster::{NodeName, Tier};
use countree_common::stream::StreamId;
use countree_common::time::WallMs;
use countree_common::wire::rpc::KeyHandover;
use std::collections::BTreeSet;

/// The reason why a leaving leaf may not go yet. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSettled {
    /// Keys have other owners than those that it has handed its keys to, or other starts of them.
    #[error("keys belong to {owners:?} since epoch {since}: hand them over to those, and repeat")]
    OtherHeirs {
        /// The owners beside the leaf itself.
        owners: Vec<NodeName>,
        /// The epoch since which they do.
        since: u64,
    },
    /// A later start of it may be at work.
    #[error("{0} has started again: keep this start's data folder")]
    StartedAgain(NodeName),
    /// Its name is new, and there are too many.
    #[error(transparent)]
    Full(#[from] RegistryFull),
}

/// A leaf that lives can't be given up. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is live, and no log of it is missing: drain it")]
pub struct StillLive(pub NodeName);

impl Registry {
    /// This start of a leaf has merged all that the leaf ever accepted, takes nothing more, and has handed its keys to
    /// those who own keys: it is gone. Says whether it keeps its keys, since there was nobody to take them; it remains
    /// their owner then, and its log has to be there when it is back. A repeat is answered as the first was: others
    /// may have come since, and its keys are not with them.
    ///
    /// # Errors
    /// When the owners of keys are others, a later start has come, or the name is one too many.
    pub fn settle(
        &mut self,
        start: &StreamId,
        handover: &KeyHandover,
        now: WallMs,
    ) -> Result<bool, NotSettled> {
        let StreamId { leaf, incarnation } = start;
        // A later start that has only joined does not count: its join may have come late.
        if self.latest_listed(leaf) > Some(*incarnation) {
            return Err(NotSettled::StartedAgain(leaf.clone()));
        }
        if self.settled.get(leaf) == Some(incarnation) {
            return Ok(self.keys.is_keeper(leaf));
        }
        let (before, since) = (self.key_owners(), self.owners_since);
        let owners: BTreeSet<_> = before.iter().filter(|owner| *owner != leaf).collect();
        let successors = handover.successors.iter().filter(|successor| *successor != leaf);
        if since > handover.epoch || owners != successors.collect() {
            return Err(NotSettled::OtherHeirs { owners: owners.into_iter().cloned().collect(), since });
        }
        let keeps_keys = owners.is_empty() && !handover.is_empty;
        self.note_incarnation(leaf, Tier::Leaf, *incarnation)?;
        if keeps_keys {
            self.keys.keep(leaf, now);
        }
        self.unsettled.remove(leaf);
        self.members.remove(leaf);
        self.settled.insert(leaf.clone(), *incarnation);
        self.open.settle(leaf, *incarnation, keeps_keys);
        self.advance(before, now);
        Ok(keeps_keys)
    }

    /// A leaf will never come back: what it had not merged is lost, and nobody can say what keys it knew. Of one that
    /// lives on without its earlier logs, those are given up. What was last heard of them is declared lost.
    ///
    /// # Errors
    /// When it is live and no log of it is missing.
    pub fn forget(&mut self, leaf: &NodeName, now: WallMs) -> Result<(), StillLive> {
        let is_live = self.members.contains_key(leaf);
        if is_live && !self.open.is_forgetful(leaf) {
            return Err(StillLive(leaf.clone()));
        }
        for heard in self.open.give_up(leaf, is_live) {
            self.retired.entry(leaf.clone()).or_default().give_up(heard);
        }
        if is_live {
            return Ok(());
        }
        let before = self.key_owners();
        if before.contains(leaf) {
            self.unsettled.remove(leaf);
            self.keys.lose(leaf, now);
            self.advance(before, now);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "departures_tests.rs"]
mod tests;
