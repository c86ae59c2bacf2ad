//! Worlds that break a rule of exactness on purpose. They prove that the checks can fail: a rule whose
//! breaking nobody notices would not be worth much. The machines stay as they are.

use std::fmt;

/// One broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The store applies a cut when `to > have`, not when `have == from`.
    MergesForward,
    /// The store keeps LSNs apart from totals, so that it can forget one without the other.
    SplitRollback,
    /// The store says that a merge is durable when it is not yet.
    EarlyTrim,
    /// The disk says that bytes are durable when they are only written.
    EarlyDurable,
    /// A leaf that restarts forgets the sessions of its earlier streams.
    ForgottenSessions,
    /// A leaf that restarts does not drain its earlier streams.
    ForgottenStreams,
    /// A leaf that restarts builds on log records that the system has not put on disk.
    UnsyncedRecovery,
    /// A batch without an answer is handed to another leaf.
    MovedInDoubt,
    /// What broadcast nodes send for certain gets lost like a datagram.
    LossyStreams,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Flaw; 9] = [
        Flaw::MergesForward,
        Flaw::SplitRollback,
        Flaw::EarlyTrim,
        Flaw::EarlyDurable,
        Flaw::ForgottenSessions,
        Flaw::ForgottenStreams,
        Flaw::UnsyncedRecovery,
        Flaw::MovedInDoubt,
        Flaw::LossyStreams,
    ];
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
