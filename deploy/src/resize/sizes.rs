//! Sizes of the tiers, and the steps that lead from the running nodes to them.

use super::step::{Action, State, Step};
use countree_common::cluster::{NodeName, Tier};
use countree_common::config::Manifest;
use countree_common::shell::failure::Failure;
use std::collections::{BTreeMap, BTreeSet};

/// Tiers in the order in which their nodes start: from the store outwards, so that each finds those that it needs.
const STARTS: [Tier; 3] = [Tier::Root, Tier::Leaf, Tier::Broadcast];
/// Tiers in the order in which their nodes leave: leaves first, while all roots are there to merge what leaves hold.
const DRAINS: [Tier; 3] = [Tier::Leaf, Tier::Broadcast, Tier::Root];

/// The number of nodes of each tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sizes(BTreeMap<Tier, u32>);

impl Sizes {
    /// Reads the sizes from a manifest.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self(STARTS.map(|tier| (tier, manifest.replicas(tier))).into())
    }

    /// Names the nodes of a tier: `leaf-0`, `leaf-1` ….
    pub(crate) fn names(&self, tier: Tier) -> Result<Vec<NodeName>, Failure> {
        let replicas = self.0.get(&tier).copied().unwrap_or_default();
        (0..replicas).map(|index| Ok(NodeName::new(&format!("{tier}-{index}"))?)).collect()
    }
}

/// Lists the steps from the running nodes to these sizes: every start before any drain, and drains one by one, so
/// that no tier is smaller than necessary at any moment.
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
        // The highest number leaves first; leaf-10 is above leaf-9.
        going.sort_by_key(|name| std::cmp::Reverse((name.as_str().len(), *name)));
        going.into_iter().for_each(|name| add(name, Action::Drain));
    }
    Ok(steps)
}

#[cfg(test)]
#[path = "sizes_tests.rs"]
mod tests;
