//! Computes how far the totals are complete: the least of what the live leaves report, and no further than those are
//! known to be all.

use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::limits::NODES_PER_CLUSTER;
use countree_common::time::WallMs;
use std::collections::{BTreeMap, BTreeSet};

/// The latest stamp that each leaf has said back, and the watermark that follows from them. It never goes back, but
/// for a new era of the store, in which nothing is known at first.
#[derive(Debug, Default)]
pub struct Watermarks {
    live: BTreeSet<NodeName>,
    echoed: BTreeMap<NodeName, WallMs>,
    /// A leaf that is not in `live` was listed later than this, and a leaf takes nothing before it is listed.
    confirmed: WallMs,
    watermark: WallMs,
}

impl Watermarks {
    /// The watermark; 0 as long as none is known.
    pub fn watermark(&self) -> WallMs {
        self.watermark
    }

    /// Takes the leaves that count from now on. One that leaves the view holds nothing back any more; one
    /// that enters it does until it reports.
    pub fn handle_view(&mut self, view: &ClusterView) -> Option<WallMs> {
        self.live = view.tier(Tier::Leaf).map(|n| n.name.clone()).collect();
        self.echoed.retain(|leaf, _| self.live.contains(leaf));
        self.advance()
    }

    /// The store held the view that was handled last when it was asked, at `asked`.
    pub fn handle_confirmation(&mut self, asked: WallMs) -> Option<WallMs> {
        self.confirmed = self.confirmed.max(asked);
        self.advance()
    }

    /// Whether the leaf counts.
    pub fn counts(&self, leaf: &NodeName) -> bool {
        self.live.contains(leaf)
    }

    /// Another process of the store serves: it may have forgotten what made the totals complete.
    pub fn forget(&mut self) {
        self.echoed.clear();
        self.watermark = WallMs(0);
    }

    /// A leaf's word that what it had accepted at `time` has been merged. Returns the new watermark if it
    /// has advanced.
    pub fn handle_echo(&mut self, leaf: &NodeName, time: WallMs) -> Option<WallMs> {
        // A leaf may answer before the view that lists it arrives here, but strangers must not fill the map.
        if self.echoed.len() < NODES_PER_CLUSTER || self.live.contains(leaf) {
            self.echoed.insert(leaf.clone(), time);
        }
        self.advance()
    }

    fn advance(&mut self) -> Option<WallMs> {
        let echoes = self.live.iter().map(|leaf| self.echoed.get(leaf).copied().unwrap_or_default());
        let least = echoes.min()?.min(self.confirmed);
        let advanced = least > self.watermark;
        self.watermark = self.watermark.max(least);
        advanced.then_some(least)
    }
}

#[cfg(test)]
#[path = "watermark_tests.rs"]
mod tests;
