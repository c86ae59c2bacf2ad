//! Lets go of old streams that are wholly merged: hands their ledgers to the registry and, once it has shown that it
//! kept them, deletes their logs.

use super::Parts;
use crate::log::carried::Carried;
use crate::log::record::Record;
use crate::machine::calls::{Asker, Callee};
use crate::machine::context::Context;
use crate::machine::output::Output;
use countree_common::cluster::NodeName;
use countree_common::ledger::{Ledger, StreamLedger};
use countree_common::stream::{Lsn, StreamId};
use countree_common::time::{Now, Time};
use countree_common::wire::rpc::{Reply, Request};
use std::collections::BTreeMap;
use std::time::Duration;

/// The time that a store which does not call its writes durable is given to make them so: twice the second that Redis
/// lets pass between two fsyncs.
pub(super) const SETTLING: Duration = Duration::from_secs(2);

/// Ledgers of streams without a log that a leaf remembers; no fewer than the registry keeps apart.
const LEDGERS_REMEMBERED: usize = 16;

/// The streams that are about to go, and the last that went.
#[derive(Debug, Default)]
pub(super) struct Retirement {
    /// The end of the first checkpoint, which carries on what old streams say of sessions and keys.
    carried_at: Lsn,
    /// The time at which the registry took each ledger over; `None` while it is asked to.
    handed_over: BTreeMap<StreamId, Option<Time>>,
    is_asking: bool,
    /// Ledgers of streams without a log, by incarnation. The registry keeps them for good, unless it falls back.
    remembered: BTreeMap<u64, Ledger>,
    /// The last record that holds them; no log goes before it is on disk.
    remembered_at: Lsn,
}

impl Retirement {
    /// Begins with the ledgers that earlier streams remembered. Nothing retires before [`Retirement::begin`].
    pub(super) fn carried(carried: &Carried) -> Self {
        let remembered = carried.retired.clone();
        let mut retirement = Self { carried_at: Lsn::MAX, remembered, ..Self::default() };
        retirement.forget_oldest();
        retirement
    }

    /// The first checkpoint ends with this record.
    pub(super) fn begin(&mut self, carried_at: Lsn) {
        self.carried_at = carried_at;
    }

    fn forget_oldest(&mut self) {
        while self.remembered.len() > LEDGERS_REMEMBERED {
            self.remembered.pop_first();
        }
    }

    /// The ledgers that the next segment has to carry on.
    pub(super) fn remembered(&self) -> Vec<(u64, Ledger)> {
        self.remembered.iter().map(|(incarnation, ledger)| (*incarnation, *ledger)).collect()
    }

    /// Hands over old streams that are wholly merged, once the store can't forget that any more and their
    /// sessions and keys are on disk in the live one.
    pub(super) fn end_window(&mut self, now: Now, parts: &mut Parts<'_>) {
        if parts.context.log.durable() < self.carried_at || !parts.uplink.has_root() {
            return;
        }
        if self.handed_over.is_empty() {
            self.hand_over_settled(parts);
        }
        if !self.is_asking && !self.rested(now, parts.context).is_empty() {
            self.is_asking = true;
            parts.context.call(Asker::Retirement, Callee::Root, Request::Ledgers);
        }
    }

    /// Hands old streams over in their order, one request at a time: the registry takes the logs before the first of a
    /// request for gone.
    fn hand_over_settled(&mut self, parts: &mut Parts<'_>) {
        let due = parts.uplink.old().values().take_while(|uplink| uplink.is_settled());
        let streams: Vec<StreamId> = due.map(|uplink| uplink.stream().clone()).collect();
        if streams.is_empty() {
            return;
        }
        let ledgers: Vec<_> = parts.ledgers().into_iter().filter(|l| streams.contains(&l.stream)).collect();
        self.remember(&ledgers, parts.context);
        self.handed_over.extend(streams.into_iter().map(|stream| (stream, None)));
        parts.context.outputs.push(Output::Retire(ledgers));
    }

    /// Keeps ledgers beyond their logs.
    fn remember(&mut self, ledgers: &[StreamLedger], context: &mut Context) {
        let of = |of: &StreamLedger| (of.stream.incarnation, of.ledger);
        let news: Vec<_> =
            ledgers.iter().map(of).filter(|(i, l)| self.remembered.get(i) != Some(l)).collect();
        if !news.is_empty()
            && let Some(lsn) = context.log(&Record::Retired(news.clone()))
        {
            self.remembered.extend(news);
            self.remembered_at = lsn;
        }
        self.forget_oldest();
    }

    /// The ledgers of all streams of a leaf: those that have a log `here`, and those that it remembers.
    pub(super) fn known_ledgers(&self, leaf: &NodeName, here: Vec<StreamLedger>) -> Vec<StreamLedger> {
        let retired = self.remembered.iter().map(|(incarnation, ledger)| StreamLedger {
            stream: StreamId { leaf: leaf.clone(), incarnation: *incarnation },
            sealed: true,
            ledger: *ledger,
        });
        let is_gone = |of: &StreamLedger| here.iter().all(|here| here.stream != of.stream);
        let mut ledgers: Vec<_> = retired.filter(is_gone).collect();
        ledgers.extend(here);
        ledgers
    }

    /// Streams whose ledgers the registry must have for good by now.
    fn rested(&self, now: Now, context: &Context) -> Vec<StreamId> {
        if context.log.durable() < self.remembered_at {
            return Vec::new();
        }
        let has_rested = |since: &Option<Time>| since.is_some_and(|since| now.mono >= since + SETTLING);
        let streams = self.handed_over.iter().filter(|(_, since)| has_rested(since));
        streams.map(|(stream, _)| stream.clone()).collect()
    }

    /// The registry has taken over the ledger of a drained stream.
    pub(super) fn handle_retired(&mut self, now: Now, stream: &StreamId) {
        if let Some(since) = self.handed_over.get_mut(stream) {
            *since = Some(now.mono);
        }
    }

    /// The registry was not reached; it is tried again with the next window.
    pub(super) fn handle_failed(&mut self) {
        self.handed_over.retain(|_, since| since.is_some());
    }

    /// The registry has said what ledgers it has, or nothing. Those that it forgot are handed over again.
    pub(super) fn handle_reply(&mut self, now: Now, reply: Option<Reply>, parts: &mut Parts<'_>) {
        self.is_asking = false;
        let Some(Reply::Ledgers(kept)) = reply else { return };
        for stream in self.rested(now, parts.context) {
            self.handed_over.remove(&stream);
            let of: Vec<_> = parts.ledgers().into_iter().filter(|l| l.stream == stream).collect();
            if are_kept(&of, &kept) && parts.uplink.remove_old(&stream) {
                parts.context.outputs.push(Output::DropStream(stream));
            }
        }
    }
}

/// Whether the registry has the ledgers of these streams of one leaf; it keeps the oldest as one sum.
pub(super) fn are_kept<'a>(of: impl IntoIterator<Item = &'a StreamLedger>, kept: &[StreamLedger]) -> bool {
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

#[cfg(test)]
#[path = "retirement_tests.rs"]
mod tests;
