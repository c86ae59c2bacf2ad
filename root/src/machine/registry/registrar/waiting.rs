//! Questions that wait for the store.

use super::ask::{Ask, AskId, Reading};
use countree_common::cluster::{Node, NodeName};
use countree_common::wire::rpc::StreamProgress;
use std::collections::BTreeMap;

/// Questions that wait for the store, above which they are refused; and those on their way to the registrar,
/// above which the askers wait.
pub const ASKS_QUEUED: usize = 4_096;

/// Leases to be renewed, with what leaves say of their streams.
pub(super) type Renewals = BTreeMap<NodeName, (Node, Option<StreamProgress>)>;

/// Questions that wait for the next write or load.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Questions that wait for a write, in the order of their arrival.
    pub(super) asks: Vec<(AskId, Ask)>,
    /// Questions that wait for a load.
    pub(super) readers: Vec<(AskId, Reading)>,
    pub(super) renewals: Renewals,
}

impl Waiting {
    /// Whether no more questions are taken.
    pub(super) fn is_full(&self) -> bool {
        self.asks.len() + self.readers.len() >= ASKS_QUEUED
    }

    /// Takes all questions out, those for a write first.
    pub(super) fn take_all(&mut self) -> Vec<AskId> {
        let asks = std::mem::take(&mut self.asks).into_iter().map(|(ask, _)| ask);
        let readers = std::mem::take(&mut self.readers).into_iter().map(|(ask, _)| ask);
        asks.chain(readers).collect()
    }

    /// Puts back what was in a write that another root's write came before. It stays before what has come since.
    pub(super) fn put_back(&mut self, mut asks: Vec<(AskId, Ask)>, renewals: Renewals) {
        asks.append(&mut self.asks);
        self.asks = asks;
        for (name, node) in renewals {
            self.renewals.entry(name).or_insert(node);
        }
    }
}
