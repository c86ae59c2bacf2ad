//! Reports on the leaf: its ledgers, its progress, its load, and why it can't work.

use super::LeafMachine;
use super::context::DiskState;
use super::context::{Context, Phase};
use super::counters::Counters;
use super::uplink::Uplink;
use super::uplink::stream::StreamUplink;
use countree_common::ledger::StreamLedger;
use countree_common::stream::StreamId;
use countree_common::time::WallMs;
use countree_common::wire::rpc::{NodeStats, StreamPositions, StreamProgress};
use std::time::Duration;

/// The ledgers of all streams that have a log.
pub(super) fn ledgers(counters: &Counters, uplink: &Uplink, context: &Context) -> Vec<StreamLedger> {
    let ledger = |uplink: &StreamUplink, sealed, open| StreamLedger {
        stream: uplink.stream().clone(),
        sealed,
        ledger: uplink.ledger(open),
    };
    let old = uplink.old().values().map(|uplink| ledger(uplink, true, 0));
    let is_sealed = context.phase == Phase::Sealed;
    old.chain([ledger(uplink.live(), is_sealed, counters.events())]).collect()
}

/// Whether everything that was accepted is merged, and every answer given.
pub(super) fn is_drained(counters: &Counters, uplink: &Uplink, context: &Context) -> bool {
    counters.is_empty() && context.acks.is_empty() && uplink.is_idle()
}

impl LeafMachine {
    /// The ledgers of all streams that this leaf has a log of.
    pub fn ledgers(&self) -> Vec<StreamLedger> {
        ledgers(&self.counters, &self.uplink, &self.context)
    }

    /// The ledgers of all streams that this leaf knows, those without a log included.
    pub fn known_ledgers(&self) -> Vec<StreamLedger> {
        self.leaving.known_ledgers(&self.context.config.leaf, self.ledgers())
    }

    /// Whether everything that was accepted is merged, and every answer given.
    pub fn is_drained(&self) -> bool {
        is_drained(&self.counters, &self.uplink, &self.context)
    }

    /// The positions that a stream has reached; `None` when there is no log of it here.
    pub fn positions(&self, stream: &StreamId) -> Option<StreamPositions> {
        if stream == self.uplink.live().stream() {
            return Some(
                self.uplink.live().positions(self.context.log.appended(), self.context.log.durable()),
            );
        }
        let old = self.uplink.old().get(stream)?;
        let end = old.sealed_at().unwrap_or_default();
        Some(old.positions(end, end))
    }

    /// The progress of the live stream, for the registry to remember.
    pub fn reached(&self) -> StreamProgress {
        let ledger = self.ledgers().pop().map(|live| live.ledger).unwrap_or_default();
        StreamProgress { last: self.context.log.durable(), ledger }
    }

    /// Load, lag and size, for the registry and for people.
    pub fn stats(&self, now: WallMs) -> NodeStats {
        let complete_to = self.uplink.complete_to().unwrap_or_default().max(self.context.clocks.began());
        let lag = if self.is_drained() { Duration::ZERO } else { now.since(complete_to) };
        NodeStats {
            events_per_s: self.counters.rates().events_per_s,
            lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
            connections: self.intake.connections() as u64,
            entries: self.counters.names().counters() as u64,
            log_bytes: self.context.log.bytes(),
            streams: self.uplink.old().keys().chain([self.uplink.live().stream()]).cloned().collect(),
            hot_items: self.counters.rates().hot_items.clone(),
            capacity: self.context.config.capacity as f64,
            trouble: self.trouble(),
        }
    }

    /// The number of merges after which the store's count of this leaf's events was not the leaf's own. Anything but 0
    /// is a bug.
    pub fn imbalances(&self) -> u64 {
        self.uplink.imbalances()
    }

    /// The reason why it can't do its work right now, if there is one.
    pub fn trouble(&self) -> Option<String> {
        match (self.context.disk, self.uplink.has_root()) {
            (DiskState::Failed, _) => {
                Some("the log could not be written: restart the leaf once the disk is sound".into())
            }
            (DiskState::Full, _) => {
                Some("the disk is full: make room, and the leaf goes on by itself".into())
            }
            _ if self.context.members.is_superseded() => {
                Some("another start under this leaf's name has joined: this one takes nothing more".into())
            }
            (DiskState::Works, false) => Some("no root is connected: events are logged and wait".into()),
            (DiskState::Works, true) if self.context.is_leaving() => Some("the leaf is leaving".into()),
            (DiskState::Works, true) => None,
        }
    }
}
