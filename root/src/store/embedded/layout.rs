//! The tables of the file.

use redb::TableDefinition;
use std::ops::RangeInclusive;

/// The number of this layout.
pub(super) const FORMAT: &str = "3";

/// `cluster`, `format` and `identity`; `copy` while a copy into this file is under way.
pub(super) const ABOUT: TableDefinition<'_, &str, &str> = TableDefinition::new("about");
/// Topic → (version number, era, turn, topic number). A turn is a topic's place in [`TURNS`].
pub(super) const TOPICS: TableDefinition<'_, &str, (u64, u64, u64, u32)> = TableDefinition::new("topics");
/// Topic → events that are forgotten. A topic that is here and has no counters is a tombstone, and has no turn.
pub(super) const FORGOTTEN: TableDefinition<'_, &str, u64> = TableDefinition::new("forgotten");
/// Turn → topic: the last merged has the highest.
pub(super) const TURNS: TableDefinition<'_, u64, &str> = TableDefinition::new("turns");
/// (Topic, stream) → (last merged LSN, events).
pub(super) const STREAMS: TableDefinition<'_, (&str, &str), (u64, u64)> = TableDefinition::new("streams");
/// [Topic number and counter number](place) → [name](super::name). A topic's counters are numbered from 0, without
/// gaps.
pub(super) const NAMES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("names");
/// [Topic number and block number](place) → the totals of a [block](super::blocks), by counter number.
pub(super) const TOTALS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("totals");
/// Revision and text, under the empty key.
pub(super) const REGISTRY: TableDefinition<'_, &str, (u64, &str)> = TableDefinition::new("registry");

/// `topics`: the number that the next new topic gets. A number is never given again, not even when its topic is gone:
/// what was written under it could be taken for another topic's.
pub(super) const NEXT: TableDefinition<'_, &str, u32> = TableDefinition::new("next");
/// The key of that number.
pub(super) const NEXT_TOPIC: &str = "topics";

/// `highest`: at least as high as every era in the file.
pub(super) const ERAS: TableDefinition<'_, &str, u64> = TableDefinition::new("eras");
/// The key of that era.
pub(super) const HIGHEST_ERA: &str = "highest";

/// The key of one of a topic's counters or blocks.
pub(super) fn place(topic_number: u32, number: u32) -> u64 {
    u64::from(topic_number) << 32 | u64::from(number)
}

/// The keys of all of a topic's counters or blocks, in the order of their numbers.
pub(super) fn of_topic(topic_number: u32) -> RangeInclusive<u64> {
    place(topic_number, 0)..=place(topic_number, u32::MAX)
}
