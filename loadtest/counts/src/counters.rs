//! Counters by number, and draws of their numbers.

use countree_common::key::{Counter, NameError};

/// Topics that counters are dealt to.
const TOPICS: u32 = 100;

/// A counter by number, with 24 bytes of names.
pub(crate) fn counter(number: u32) -> Result<Counter, NameError> {
    Counter::new(&format!("t-{:04}", number % TOPICS), &format!("item-{number:09}"), "like")
}

/// Yields the same numbers every time (an LCG), low ones more often than high ones.
pub(crate) fn draws(seed: u64, below: u32) -> impl Iterator<Item = u32> {
    let next = |state: &u64| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    };
    std::iter::successors(Some(seed), next).skip(1).map(move |state| {
        let share = (state >> 11) as f64 / (1u64 << 53) as f64;
        // Cubed: half of the draws fall on an eighth of the numbers.
        (share.powi(3) * f64::from(below)) as u32
    })
}
