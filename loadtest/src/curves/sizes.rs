//! Picks the sizes of a curve.

/// The sizes to measure: all, or the first `few` for a quick run.
pub(super) fn sizes<T: Copy>(all: &[T], quick: bool, few: usize) -> Vec<T> {
    all.iter().copied().take(if quick { few } else { all.len() }).collect()
}
