//! Computes the Redis Cluster slot of a hash tag, and finds a tag for given slots.

use std::ops::RangeInclusive;

const SLOTS: u16 = 16_384;
/// A tag for a single slot is found in some ten times as many tries as there are slots, nearly always.
const TRIES: u32 = 20 * SLOTS as u32;

/// CRC16 (XMODEM), as the specification of Redis Cluster has it.
fn slot(tag: &str) -> u16 {
    const POLYNOMIAL: u16 = 0x1021;
    let crc = tag.bytes().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL }
        })
    });
    crc % SLOTS
}

/// Whether the tag's slot is one of these.
pub(super) fn holds(slots: &[RangeInclusive<u16>], tag: &str) -> bool {
    let slot = slot(tag);
    slots.iter().any(|range| range.contains(&slot))
}

/// A tag with one of these slots.
pub(super) fn tag_in(slots: &[RangeInclusive<u16>]) -> Option<String> {
    (0..TRIES).map(|n| n.to_string()).find(|tag| holds(slots, tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // From CLUSTER KEYSLOT.
        for (tag, expected) in [("123456789", 12739), ("foo", 12182), ("somekey", 11058), ("", 0)] {
            assert_eq!(slot(tag), expected, "{tag}");
        }
    }

    #[test]
    fn every_slot_has_a_tag() {
        for slots in [[0..=0], [16_383..=16_383], [100..=200]] {
            assert!(tag_in(&slots).is_some_and(|tag| holds(&slots, &tag)));
        }
        assert_eq!(tag_in(&[]), None);
    }
}
