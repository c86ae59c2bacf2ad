//! Reads back what the log of a test holds.

use super::Rig;
use crate::log::record::Record;
use crate::log::replay::Replay;
use crate::log::segment;
use countree_common::key::Counter;

/// Sums the events of a counter in the log, each segment read by itself.
pub(crate) fn logged(rig: &Rig, wanted: &Counter) -> i64 {
    let mut sum = 0;
    for (first, bytes) in rig.disk.streams.values().flatten() {
        let mut replay = Replay::default();
        let visit = |lsn, record: Record<'_>| {
            replay.events(lsn, &record, |k, d| sum += if k.counter == *wanted { d } else { 0 })
        };
        segment::read(bytes, *first, true, visit).unwrap();
    }
    sum
}
