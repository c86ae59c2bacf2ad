//! What the leaf can take at the moment, and why not more: shedding begins here, before anything is logged.

use crate::machine::uplink::stream::Uplink;
use crate::machine::{DiskState, LeafMachine};
use countree_common::limits;
use countree_common::wire::producer::BusyReason;

/// From [`limits::TOTAL_MAX`] to the end of what the store can hold: what all leaves together may hold unmerged.
const ROOM_ABOVE: u64 = i64::MAX.abs_diff(limits::TOTAL_MAX);

impl LeafMachine {
    /// Why events of this Σ|δ| can't be taken at the moment.
    pub(in crate::machine) fn busy(&self, volume: u64) -> Option<BusyReason> {
        let unmerged = self.unmerged_volume().saturating_add(volume);
        if self.context.disk == DiskState::Failed {
            Some(BusyReason::DiskFailed)
        } else if self.context.disk == DiskState::Full
            || self.context.log.bytes() >= self.context.config.log_bytes
        {
            Some(BusyReason::DiskFull)
        } else if self.context.log.waiting_bytes() >= limits::LOG_QUEUE_BYTES as u64
            || unmerged > self.unmerged_max()
        {
            Some(BusyReason::Overload)
        } else if self.context.members.listed_since().is_none() || self.context.members.is_superseded() {
            Some(BusyReason::Joining)
        } else {
            None
        }
    }

    /// The most that this leaf may hold unmerged: its share of the room that leaves need, since none of them knows what
    /// the others hold.
    pub(in crate::machine) fn unmerged_max(&self) -> u64 {
        let leaves = self.context.members.leaves() as u64;
        limits::UNMERGED_MAX.unsigned_abs().min(ROOM_ABOVE / leaves)
    }

    /// Σ|δ| that is accepted and not merged: no sum, and so no total, can be further off than this.
    pub(in crate::machine) fn unmerged_volume(&self) -> u64 {
        let frozen = self.frozen.iter().fold(0u64, |v, f| v.saturating_add(f.window.volume));
        self.uplinks()
            .map(Uplink::volume)
            .fold(self.table.volume().saturating_add(frozen), u64::saturating_add)
    }
}
