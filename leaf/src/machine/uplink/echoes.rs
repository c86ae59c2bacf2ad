//! Echoes a root's stamps once all is merged that this leaf had accepted when they came. Order decides, by LSN;
//! no clock of this leaf has a say in how far totals are called complete.
//!
//! A stamp names the process of the store that serves. What this leaf merged in another one may be forgotten by now:
//! before it says a stamp of a new process back, the store has answered in that process for every topic.

use super::Uplink;
use super::stream::StreamUplink;
use crate::machine::output::{Output, Outputs};
use countree_common::cluster::NodeName;
use countree_common::stamp::Stamp;
use countree_common::stream::Lsn;
use countree_common::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// Roots learn of a new process one after another, so their stamps may name different eras for a while: the era that
/// counts changes no more often than this.
const ERA_LASTS: Duration = Duration::from_millis(500);
/// Topics that are asked about with each window, before a stamp of a new era is said back. Each costs roots and store
/// some 30 µs.
const ASKED_PER_WINDOW: usize = 1_000;

/// A stamp, and the last record by then.
#[derive(Debug, Clone, Copy)]
struct OpenStamp {
    stamp: Stamp,
    accepted: Lsn,
}

/// The stamps of one root.
#[derive(Debug, Default)]
struct RootStamps {
    /// The one that is said back next.
    first: Option<OpenStamp>,
    /// The last one that came.
    last: Option<OpenStamp>,
}

/// The stamps that wait.
#[derive(Debug, Default)]
pub(in crate::machine) struct Echoes {
    by_root: BTreeMap<NodeName, RootStamps>,
    /// The era of the process that is known to serve; 0 before the first stamp.
    era: u64,
    /// The time at which that was learnt.
    since: Time,
}

impl Echoes {
    /// The root is not connected any more, or anew.
    pub(in crate::machine) fn forget(&mut self, root: &NodeName) {
        self.by_root.remove(root);
    }
}

impl Uplink {
    /// Takes the stamp of a root that came when the log had got this far; `false` when that root is not connected.
    pub(super) fn take_stamp(&mut self, now: Time, root: &NodeName, stamp: Stamp, accepted: Lsn) -> bool {
        if !self.roots.contains(root) {
            return false;
        }
        let is_known = self.echoes.era == stamp.era;
        if !is_known && (self.echoes.era == 0 || now >= self.echoes.since + ERA_LASTS) {
            (self.echoes.era, self.echoes.since) = (stamp.era, now);
            self.streams_mut().for_each(|stream| stream.begin_era(stamp.era));
            self.ask_unanswered();
        }
        let open = OpenStamp { stamp, accepted };
        let stamps = self.echoes.by_root.entry(root.clone()).or_default();
        match stamps.first {
            None => stamps.first = Some(open),
            Some(_) => stamps.last = Some(open),
        }
        true
    }

    /// Asks about topics for which the store has not answered in its era.
    pub(in crate::machine) fn ask_unanswered(&mut self) {
        self.streams_mut().for_each(|stream| stream.ask_unanswered(ASKED_PER_WINDOW));
    }

    /// Echoes the stamps that can be.
    pub(in crate::machine) fn echo(&mut self, outputs: &mut Outputs) {
        let is_whole = self.complete_to().is_some() && self.streams().all(StreamUplink::is_answered_in_era);
        if !is_whole {
            return;
        }
        let merged = self.live.progress().merged_to();
        let echoes = &mut self.echoes;
        for (root, RootStamps { first, last }) in &mut echoes.by_root {
            let mut echoed = None;
            while let Some(open) = first.take_if(|open| open.accepted <= merged) {
                echoed = Some(open.stamp).filter(|stamp| stamp.era == echoes.era).or(echoed);
                *first = last.take();
            }
            if let Some(stamp) = echoed {
                outputs.push(Output::Echo { root: root.clone(), stamp });
            }
        }
    }
}

#[cfg(test)]
#[path = "echoes_tests.rs"]
mod tests;
