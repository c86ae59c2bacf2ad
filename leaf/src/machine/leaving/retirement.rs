//! Old streams that are wholly merged go: first their ledgers to the registry, then, once it has shown that it kept
//! them, their logs.

use crate::log::record::Record;
use crate::log::recovery::Carried;
use crate::machine::calls::{Asker, Callee};
use crate::machine::{LeafMachine, Output};
use countree_common::ledger::{Ledger, StreamLedger};
use countree_common::stream::{Lsn, StreamId};
use countree_common::time::{Now, Time};
use countree_common::wire::rpc::{Reply, Request};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a store that does not call its writes durable is given to make them so: twice the second that Redis
/// lets pass between two fsyncs.
pub(in crate::machine) const SETTLING: Duration = Duration::from_secs(2);

/// Ledgers of streams without a log that a leaf remembers; no fewer than the registry keeps apart.
const LEDGERS_REMEMBERED: usize = 16;

/// The streams that are about to go, and the last that went.
#[derive(Debug, Default)]
pub(in crate::machine) struct Retirement {
    /// When the registry took each ledger over; `None` while it is being told.
    handed_over: BTreeMap<StreamId, Option<Time>>,
    is_asking: bool,
    /// By incarnation. The registry keeps them for good, unless it falls back.
    remembered: BTreeMap<u64, Ledger>,
    /// The last record that says so; no log goes before it is on disk.
    remembered_at: Lsn,
}

impl Retirement {
    /// With the ledgers that earlier streams remembered.
    pub(in crate::machine) fn carried(carried: &Carried) -> Self {
        let mut retirement = Self { remembered: carried.retired.clone(), ..Self::default() };
        retirement.forget_oldest();
        retirement
    }

    fn forget_oldest(&mut self) {
        while self.remembered.len() > LEDGERS_REMEMBERED {
            self.remembered.pop_first();
        }
    }

    /// The ledgers that the next segment has to carry on.
    pub(in crate::machine) fn remembered(&self) -> Vec<(u64, Ledger)> {
        self.remembered.iter().map(|(incarnation, ledger)| (*incarnation, *ledger)).collect()
    }
}

/// Whether the registry has the ledgers of these streams of one leaf; its oldest are one sum.
pub(in crate::machine) fn are_kept<'a>(
    of: impl IntoIterator<Item = &'a StreamLedger>,
    kept: &[StreamLedger],
) -> bool {
    of.into_iter().all(|of| {
        let apart = kept.iter().filter(|k| k.stream.leaf == of.stream.leaf && k.stream.incarnation > 0);
        let apart: BTreeMap<u64, Ledger> = apart.map(|k| (k.stream.incarnation, k.ledger)).collect();
        let oldest = apart.keys().next().copied();
        match apart.get(&of.stream.incarnation) {
            Some(ledger) => *ledger == of.ledger,
            None => oldest.is_some_and(|oldest| of.stream.incarnation < oldest),
        }
    })
}

impl LeafMachine {
    /// Hands over old streams that are wholly merged, once the store can't forget that any more and their
    /// sessions and keys are on disk in the live one.
    pub(in crate::machine) fn retire_settled(&mut self, now: Now) {
        if self.context.log.durable() < self.carried_at || !self.uplink.has_root() {
            return;
        }
        if self.retirement.handed_over.is_empty() {
            self.hand_over_settled();
        }
        if !self.retirement.is_asking && !self.rested(now).is_empty() {
            self.retirement.is_asking = true;
            self.context.call(Asker::Retirement, Callee::Root, Request::Ledgers);
        }
    }

    /// In their order, and one request at a time: the registry takes the logs before the first of these for gone.
    fn hand_over_settled(&mut self) {
        let due = self.uplink.old().values().take_while(|u| u.is_settled());
        let streams: Vec<StreamId> = due.map(|uplink| uplink.stream().clone()).collect();
        if streams.is_empty() {
            return;
        }
        let ledgers: Vec<_> = self.ledgers().into_iter().filter(|l| streams.contains(&l.stream)).collect();
        self.remember_ledgers(&ledgers);
        self.retirement.handed_over.extend(streams.into_iter().map(|stream| (stream, None)));
        self.context.outputs.push(Output::Retire(ledgers));
    }

    /// Keeps ledgers beyond their logs.
    fn remember_ledgers(&mut self, ledgers: &[StreamLedger]) {
        let of = |of: &StreamLedger| (of.stream.incarnation, of.ledger);
        let news: Vec<_> =
            ledgers.iter().map(of).filter(|(i, l)| self.retirement.remembered.get(i) != Some(l)).collect();
        if !news.is_empty()
            && let Some(lsn) = self.context.log(&Record::Retired(news.clone()))
        {
            self.retirement.remembered.extend(news);
            self.retirement.remembered_at = lsn;
        }
        self.retirement.forget_oldest();
    }

    /// The ledgers of all streams that this leaf knows, those without a log included.
    pub fn known_ledgers(&self) -> Vec<StreamLedger> {
        let here = self.ledgers();
        let retired = self.retirement.remembered.iter().map(|(incarnation, ledger)| StreamLedger {
            stream: StreamId { leaf: self.context.config.leaf.clone(), incarnation: *incarnation },
            sealed: true,
            ledger: *ledger,
        });
        let is_gone = |of: &StreamLedger| here.iter().all(|here| here.stream != of.stream);
        let mut ledgers: Vec<_> = retired.filter(is_gone).collect();
        ledgers.extend(here.iter().cloned());
        ledgers
    }

    /// Streams whose ledgers the registry must have for good by now.
    fn rested(&self, now: Now) -> Vec<StreamId> {
        if self.context.log.durable() < self.retirement.remembered_at {
            return Vec::new();
        }
        let has_rested = |since: &Option<Time>| since.is_some_and(|since| now.mono >= since + SETTLING);
        let streams = self.retirement.handed_over.iter().filter(|(_, since)| has_rested(since));
        streams.map(|(stream, _)| stream.clone()).collect()
    }

    /// The registry has taken over the ledger of a drained stream.
    pub fn handle_retired(&mut self, now: Now, stream: &StreamId) {
        if let Some(since) = self.retirement.handed_over.get_mut(stream) {
            *since = Some(now.mono);
        }
    }

    /// The registry could not be told; it is tried again with the next window.
    pub fn handle_retire_failed(&mut self) {
        self.retirement.handed_over.retain(|_, since| since.is_some());
    }

    /// The registry has said what ledgers it has, or nothing. Those that it forgot are handed over again.
    pub(in crate::machine) fn retirement_answered(&mut self, now: Now, reply: Option<Reply>) {
        self.retirement.is_asking = false;
        let Some(Reply::Ledgers(kept)) = reply else { return };
        for stream in self.rested(now) {
            self.retirement.handed_over.remove(&stream);
            let of: Vec<_> = self.ledgers().into_iter().filter(|l| l.stream == stream).collect();
            if are_kept(&of, &kept) && self.uplink.remove_old(&stream) {
                self.context.outputs.push(Output::DropStream(stream));
            }
        }
    }
}

#[cfg(test)]
#[path = "retirement_tests.rs"]
mod tests;
