//! Prefetching, so that cache misses overlap.

/// Prefetches entries by reading one word of each, so that cache misses overlap. A loop that does so little
/// has dozens of misses under way at once, where one that works on each entry has a few. It pays for tables
/// that the cache does not hold: a leaf spends a quarter less on an event of a million counters.
pub fn prefetch(words: impl Iterator<Item = u32>) {
    std::hint::black_box(words.fold(0, |sum, word| sum ^ word));
}
