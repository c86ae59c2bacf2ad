//! Starts of nodes: each has a number of its own, and a leaf's start is compared with what its streams are known to hold.

use super::{NAMES_REMEMBERED, Registry, RegistryFull};
use countree_common::cluster::{Node, NodeName, Tier};
use countree_common::stream::StreamId;
use countree_common::time::WallMs;
use countree_common::wire::rpc::{LogEnd, Reached};

impl Registry {
    /// The number of this start of a node: higher than any before, and at least `at_least`.
    ///
    /// # Errors
    /// When it is a leaf with a new name and there are too many.
    pub fn join(&mut self, name: &NodeName, tier: Tier, at_least: u64) -> Result<u64, RegistryFull> {
        let last = match tier {
            Tier::Leaf => self.incarnations.get(name).copied().unwrap_or_default(),
            Tier::Root | Tier::Broadcast => self.starts,
        };
        let incarnation = last.saturating_add(1).max(at_least);
        self.note_incarnation(name, tier, incarnation)?;
        Ok(incarnation)
    }

    /// The number of this start of a leaf on a log that holds these streams: higher than any before by `jump` or more.
    /// A registry that fell back, and a log that is lost at once, would give a number again whose stream the store
    /// knows. Where the log lacks what an earlier start has known, nobody can say any more what keys it knew, and those
    /// streams are missing until they are found or given up.
    ///
    /// # Errors
    /// When its name is new and there are too many.
    pub fn join_on_log(
        &mut self,
        leaf: &NodeName,
        log: &[LogEnd],
        jump: u64,
        now: WallMs,
    ) -> Result<(u64, Vec<StreamId>), RegistryFull> {
        let at_least = log.iter().map(|end| end.incarnation).max().unwrap_or_default() + 1;
        // Over what the registry knows, too: that may be as old as the log.
        let last = self.incarnations.get(leaf).copied().unwrap_or_default();
        let at_least = at_least.max(last.saturating_add(1)).saturating_add(jump);
        let incarnation = self.join(leaf, Tier::Leaf, at_least)?;
        if self.open.compare(leaf, log) {
            let owners = self.key_owners();
            self.keys.lose(leaf, now);
            self.advance(owners.clone(), now);
            if self.key_owners() == owners {
                self.owners_since = self.epoch;
                self.keys.succeed(owners, now);
            }
        }
        let mut missing = self.open.missing_of(leaf);
        // It has left since the copy that it starts on was made: all is merged, but sessions that are open there ended.
        if let Some(settled) =
            self.settled.get(leaf).filter(|settled| log.last().is_some_and(|end| end.incarnation < **settled))
        {
            missing.push(StreamId { leaf: leaf.clone(), incarnation: *settled });
        }
        Ok((incarnation, missing))
    }

    /// A leaf says how far its live stream has come.
    pub fn reach(&mut self, node: &Node, reached: Reached, now: WallMs) {
        if node.tier == Tier::Leaf {
            self.open.reach(&node.name, node.incarnation, reached, now);
        }
    }

    /// A node has started that often, by its own word: a registry that fell back may have forgotten it, and would give
    /// the number again.
    pub(super) fn note_incarnation(
        &mut self,
        name: &NodeName,
        tier: Tier,
        incarnation: u64,
    ) -> Result<(), RegistryFull> {
        if tier != Tier::Leaf {
            self.starts = incarnation.max(self.starts);
            return Ok(());
        }
        let is_full = self.incarnations.len() >= NAMES_REMEMBERED;
        match self.incarnations.get_mut(name) {
            Some(last) => *last = incarnation.max(*last),
            None if is_full => return Err(RegistryFull::Names),
            None => drop(self.incarnations.insert(name.clone(), incarnation)),
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "starts_tests.rs"]
mod tests;
