//! Complete reads: a topic with all events that were acked before the read began. Every live leaf flushes the
//! topic, and the totals are read after that. Only the order of messages matters, no clock.
//!
//! A store that goes back in time may forget in between what it had merged. So leaves name the version that
//! holds their flushed events, and the read has to return at least that version, of the same era.

use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::document::{Snapshot, Version};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A step of a read, for the shell to carry out.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Ask a root for the members of the cluster, by the registry in the store; then
    /// [`CompleteRead::handle_members`].
    Members,
    /// Have this leaf flush the topic; then [`CompleteRead::handle_flushed`].
    Flush {
        /// The leaf.
        leaf: Node,
        /// The version that was read, 0-0 for none.
        read: Version,
    },
    /// Read the topic from the store, through a root; then [`CompleteRead::handle_read`].
    Read,
    /// Wait a moment; then [`CompleteRead::handle_waited`].
    Wait,
    /// The result of the read.
    Done {
        /// The topic.
        snapshot: Snapshot,
        /// Leaves that are not live and may hold events that are missing here.
        away: Vec<NodeName>,
    },
}

/// A read under way. It repeats failed steps for as long as the shell goes on.
#[derive(Debug, Default)]
pub struct CompleteRead {
    leaves: Vec<Node>,
    away: Vec<NodeName>,
    /// The leaves that are being asked.
    open: BTreeSet<NodeName>,
    /// Those that have flushed, and the version that holds it.
    flushed: BTreeMap<NodeName, Version>,
    steps: VecDeque<Step>,
}

impl CompleteRead {
    /// Begins a read.
    pub fn begin() -> Self {
        Self { steps: [Step::Members].into(), ..Self::default() }
    }

    /// Returns the next step; drain it after every input.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Returns the leaves that have not flushed yet.
    pub fn waits_for(&self) -> impl Iterator<Item = &NodeName> {
        self.leaves.iter().map(|leaf| &leaf.name).filter(|leaf| !self.flushed.contains_key(*leaf))
    }

    /// Handles the members of the cluster, and the leaves that are away; `None` when no root answered.
    pub fn handle_members(&mut self, members: Option<(ClusterView, Vec<NodeName>)>) {
        let Some((view, away)) = members else { return self.steps.push_back(Step::Wait) };
        self.leaves = view.tier(Tier::Leaf).cloned().collect();
        self.away = away;
        // Events were acked by somebody: a registry that knows of no leaf is new, or another cluster's.
        if self.leaves.is_empty() && self.away.is_empty() && self.flushed.is_empty() {
            return self.steps.push_back(Step::Wait);
        }
        // A leaf that has flushed once has merged everything that it acked before the read began, even if it
        // is gone by now.
        self.open = self.waits_for().cloned().collect();
        self.ask(Version::default());
    }

    /// Asks the leaves that have not flushed, and reads when there are none.
    fn ask(&mut self, read: Version) {
        let open = self.leaves.iter().filter(|leaf| self.open.contains(&leaf.name)).cloned();
        self.steps.extend(open.map(|leaf| Step::Flush { leaf, read }));
        if self.open.is_empty() {
            self.steps.push_back(Step::Read);
        }
    }

    /// Handles a leaf's flush, and the version that holds it; `None` when it failed.
    pub fn handle_flushed(&mut self, leaf: &NodeName, version: Option<Version>) {
        let was_asked = self.open.remove(leaf);
        if let Some(version) = version {
            self.flushed.insert(leaf.clone(), version);
        }
        if was_asked && self.open.is_empty() {
            let is_whole = self.waits_for().next().is_none();
            self.steps.push_back(if is_whole { Step::Read } else { Step::Wait });
        }
    }

    /// Handles the topic as it was read; `None` when the read failed.
    pub fn handle_read(&mut self, snapshot: Option<Snapshot>) {
        let Some(snapshot) = snapshot else { return self.steps.push_back(Step::Wait) };
        let read = snapshot.version;
        let is_in_it =
            |held: &Version| *held == Version::default() || (held.era == read.era && *held <= read);
        self.open =
            self.flushed.iter().filter(|(_, held)| !is_in_it(held)).map(|(leaf, _)| leaf.clone()).collect();
        if self.open.is_empty() {
            return self.steps.push_back(Step::Done { snapshot, away: self.away.clone() });
        }
        // These leaves have to make sure that the store still holds their flushed events.
        self.flushed.retain(|leaf, _| !self.open.contains(leaf));
        self.open.retain(|leaf| self.leaves.iter().any(|listed| listed.name == *leaf));
        self.ask(read);
    }

    /// Handles the end of a wait.
    pub fn handle_waited(&mut self) {
        self.steps.push_back(Step::Members);
    }
}

#[cfg(test)]
#[path = "complete_tests.rs"]
mod tests;
