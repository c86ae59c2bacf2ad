//! Asks every leaf for the version of a topic that holds all that it had accepted.

use countree_common::cluster::{Node, NodeName};
use countree_common::document::Version;
use std::collections::BTreeSet;

/// A reset gives up after this many readings of versions that do not hold what the leaves said.
const READINGS: u32 = 3;

/// The answers of all leaves about one topic.
#[derive(Debug, Default)]
pub(super) struct LeafVersions {
    /// Those that may hold events.
    leaves: Vec<Node>,
    /// Those that have not answered yet.
    flushing: BTreeSet<NodeName>,
    /// The versions that the others named.
    named: BTreeSet<Version>,
    readings: u32,
}

impl LeafVersions {
    /// Takes the leaves to be asked.
    pub(super) fn begin(&mut self, leaves: Vec<Node>) {
        self.leaves = leaves;
    }

    /// Begins to ask; returns all leaves.
    pub(super) fn ask_all(&mut self) -> Vec<Node> {
        self.flushing = self.leaves.iter().map(|leaf| leaf.name.clone()).collect();
        self.named.clear();
        self.leaves.clone()
    }

    /// Notes a leaf's answer; says whether it was the last.
    pub(super) fn note(&mut self, leaf: &NodeName, version: Version) -> bool {
        self.named.insert(version);
        self.flushing.remove(leaf) && self.flushing.is_empty()
    }

    /// The latest version that a leaf named.
    pub(super) fn last_named(&self) -> Version {
        self.named.last().copied().unwrap_or_default()
    }

    /// Whether the leaves may be asked once more, given what was read.
    pub(super) fn begin_reading(&mut self) -> bool {
        self.readings += 1;
        self.readings < READINGS
    }

    /// Whether a document of this version holds all that the leaves had accepted.
    pub(super) fn is_held_by(&self, read: Version) -> bool {
        let mut named = self.named.iter().filter(|version| **version != Version::default());
        named.all(|version| version.era == read.era && *version <= read)
    }
}
