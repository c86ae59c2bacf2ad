//! The cluster's registry, as far as one leaf knows it.

use countree_common::ledger::StreamLedger;
use countree_common::session::{Seq, SessionId};
use countree_common::stream::StreamId;
use countree_common::wire::rpc::{Reply, Request, SessionTable};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Registry {
    /// The last batch of each session that the leaf has ended.
    published: BTreeMap<SessionId, Seq>,
    retired: BTreeMap<StreamId, StreamLedger>,
}

impl Registry {
    /// Takes over the ledger of a stream that is wholly merged.
    pub(super) fn retire(&mut self, ledger: StreamLedger) {
        assert_eq!(ledger.ledger.in_flight, 0, "{ledger:?}");
        self.retired.insert(ledger.stream.clone(), ledger);
    }

    pub(super) fn ledgers(&self) -> impl Iterator<Item = &StreamLedger> {
        self.retired.values()
    }

    /// Answers a root's part in a call of the leaf.
    pub(super) fn answer(&mut self, request: Request, is_durable: bool) -> Reply {
        match request {
            Request::Publish(SessionTable { sessions, .. }) => {
                self.published.extend(sessions);
                Reply::Published { durable: is_durable }
            }
            Request::SessionEnd { session, .. } => Reply::SessionEnd(self.published.get(&session).copied()),
            Request::Retire(ledgers) => {
                ledgers.into_iter().for_each(|ledger| self.retire(ledger));
                Reply::Done
            }
            Request::Ledgers => Reply::Ledgers(self.retired.values().cloned().collect()),
            Request::Drained { .. } => Reply::Drained { keeps_keys: true },
            other => panic!("nobody wants to know {other:?}"),
        }
    }
}
