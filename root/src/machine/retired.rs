//! The ledgers of leaf streams whose logs are gone. The audit needs them for good; their number must not grow.

use countree_common::cluster::NodeName;
use countree_common::ledger::{Ledger, StreamLedger};
use countree_common::stream::StreamId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Retired streams of one leaf that are kept apart; older ones are one sum, shown as incarnation 0.
pub const KEPT_APART: usize = 16;
/// The same where the leaf still has the logs of older ones. Past it an audit counts those twice until the logs are
/// gone: that many restarts have to fall into one retention.
pub const KEPT_APART_MOST: usize = 1_024;

/// One leaf's retired streams.
///
/// A leaf may list a stream that is retired, and an audit knows it for the same by its name. What is folded has no name:
/// only streams whose logs are gone may be. Leaves retire in order, so the logs before the first that they name are gone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RetiredStreams {
    streams: BTreeMap<u64, Ledger>,
    folded: Ledger,
    folded_to: u64,
    /// What logs held that were given up, by what was last heard of them.
    #[serde(default)]
    given_up: Ledger,
    /// Events that the store was found to lack, of streams that are retired or not yet. What is lost of those that are
    /// one sum stands under 0.
    #[serde(default)]
    lost: BTreeMap<u64, u64>,
}

impl RetiredStreams {
    /// Takes a stream's last ledger; returns whether that was news.
    pub fn retire(&mut self, incarnation: u64, ledger: Ledger) -> bool {
        if incarnation <= self.folded_to || self.streams.get(&incarnation) == Some(&ledger) {
            return false;
        }
        self.streams.insert(incarnation, ledger);
        true
    }

    /// Adds what a log held that is given up.
    pub fn declare(&mut self, ledger: Ledger) {
        self.given_up += ledger;
    }

    /// Whether logs of the leaf were given up: documents may hold more of them than was heard.
    pub fn has_given_up(&self) -> bool {
        self.given_up != Ledger::default()
    }

    /// The leaf has no log before that of `kept_from`.
    pub fn fold(&mut self, kept_from: u64) {
        let is_over = |streams: &BTreeMap<u64, Ledger>| {
            let is_gone = streams.first_key_value().is_some_and(|(oldest, _)| *oldest < kept_from);
            streams.len() > if is_gone { KEPT_APART } else { KEPT_APART_MOST }
        };
        while is_over(&self.streams) {
            let Some((oldest, ledger)) = self.streams.pop_first() else { break };
            self.folded += ledger;
            self.folded_to = oldest;
            if let Some(lost) = self.lost.remove(&oldest) {
                *self.lost.entry(0).or_default() += lost;
            }
        }
    }

    /// So many of a stream's merged events are not in the store any more; returns whether that was news.
    pub fn declare_lost(&mut self, incarnation: u64, events: u64) -> bool {
        let before =
            if events == 0 { self.lost.remove(&incarnation) } else { self.lost.insert(incarnation, events) };
        before.unwrap_or_default() != events
    }

    /// What the store lacks, by incarnation; see [`ledgers`](Self::ledgers).
    pub fn lost(&self) -> impl Iterator<Item = (u64, u64)> {
        self.lost.iter().map(|(incarnation, events)| (*incarnation, *events))
    }

    /// The streams up to this one are one sum; 0 for none.
    pub fn folded_to(&self) -> u64 {
        self.folded_to
    }

    /// The ledgers as the leaf gave them, for the audit; incarnation 0 stands for those that are one
    /// sum, with what was given up.
    pub fn ledgers<'a>(&'a self, leaf: &'a NodeName) -> impl Iterator<Item = StreamLedger> + 'a {
        let mut sum = self.folded;
        sum += self.given_up;
        let folded = (sum != Ledger::default() || self.folded_to > 0).then_some((0, sum));
        let apart = self.streams.iter().map(|(incarnation, ledger)| (*incarnation, *ledger));
        folded.into_iter().chain(apart).map(move |(incarnation, ledger)| StreamLedger {
            stream: StreamId { leaf: leaf.clone(), incarnation },
            sealed: true,
            ledger,
        })
    }
}
