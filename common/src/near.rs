//! Cache misses, many at once.

/// Looks at all of these, and makes nothing of it: whoever needs them next finds them in the cache. A loop that does so
/// little has dozens of misses under way at once, where one that works on each has a few. It pays for tables that the cache
/// does not hold: a leaf takes a quarter less for an event of a million counters.
pub fn touch(all: impl Iterator<Item = u32>) {
    std::hint::black_box(all.fold(0, |sum, one| sum ^ one));
}
