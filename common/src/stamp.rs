//! Stamps: the time up to which totals are complete, by a root's own clock.
//!
//! A root sends stamps; a leaf sends a stamp back once all events are merged that it had accepted when the
//! stamp came. The last stamp that every live leaf has sent back goes out with the totals. So no leaf's clock
//! is involved, and the root's goes on steadily from the wall clock's time at its start.

use crate::document::Version;
use crate::era;
use crate::time::WallMs;
use serde::{Deserialize, Serialize};

/// A time by a root's clock, and the process of the store that the root knew then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// The era that the process began with; 0 if unknown.
    pub era: u64,
    /// The time; 0 if unknown.
    pub at: WallMs,
}

impl Stamp {
    /// Returns the time up to which totals at that version are complete; 0 when unknown. A stamp holds for
    /// totals of its own process only: another process of the store may have forgotten events that this one
    /// had merged.
    pub fn completes(&self, version: Version) -> WallMs {
        if era::is_of(self.era, version.era) { self.at } else { WallMs(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_nothing_of_what_another_process_served() {
        let stamp = Stamp { era: 512, at: WallMs(7) };
        let completes = |era| stamp.completes(Version { era, number: 1 });
        assert_eq!([512, 513, 767].map(completes), [WallMs(7); 3]);
        assert_eq!([0, 511, 768, 9_000].map(completes), [WallMs(0); 4]);
    }
}
