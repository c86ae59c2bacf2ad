//! The ledgers of leaf streams whose logs are gone. The audit needs them for good; their number must not grow.

use countree_common::cluster::NodeName;
use countree_common::ledger::{Ledger, StreamLedger};
use countree_common::stream::StreamId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Retired streams of one leaf that are kept apart; older ones are one sum, shown as incarnation 0.
pub const KEPT_APART: usize = 16;

/// One leaf's retired streams.
///
/// A stream that arrives when later ones have been folded already can't be told from one that was folded
/// itself, and is taken for that: [`KEPT_APART`] restarts are the time that a stream has to retire.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RetiredStreams {
    streams: BTreeMap<u64, Ledger>,
    folded: Ledger,
    folded_to: u64,
}

impl RetiredStreams {
    /// Takes a stream's last ledger; returns whether that was news.
    pub fn retire(&mut self, incarnation: u64, ledger: Ledger) -> bool {
        if incarnation <= self.folded_to || self.streams.get(&incarnation) == Some(&ledger) {
            return false;
        }
        self.streams.insert(incarnation, ledger);
        while self.streams.len() > KEPT_APART {
            let Some((oldest, ledger)) = self.streams.pop_first() else { break };
            self.folded += ledger;
            self.folded_to = oldest;
        }
        true
    }

    /// The ledgers, for the audit.
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
