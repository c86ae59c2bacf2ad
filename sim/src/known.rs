//! Promises that are known to be broken, each by one kind of fault. Runs are spared exactly these unless they
//! are asked for, and every report says so.

/// A known gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// What runs are spared.
    pub spared: &'static str,
    /// What would go wrong.
    pub why: &'static str,
}

/// All of them.
pub const KNOWN: &[Known] = &[
    Known {
        spared: "registry rollbacks do not happen",
        why: "when every root that saw the later epochs has restarted too, epochs are given a second time, \
              and whoever saw them the first time stays with its view",
    },
    Known {
        spared: "viewers need not agree with the store on a topic that was rolled back (its totals must be exact)",
        why: "when no leaf remembers the forgotten merge, the era stays, or the era itself is forgotten: versions \
              are given a second time, and whoever saw them the first time keeps the old totals",
    },
];
