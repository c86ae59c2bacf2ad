//! The promises of a cluster, and the report of a broken one.

use std::fmt;

/// A promise. Two runs that break the same one are taken for the same failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// Every acked event is counted once, every other event at most once.
    Exact,
    /// Clients get true answers, and are left in doubt only where the answer cannot be known.
    Truthful,
    /// Viewers see totals that go forward, and in the end those of the store.
    Shown,
    /// Accepted = merged + in flight + declared lost, on both sides.
    Balanced,
    /// Whatever went wrong, the cluster settles once it no longer does.
    Settled,
    /// Every queue has a bound.
    Bounded,
    /// Nodes keep to their protocols, and start on whatever a crash left them.
    Orderly,
}

impl Promise {
    /// The report that it was not kept.
    pub(crate) fn broken(self, what: impl Into<String>) -> Broken {
        Broken { promise: self, what: what.into() }
    }
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The one that is meant.
    pub promise: Promise,
    /// The observation, for people.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.what)
    }
}
