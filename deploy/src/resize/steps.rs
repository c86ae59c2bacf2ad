//! Which nodes come and go, and in which order.

use super::{Action, State, Step};
use countree_common::cluster::{NodeName, Tier};
use countree_common::config::Manifest;
use countree_common::shell::failure::Failure;
use std::collections::{BTreeMap, BTreeSet};

/// From the store outwards: each finds those that it needs.
const STARTS: [Tier; 3] = [Tier::Root, Tier::Leaf, Tier::Broadcast];
/// From the producers inwards: what a leaf still has is merged by roots that are all there.
const DRAINS: [Tier; 3] = [Tier::Leaf, Tier::Broadcast, Tier::Root];

/// How many nodes each tier is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sizes(BTreeMap<Tier, u32>);

impl Sizes {
    /// What a manifest says.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self(STARTS.map(|tier| (tier, manifest.replicas(tier))).into())
    }

    /// The nodes of a tier: `leaf-0`, `leaf-1` ….
    pub(crate) fn names(&self, tier: Tier) -> Result<Vec<NodeName>, Failure> {
        let replicas = self.0.get(&tier).copied().unwrap_or_default();
        (0..replicas).map(|index| Ok(NodeName::new(&format!("{tier}-{index}"))?)).collect()
    }
}

/// What leads from the nodes that run to those that should: all that come before any that goes, and those that go
/// one by one, so that no tier is ever smaller than it has to be.
pub(crate) fn steps(
    running: &BTreeMap<Tier, BTreeSet<NodeName>>,
    sizes: &Sizes,
) -> Result<Vec<Step>, Failure> {
    let none = BTreeSet::new();
    let mut steps = Vec::new();
    let mut add = |node: &NodeName, action| {
        steps.push(Step { node: node.clone(), action, state: State::Waiting, seconds: 0.0 });
    };
    for tier in STARTS {
        let here = running.get(&tier).unwrap_or(&none);
        sizes
            .names(tier)?
            .iter()
            .filter(|name| !here.contains(*name))
            .for_each(|name| add(name, Action::Start));
    }
    for tier in DRAINS {
        let wanted: BTreeSet<_> = sizes.names(tier)?.into_iter().collect();
        let mut going: Vec<_> =
            running.get(&tier).unwrap_or(&none).iter().filter(|name| !wanted.contains(*name)).collect();
        // The last to come is the first to go; names count in their length first.
        going.sort_by_key(|name| std::cmp::Reverse((name.as_str().len(), *name)));
        going.into_iter().for_each(|name| add(name, Action::Drain));
    }
    Ok(steps)
}

#[cfg(test)]
#[path = "steps_tests.rs"]
mod tests;
