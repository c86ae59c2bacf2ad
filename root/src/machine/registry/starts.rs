//! Starts of nodes: each has a number of its own, and a leaf's start is compared with what its streams are known to
//! hold.

use super::{NAMES_REMEMBERED, Registry, RegistryFull};
use countree_common::cluster::{Node, NodeName, Tier};
use countree_common::stream::StreamId;
use countree_common::time::WallMs;
use countree_common::wire::rpc::{LogEnd, StreamProgress};

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
    /// knows. Returns the streams that the log lacks, too. They count as missing once this start is in the view: a join
    /// may arrive late, when its start is long gone or far ahead of that log.
    ///
    /// # Errors
    /// When its name is new and there are too many.
    pub fn join_on_log(
        &mut self,
        leaf: &NodeName,
        log: &[LogEnd],
        jump: u64,
    ) -> Result<(u64, Vec<StreamId>), RegistryFull> {
        let at_least = log.iter().map(|end| end.incarnation).max().unwrap_or_default() + 1;
        // Over what the registry knows, too: that may be as old as the log.
        let last = self.incarnations.get(leaf).copied().unwrap_or_default();
        let at_least = at_least.max(last.saturating_add(1)).saturating_add(jump);
        let incarnation = self.join(leaf, Tier::Leaf, at_least)?;
        let mut missing = self.open.join(leaf, incarnation, log);
        // It has left since the copy that it starts on was made: all is merged, but sessions that are open there ended.
        if let Some(settled) =
            self.settled.get(leaf).filter(|settled| log.last().is_some_and(|end| end.incarnation < **settled))
        {
            missing.push(StreamId { leaf: leaf.clone(), incarnation: *settled });
        }
        Ok((incarnation, missing))
    }

    /// The latest start of a leaf that is known to have been in the view.
    pub(super) fn latest_listed(&self, leaf: &NodeName) -> Option<u64> {
        let live = self.members.get(leaf).map(|member| member.node.incarnation);
        live.max(self.open.latest(leaf)).max(self.settled.get(leaf).copied())
    }

    /// A leaf says how far its live stream has come.
    pub fn reach(&mut self, node: &Node, reached: StreamProgress, now: WallMs) {
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
