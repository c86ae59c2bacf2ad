//! Estimates the share of items, topics, keys and viewers that a resize moves, on a sample with the ring that nodes
//! use.

use super::step::{Action, Step};
use crate::host::tier_of;
use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::key::{Item, Topic};
use countree_common::ring::Ring;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Names whose owners before and after are compared: enough for an error of about 0.5 percentage points.
const SAMPLE: u32 = 40_000;

/// A share that moves, and the least that could move if every node carried the same load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Share {
    /// The share that moves, from 0 to 1.
    pub(crate) moves: f64,
    /// The least possible.
    pub(crate) ideal: f64,
}

/// Shares that a resize moves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Moves {
    /// Items, to other leaves.
    pub(crate) items: Share,
    /// Topics, to other roots.
    pub(crate) topics: Share,
    /// Idempotency keys, to other leaves.
    pub(crate) keys: Share,
    /// Viewers, to other broadcast nodes.
    pub(crate) viewers: Share,
}

impl Moves {
    /// Estimates the shares. `viewers` has the number of viewers of each broadcast node.
    pub(crate) fn of(view: &ClusterView, steps: &[Step], viewers: &BTreeMap<NodeName, u64>) -> Self {
        let before = |tier| view.tier(tier).map(|n| n.name.clone()).collect::<BTreeSet<_>>();
        let (leaves, roots) = (before(Tier::Leaf), before(Tier::Root));
        let owners: BTreeSet<_> = view.keys.owners.iter().cloned().collect();
        // Until the registry names owners of keys, the leaves own them.
        let owners = if owners.is_empty() { leaves.clone() } else { owners };
        Self {
            items: ring_share(&leaves, steps, Tier::Leaf, |ring, n| {
                let item = Item::new(&format!("item-{n}")).ok()?;
                ring.item_owner(&sample_topic(n / 100)?, &item).cloned()
            }),
            topics: ring_share(&roots, steps, Tier::Root, |ring, n| {
                ring.topic_owner(&sample_topic(n)?).cloned()
            }),
            keys: ring_share(&owners, steps, Tier::Leaf, |ring, n| {
                ring.key_owner(u128::from(n) << 64 | u128::from(n)).cloned()
            }),
            viewers: viewer_share(&before(Tier::Broadcast), steps, viewers),
        }
    }
}

fn sample_topic(n: u32) -> Option<Topic> {
    Topic::new(&format!("topic-{n}")).ok()
}

/// Lists the nodes of a tier after the steps.
fn after(before: &BTreeSet<NodeName>, steps: &[Step], tier: Tier) -> BTreeSet<NodeName> {
    let mut after = before.clone();
    for step in steps.iter().filter(|step| tier_of(&step.node).is_ok_and(|of| of == tier)) {
        match step.action {
            Action::Start => after.insert(step.node.clone()),
            Action::Drain => after.remove(&step.node),
        };
    }
    after
}

fn share_of(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn ring_share(
    before: &BTreeSet<NodeName>,
    steps: &[Step],
    tier: Tier,
    owner: impl Fn(&Ring, u32) -> Option<NodeName>,
) -> Share {
    let after = after(before, steps, tier);
    let (old, new) = (Ring::new(before.iter().cloned()), Ring::new(after.iter().cloned()));
    let moved = (0..SAMPLE).filter(|n| owner(&old, *n) != owner(&new, *n)).count();
    // At least the part of the nodes that leave moves, and the part that new nodes get.
    let left = share_of(before.difference(&after).count(), before.len());
    let taken = share_of(after.difference(before).count(), after.len());
    Share { moves: share_of(moved, SAMPLE as usize), ideal: left.max(taken) }
}

/// The share of viewers whose node leaves: new nodes only get new viewers.
fn viewer_share(before: &BTreeSet<NodeName>, steps: &[Step], viewers: &BTreeMap<NodeName, u64>) -> Share {
    let after = after(before, steps, Tier::Broadcast);
    let going: Vec<_> = before.difference(&after).collect();
    let all: u64 = before.iter().filter_map(|name| viewers.get(name)).sum();
    let moving: u64 = going.iter().filter_map(|name| viewers.get(*name)).sum();
    let moves = if all == 0 { 0.0 } else { moving as f64 / all as f64 };
    Share { moves, ideal: share_of(going.len(), before.len()) }
}

#[cfg(test)]
#[path = "shares_tests.rs"]
mod tests;
