//! Claims of running leaves on the store: what they say it is, against what a root found.
//!
//! A root that was started in a new folder on a wrong store can't tell by itself that it is wrong. Leaves that were there
//! before can: each says with every question which store it has joined with. As long as all leaves that are heard belong
//! to another store, a root serves nothing. A single stray leaf beside those of this store is only refused.

use countree_common::cluster::NodeName;
use countree_common::store::StoreId;
use countree_common::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A leaf speaks several times a second: what it said longer ago than this, it says no more.
const CLAIM_LASTS: Duration = Duration::from_secs(10);
/// Leaves of other stores that are remembered at a time.
const FOREIGN_LEAVES_MAX: usize = 256;

/// The stores that leaves have named lately.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Leaves of other stores: the store of each, and the end of the time for which that counts.
    foreign: BTreeMap<NodeName, (StoreId, Time)>,
    /// The end of the time for which a leaf of the served store counts as heard.
    own_until: Option<Time>,
}

impl Claims {
    /// A leaf of the served store has spoken.
    pub(super) fn note_own(&mut self, now: Time) {
        self.own_until = Some(now + CLAIM_LASTS);
    }

    /// A leaf of another store has spoken.
    pub(super) fn note_foreign(&mut self, leaf: &NodeName, store: StoreId, now: Time) {
        if self.foreign.contains_key(leaf) || self.foreign.len() < FOREIGN_LEAVES_MAX {
            self.foreign.insert(leaf.clone(), (store, now + CLAIM_LASTS));
        }
    }

    /// Forgets what was said too long ago, and of stores that `served` has taken the place of.
    pub(super) fn expire(&mut self, served: &BTreeSet<StoreId>, now: Time) {
        self.foreign.retain(|_, (store, until)| now < *until && !served.contains(store));
        self.own_until = self.own_until.filter(|until| now < *until);
    }

    /// Another store and a leaf that named it, if no leaf of the served one was heard lately.
    pub(super) fn disputing(&self) -> Option<(StoreId, &NodeName)> {
        let first = self.foreign.iter().next().filter(|_| self.own_until.is_none());
        first.map(|(leaf, (store, _))| (*store, leaf))
    }

    /// Every other store that is named.
    pub(super) fn foreign_stores(&self) -> BTreeSet<StoreId> {
        self.foreign.values().map(|(store, _)| *store).collect()
    }

    /// The leaves of other stores.
    pub(super) fn foreign_leaves(&self) -> impl Iterator<Item = &NodeName> {
        self.foreign.keys()
    }
}
