//! Begins log segments, each with a checkpoint of what must be known of those before it.

use super::LeafMachine;
use crate::log::record::{Checkpoint, Record};
use countree_common::wire::codec::CodecError;

impl LeafMachine {
    /// Begins the next segment before a record, if the last one is full.
    pub(super) fn begin_segment_if_full(&mut self) {
        if self.context.log.is_segment_full()
            && let Err(e) = self.begin_segment()
        {
            self.context.fail_log(&e);
        }
    }

    pub(super) fn begin_segment(&mut self) -> Result<(), CodecError> {
        let checkpoint = Checkpoint {
            leaf: Some(self.context.config.leaf.clone()),
            accepted: self.uplink.live().accepted(),
            sessions: self.intake.sessions().listed(),
            key_records: 0,
        };
        let keys: Vec<_> = self.idempotency.keys().listed().map(|(_, of)| of).collect();
        self.context.log.begin_segment(checkpoint, &keys)?;
        match self.leaving.remembered() {
            ledgers if ledgers.is_empty() => Ok(()),
            ledgers => self.context.log.carry(&Record::Retired(ledgers)),
        }
    }
}

#[cfg(test)]
#[path = "segments_tests.rs"]
mod tests;
