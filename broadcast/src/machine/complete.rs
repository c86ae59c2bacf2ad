//! Reading a topic with all that was acked before the read began: every live leaf flushes the topic, and the totals are
//! read after that. It goes by the order of questions and answers; no clock has a say in it.
//!
//! A store that goes back in time may forget between the two what it had merged. So leaves name the version that holds
//! what they flushed, and what is read has to be of the same era and as far.

use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::document::{Snapshot, Version};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What the shell has to do for a read.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Ask a root who is in the cluster, by the store's word; then [`CompleteRead::handle_members`].
    Members,
    /// Have this leaf flush the topic; then [`CompleteRead::handle_flushed`].
    Flush {
        /// The leaf.
        leaf: Node,
        /// What has been read, 0-0 for nothing.
        read: Version,
    },
    /// Read the topic from the store, through a root; then [`CompleteRead::handle_read`].
    Read,
    /// Wait a moment; then [`CompleteRead::handle_waited`].
    Wait,
    /// This is it.
    Done {
        /// The topic.
        snapshot: Snapshot,
        /// Leaves that are not live and may hold events that are not in it.
        away: Vec<NodeName>,
    },
}

/// A read under way. It tries again for as long as the shell goes on.
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
    /// A read that begins now.
    pub fn begin() -> Self {
        Self { steps: [Step::Members].into(), ..Self::default() }
    }

    /// The next thing to do; drain it after every input.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Who has not flushed yet.
    pub fn waits_for(&self) -> impl Iterator<Item = &NodeName> {
        self.leaves.iter().map(|leaf| &leaf.name).filter(|leaf| !self.flushed.contains_key(*leaf))
    }

    /// Who is in the cluster, and who is away; `None` when nobody said.
    pub fn handle_members(&mut self, members: Option<(ClusterView, Vec<NodeName>)>) {
        let Some((view, away)) = members else { return self.steps.push_back(Step::Wait) };
        self.leaves = view.tier(Tier::Leaf).cloned().collect();
        self.away = away;
        // A leaf that has flushed once has merged what it acked before the read began, whatever became of it since.
        self.open = self.waits_for().cloned().collect();
        self.ask(Version::default());
    }

    /// Asks those that are open, and reads when there are none.
    fn ask(&mut self, read: Version) {
        let open = self.leaves.iter().filter(|leaf| self.open.contains(&leaf.name)).cloned();
        self.steps.extend(open.map(|leaf| Step::Flush { leaf, read }));
        if self.open.is_empty() {
            self.steps.push_back(Step::Read);
        }
    }

    /// A leaf has flushed the topic, and this version holds it; `None` when it has not.
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

    /// The topic as it was read; `None` when it was not.
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
        // Those have to make sure that the store still holds what they flushed.
        self.flushed.retain(|leaf, _| !self.open.contains(leaf));
        self.open.retain(|leaf| self.leaves.iter().any(|listed| listed.name == *leaf));
        self.ask(read);
    }

    /// A moment has passed.
    pub fn handle_waited(&mut self) {
        self.steps.push_back(Step::Members);
    }
}

#[cfg(test)]
#[path = "complete_tests.rs"]
mod tests;
