//! How far the totals are complete: the least of what the live leaves report, and no further than those are known
//! to be all.

use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::limits::NODES_PER_CLUSTER;
use countree_common::time::WallMs;
use std::collections::{BTreeMap, BTreeSet};

/// The latest report of each leaf, and the watermark that follows from them. It never goes back.
#[derive(Debug, Default)]
pub struct Watermarks {
    live: BTreeSet<NodeName>,
    reported: BTreeMap<NodeName, WallMs>,
    /// Whoever is not in `live` was listed later than this, and a leaf takes nothing before it is listed.
    confirmed: WallMs,
    watermark: WallMs,
}

impl Watermarks {
    /// The watermark; 0 as long as none is known.
    pub fn watermark(&self) -> WallMs {
        self.watermark
    }

    /// The leaves that count from now on. One that leaves the view holds nothing back any more; one
    /// that enters it does until it reports.
    pub fn handle_view(&mut self, view: &ClusterView) -> Option<WallMs> {
        self.live = view.tier(Tier::Leaf).map(|n| n.name.clone()).collect();
        self.reported.retain(|leaf, _| self.live.contains(leaf));
        self.advance()
    }

    /// The store held the view that was handled last when it was asked, at `asked`.
    pub fn handle_confirmation(&mut self, asked: WallMs) -> Option<WallMs> {
        self.confirmed = self.confirmed.max(asked);
        self.advance()
    }

    /// A leaf's word that what it acked up to `time` has been merged. Returns the new watermark if it
    /// has advanced.
    pub fn handle_report(&mut self, leaf: &NodeName, time: WallMs) -> Option<WallMs> {
        // A leaf reports before the view that lists it arrives here; strangers must not fill the map.
        if self.reported.len() < NODES_PER_CLUSTER || self.live.contains(leaf) {
            self.reported.insert(leaf.clone(), time);
        }
        self.advance()
    }

    fn advance(&mut self) -> Option<WallMs> {
        let reports = self.live.iter().map(|leaf| self.reported.get(leaf).copied().unwrap_or_default());
        let least = reports.min()?.min(self.confirmed);
        let advanced = least > self.watermark;
        self.watermark = self.watermark.max(least);
        advanced.then_some(least)
    }
}

#[cfg(test)]
#[path = "watermark_tests.rs"]
mod tests;
