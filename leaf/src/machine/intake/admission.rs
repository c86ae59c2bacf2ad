//! Decides how much the leaf can take at the moment: shedding begins here, before anything is logged.

use crate::machine::LeafMachine;
use crate::machine::context::Context;
use crate::machine::context::DiskState;
use crate::machine::counters::Counters;
use crate::machine::counters::names::CounterId;
use crate::machine::uplink::Uplink;
use countree_common::limits;
use countree_common::wire::producer::{BusyReason, EventError, EventErrorCode};

/// From [`limits::TOTAL_MAX`] to the end of what the store can hold: what all leaves together may hold unmerged.
const ROOM_ABOVE: u64 = i64::MAX.abs_diff(limits::TOTAL_MAX);

/// Decides by the state of the parts that hold events.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) struct Admission<'a> {
    pub(in crate::machine) context: &'a Context,
    pub(in crate::machine) counters: &'a Counters,
    pub(in crate::machine) uplink: &'a Uplink,
}

impl Admission<'_> {
    /// The reason why events of this Σ|δ| can't be taken at the moment, if there is one.
    pub(in crate::machine) fn busy(self, volume: u64) -> Option<BusyReason> {
        let Context { config, members, log, disk, .. } = self.context;
        let unmerged = self.unmerged_volume().saturating_add(volume);
        if *disk == DiskState::Failed {
            Some(BusyReason::DiskFailed)
        } else if *disk == DiskState::Full || log.bytes() >= config.log_bytes {
            Some(BusyReason::DiskFull)
        } else if log.waiting_bytes() >= limits::LOG_QUEUE_BYTES as u64 || unmerged > self.unmerged_max() {
            Some(BusyReason::Overload)
        } else if members.listed_since().is_none() || members.is_superseded() {
            Some(BusyReason::Joining)
        } else {
            None
        }
    }

    /// Refuses events that could take a total past its limit, by what is merged and what this leaf holds. What other
    /// leaves hold unmerged has the range between [`limits::TOTAL_MAX`] and 2^63 for itself.
    pub(in crate::machine) fn check_totals<I: Iterator<Item = (CounterId, i64)>>(
        self,
        volume: u64,
        events: impl Fn() -> I,
    ) -> Result<(), EventError> {
        let overflow = |index: usize| EventError {
            code: EventErrorCode::TotalOverflow,
            message: format!("the total would pass {}, the largest that is kept", limits::TOTAL_MAX),
            index: u32::try_from(index).ok(),
        };
        if volume > self.unmerged_max() {
            return Err(overflow(0));
        }
        let near_limit = self.counters.near_limit();
        if near_limit.is_empty() {
            return Ok(());
        }
        let reach = self.unmerged_volume().saturating_add(volume);
        for (index, (counter, delta)) in events().enumerate() {
            let Some(total) = near_limit.total(counter) else { continue };
            let is_outward = total.signum() == delta.signum();
            if is_outward && total.unsigned_abs().saturating_add(reach) > limits::TOTAL_MAX.unsigned_abs() {
                return Err(overflow(index));
            }
        }
        Ok(())
    }

    /// The most that this leaf may hold unmerged: its share of the room that leaves need, since none of them knows what
    /// the others hold.
    fn unmerged_max(self) -> u64 {
        limits::UNMERGED_MAX.unsigned_abs().min(ROOM_ABOVE / self.context.members.leaves() as u64)
    }

    /// Σ|δ| that is accepted and not merged: no sum, and so no total, can be further off than this.
    fn unmerged_volume(self) -> u64 {
        self.uplink.volume().saturating_add(self.counters.volume())
    }
}

impl LeafMachine {
    /// Decides by the machine as it is.
    pub(in crate::machine) fn admission(&self) -> Admission<'_> {
        Admission { context: &self.context, counters: &self.counters, uplink: &self.uplink }
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
