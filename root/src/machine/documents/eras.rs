//! The era that a store begins with: one for each of its starts.

use countree_common::era::GAP as ERA_GAP;
use countree_common::time::WallMs;

/// The highest era that the clock can give: beyond it is room for hundreds of millions of starts. It is passed in the
/// year 2527.
const BY_CLOCK_MAX: u64 = 1 << 52;
/// The highest era that every reader can hold exactly.
const ERA_MAX: u64 = (1 << 53) - 1;

/// The era by the clock, and by `ids`, which tell two stores apart that start at the same moment.
pub fn by_clock(now: WallMs, ids: u8) -> u64 {
    now.0.saturating_mul(ERA_GAP).saturating_add(ids.into()).min(BY_CLOCK_MAX)
}

/// The era of a start: after every era that the store holds, and, unless the clock has stepped back, after those of a
/// store that was there before it. A random part tells starts of several copies apart.
pub fn of_start(held: u64, now: WallMs, ids: [u8; 3]) -> u64 {
    let [a, b, c] = ids;
    let steps = 1 + u64::from(u16::from_le_bytes([a, b]));
    held.saturating_add(steps * ERA_GAP).max(by_clock(now, c)).min(ERA_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_comes_after_all_that_is_held_and_mostly_after_what_is_not() {
        let now = WallMs(1_800_000_000_000);
        let first = of_start(0, now, [0, 0, 7]);
        assert_eq!(first, 1_800_000_000_000 * 256 + 7);
        assert_eq!(of_start(first, now, [0; 3]), first + ERA_GAP, "the same moment");
        assert_eq!(
            of_start(first, WallMs(0), [2, 0, 0]),
            first + 3 * ERA_GAP,
            "a clock that has stepped back"
        );
        assert!(of_start(0, WallMs(now.0 + 1), [0; 3]) > first, "a wiped store");
        assert_ne!(of_start(0, now, [0, 0, 8]), first, "two copies at the same moment");
        assert!(of_start(u64::MAX, WallMs(u64::MAX), [255; 3]) < 1 << 53);
        assert!(of_start(BY_CLOCK_MAX, WallMs(u64::MAX), [0; 3]) > BY_CLOCK_MAX);
    }
}
