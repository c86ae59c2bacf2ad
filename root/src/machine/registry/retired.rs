//! The ledgers of leaf streams whose logs are gone. The audit needs them for good; their number must not grow.

use super::open_streams::Heard;
use countree_common::cluster::NodeName;
use countree_common::ledger::{Ledger, StreamLedger};
use countree_common::stream::StreamId;
use countree_common::time::WallMs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Retired streams of one leaf that are kept apart; older ones are one sum, shown as incarnation 0.
pub const KEPT_APART: usize = 16;
/// The same where the leaf still has the logs of older ones. Past it an audit counts those twice until the logs are
/// gone: that many restarts have to fall into one retention.
pub const KEPT_APART_MOST: usize = 1_024;

/// One leaf's retired streams.
///
/// A leaf may list a stream that is retired, and an audit recognises it by its name. What is folded has no name: only
/// streams whose logs are gone may be. Leaves retire in order, so the logs before the first that they name are gone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RetiredStreams {
    streams: BTreeMap<u64, Ledger>,
    folded: Ledger,
    folded_to: u64,
    /// Streams whose logs were given up, and when they were last heard of: their ledgers are what was heard then, until
    /// the store has been read. Under 0 stand those that are one sum.
    #[serde(default)]
    given_up: BTreeMap<u64, WallMs>,
    /// Events that the store was found to lack, of streams that are retired or not yet. What is lost of those that are
    /// one sum stands under 0.
    #[serde(default)]
    lost: BTreeMap<u64, u64>,
}

impl RetiredStreams {
    /// Takes a stream's last ledger; returns whether that was news.
    pub fn retire(&mut self, incarnation: u64, ledger: Ledger) -> bool {
        let is_known = incarnation <= self.folded_to || self.given_up.contains_key(&incarnation);
        if is_known || self.streams.get(&incarnation) == Some(&ledger) {
            return false;
        }
        self.streams.insert(incarnation, ledger);
        true
    }

    /// The log of a stream is given up, and this is what was last heard of it. One that is known to be wholly merged
    /// stays as it is.
    pub(super) fn give_up(&mut self, Heard { incarnation, at, ledger }: Heard) {
        let known = self.streams.get(&incarnation);
        let is_whole = known.is_some_and(|known| known.accepted >= ledger.accepted);
        if incarnation > self.folded_to && !is_whole {
            self.streams.insert(incarnation, ledger);
            self.given_up.insert(incarnation, at);
        }
    }

    /// The streams whose logs were given up, and when they were last heard of: only documents say how much of them was
    /// merged, and nobody what they took after that.
    pub fn given_up(&self) -> impl Iterator<Item = (u64, WallMs)> {
        self.given_up.iter().map(|(incarnation, at)| (*incarnation, *at))
    }

    /// Notes how many events of a stream whose log was given up documents hold: it had accepted these at least, and
    /// what is missing of all that was heard of is lost.
    pub fn know_held(&mut self, incarnation: u64, held: u64) {
        if !self.given_up.contains_key(&incarnation) {
            return;
        }
        let ledger = match incarnation {
            0 => Some(&mut self.folded),
            _ => self.streams.get_mut(&incarnation),
        };
        if let Some(ledger) = ledger {
            let accepted = ledger.accepted.max(held);
            *ledger = Ledger { accepted, merged: held, in_flight: 0, declared_lost: accepted - held };
            self.lost.remove(&incarnation);
        }
    }

    /// Folds the oldest streams into one sum; the leaf has no log before that of `kept_from`.
    pub fn fold(&mut self, kept_from: u64) {
        let is_over = |streams: &BTreeMap<u64, Ledger>| {
            let is_gone = streams.first_key_value().is_some_and(|(oldest, _)| *oldest < kept_from);
            streams.len() > if is_gone { KEPT_APART } else { KEPT_APART_MOST }
        };
        while is_over(&self.streams) {
            let Some((oldest, ledger)) = self.streams.pop_first() else { break };
            self.folded += ledger;
            self.folded_to = oldest;
            if let Some(at) = self.given_up.remove(&oldest) {
                let first = self.given_up.entry(0).or_insert(at);
                *first = at.min(*first);
            }
            if let Some(lost) = self.lost.remove(&oldest) {
                *self.lost.entry(0).or_default() += lost;
            }
        }
    }

    /// Notes how many of a stream's merged events are not in the store any more; returns whether that was news.
    pub fn declare_lost(&mut self, incarnation: u64, events: u64) -> bool {
        let before =
            if events == 0 { self.lost.remove(&incarnation) } else { self.lost.insert(incarnation, events) };
        before.unwrap_or_default() != events
    }

    /// The events that the store lacks, by incarnation; see [`ledgers`](Self::ledgers).
    pub fn lost(&self) -> impl Iterator<Item = (u64, u64)> {
        self.lost.iter().map(|(incarnation, events)| (*incarnation, *events))
    }

    /// The streams up to this one are one sum; 0 for none.
    pub fn folded_to(&self) -> u64 {
        self.folded_to
    }

    /// The ledgers as the leaf gave them, for the audit; incarnation 0 stands for those that are one sum.
    pub fn ledgers<'a>(&'a self, leaf: &'a NodeName) -> impl Iterator<Item = StreamLedger> + 'a {
        let folded = (self.folded_to > 0).then_some((0, self.folded));
        let apart = self.streams.iter().map(|(incarnation, ledger)| (*incarnation, *ledger));
        folded.into_iter().chain(apart).map(move |(incarnation, ledger)| StreamLedger {
            stream: StreamId { leaf: leaf.clone(), incarnation },
            sealed: true,
            ledger,
        })
    }
}

#[cfg(test)]
#[path = "retired_tests.rs"]
mod tests;
