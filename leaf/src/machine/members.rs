//! Keeps the cluster's nodes as this leaf knows them, and its own standing among them.

use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::stream::StreamId;
use countree_common::time::Time;
use countree_common::wire::keys::Attempt;
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct Members {
    view: ClusterView,
    /// The epoch of the first view that lists this start: a node that asks all leaves of a later one asks this one,
    /// too.
    listed_since: Option<u64>,
    /// The latest start of each leaf that a view has listed; the registry bounds how many names there are.
    starts_seen: BTreeMap<NodeName, u64>,
    /// A later start under this leaf's name is listed: the two are copies of one folder, or one outlived the other.
    is_superseded: bool,
    /// The epoch of the first view with these owners of keys, of whom none has left and come back since.
    owners_since: u64,
    /// The time at which a root last confirmed the view.
    confirmed: Time,
}

/// The changes that a new view brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct ViewChange {
    /// A later start of this leaf is listed for the first time.
    pub(super) supersedes: bool,
    /// The owners of keys, or their history, have changed.
    pub(super) keys: bool,
}

impl Members {
    /// Knows nobody yet.
    pub(super) fn new(now: Time) -> Self {
        let view = ClusterView::default();
        Self {
            view,
            listed_since: None,
            starts_seen: BTreeMap::new(),
            is_superseded: false,
            owners_since: 0,
            confirmed: now,
        }
    }

    /// Takes a new view; `live` is this leaf's own stream.
    pub(super) fn handle_view(&mut self, view: ClusterView, live: &StreamId) -> ViewChange {
        let StreamId { leaf, incarnation } = live;
        let is_later = view.node(leaf).is_some_and(|listed| listed.incarnation > *incarnation);
        let supersedes = is_later && !self.is_superseded;
        self.is_superseded |= is_later;
        let is_listed = view.node(leaf).is_some_and(|listed| listed.incarnation == *incarnation);
        if self.listed_since.is_none() && is_listed {
            self.listed_since = Some(view.epoch);
        }
        for node in view.tier(Tier::Leaf) {
            let seen = self.starts_seen.entry(node.name.clone()).or_default();
            *seen = node.incarnation.max(*seen);
        }
        let keys = self.view.keys != view.keys;
        if keys {
            self.owners_since = view.epoch;
        }
        self.view = view;
        ViewChange { supersedes, keys }
    }

    /// A root has confirmed the view, or brought a newer one.
    pub(super) fn confirm(&mut self, now: Time) {
        self.confirmed = now;
    }

    /// The time at which a root last confirmed the view.
    pub(super) fn confirmed(&self) -> Time {
        self.confirmed
    }

    /// The latest view.
    pub(super) fn view(&self) -> &ClusterView {
        &self.view
    }

    /// The number of leaves in the view, 1 at least.
    pub(super) fn leaves(&self) -> usize {
        self.view.tier(Tier::Leaf).count().max(1)
    }

    /// The epoch of the first view that lists this leaf.
    pub(super) fn listed_since(&self) -> Option<u64> {
        self.listed_since
    }

    /// Whether a later start under this leaf's name is listed.
    pub(super) fn is_superseded(&self) -> bool {
        self.is_superseded
    }

    /// Whether the start that made an attempt has been in a view here.
    pub(super) fn has_seen(&self, attempt: &Attempt) -> bool {
        self.starts_seen.get(&attempt.leaf).is_some_and(|seen| *seen >= attempt.incarnation)
    }

    /// Whether a leaf has left since one of its attempts was noted: it has handed over what it took. One that is not in
    /// the view may have come later than the view, unless it has been there, as those have whose attempts were noted by
    /// an earlier start of this leaf.
    pub(super) fn has_left(&self, attempt: &Attempt, is_noted_earlier: bool) -> bool {
        !self.view.keys.owners.contains(&attempt.leaf) && (is_noted_earlier || self.has_seen(attempt))
    }

    /// The epoch since which the same nodes own keys.
    pub(super) fn owners_since(&self) -> u64 {
        self.owners_since
    }

    /// The owners of idempotency keys once `leaf` is gone.
    pub(super) fn successors(&self, leaf: &NodeName) -> Vec<NodeName> {
        self.view.keys.owners.iter().filter(|owner| *owner != leaf).cloned().collect()
    }
}
