//! Breaks rules of exactness on purpose, one at a time. That proves that the checks can fail: a rule whose
//! breaking nobody notices would not be worth much. The machines stay as they are.

use std::fmt;
use std::str::FromStr;

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
    /// Producers are acked when a leaf has taken a batch, not when it is on disk.
    EarlyAck,
    /// Records are cut and merged when they are written, not when they are on disk; acks wait all the same.
    EarlyMerge,
    /// After a failed fsync the next one counts as a success.
    RetriedFsync,
    /// A leaf that restarts forgets the sessions of its earlier streams.
    ForgottenSessions,
    /// A leaf that restarts forgets the idempotency keys of its earlier streams.
    ForgottenKeys,
    /// A leaf that restarts on a sealed log goes on with the sessions that ended.
    ForgottenSeal,
    /// A leaf that restarts does not drain its earlier streams.
    ForgottenStreams,
    /// A leaf that restarts builds on log records that the system has not put on disk.
    UnsyncedRecovery,
    /// A batch without an answer is handed to another leaf.
    MovedInDoubt,
    /// A batch that is repeated is counted again.
    CountedRepeats,
    /// A session that is resumed and unknown is opened anew.
    ReopenedSessions,
    /// A leaf that leaves says that its table of sessions is in the store, and it is not.
    UnpublishedSessions,
    /// A leaf that leaves says that its idempotency keys were handed over, and they were not.
    UnhandedKeys,
    /// The disk of the last leaf goes with the keys that there was nobody to take.
    DiscardedKeys,
    /// A leaf that leaves says that it has no keys, and it has.
    DeniedKeys,
    /// A leaf that starts does not say what its log holds, so that nobody notices that it is not what it was.
    UncomparedLogs,
    /// A leaf that starts on an older copy of its folder goes on with the sessions that are in it.
    TrustedCopies,
    /// A leaf that has come to own a key does not ask those that owned it before.
    UnaskedKeys,
    /// A note that an attempt may use up a key is taken for a use.
    CountedNotes,
    /// Nobody asks the leaf whose attempt a note names: the key counts as unused.
    UnfollowedNotes,
    /// A leaf that restarts forgets whose attempts it has noted.
    ForgottenNotes,
    /// A leaf that restarts forgets what keys were used for.
    ForgottenContent,
    /// Nobody asks about idle topics.
    UnaskedTopics,
    /// Events that the store forgot are not read back from the log.
    BlindReadBack,
    /// A reset does not wait until everything before it is merged.
    HastyReset,
    /// A reset takes any version of the totals, also one to which the store has gone back.
    ResetOfAnyVersion,
    /// A leaf says a root's stamp back when it comes, not when all is merged that it had accepted by then.
    HastyEcho,
    /// A leaf does not ask a new process of the store for what it merged in the one before.
    UnconfirmedEras,
    /// A root's watermark of one era is taken for one of another, too.
    CompleteInAnyEra,
    /// A root's stamps follow its wall clock.
    StampedByWallClock,
    /// The store forgets a topic whatever version it stands at, also when that was asked long ago.
    ForgetAtAnyVersion,
    /// A topic that is forgotten loses its positions with its totals.
    ForgottenPositions,
    /// A topic that is forgotten begins its versions anew.
    ForgottenVersions,
    /// Nothing is kept of a topic that is forgotten.
    DroppedTombstones,
    /// A server process of the store that forgot something serves in the era of the one before it.
    LastingEra,
    /// The store takes any era from a cut, also one of a process that was there before.
    RevivedEras,
    /// Viewers take no era that is lower than the one they show.
    HighestEraWins,
    /// Viewers don't tell a broadcast node which era they show.
    UntoldEras,
    /// A leaf ages keys and sessions by its wall clock.
    LeafAgedByWallClock,
    /// Roots age leases, and the record of who remembered keys, by their wall clocks.
    RegistryAgedByWallClock,
    /// Readers who wait for what was acked go by the wall clocks of nodes.
    CompleteByWallClock,
    /// Streams of broadcast nodes lose messages like datagrams.
    LossyStreams,
    /// The audit believes what leaves remember, and does not ask the store.
    TrustingAudit,
    /// Roots merge into whatever store there is.
    UnfencedRoots,
    /// Roots take cuts from leaves whose folders belong to another store.
    UnboundFolders,
    /// A root that puts an emptied store's identity back does not note that it was emptied.
    UnmarkedLosses,
    /// Roots answer nodes that have joined with another store.
    AnsweredStrangers,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Flaw; 51] = [
        Flaw::MergesForward,
        Flaw::SplitRollback,
        Flaw::EarlyTrim,
        Flaw::EarlyDurable,
        Flaw::EarlyAck,
        Flaw::EarlyMerge,
        Flaw::RetriedFsync,
        Flaw::ForgottenSessions,
        Flaw::ForgottenKeys,
        Flaw::ForgottenSeal,
        Flaw::ForgottenStreams,
        Flaw::UnsyncedRecovery,
        Flaw::MovedInDoubt,
        Flaw::CountedRepeats,
        Flaw::ReopenedSessions,
        Flaw::UnpublishedSessions,
        Flaw::UnhandedKeys,
        Flaw::DiscardedKeys,
        Flaw::DeniedKeys,
        Flaw::UncomparedLogs,
        Flaw::TrustedCopies,
        Flaw::UnaskedKeys,
        Flaw::CountedNotes,
        Flaw::UnfollowedNotes,
        Flaw::ForgottenNotes,
        Flaw::ForgottenContent,
        Flaw::UnaskedTopics,
        Flaw::BlindReadBack,
        Flaw::HastyReset,
        Flaw::ResetOfAnyVersion,
        Flaw::HastyEcho,
        Flaw::UnconfirmedEras,
        Flaw::CompleteInAnyEra,
        Flaw::StampedByWallClock,
        Flaw::ForgetAtAnyVersion,
        Flaw::ForgottenPositions,
        Flaw::ForgottenVersions,
        Flaw::DroppedTombstones,
        Flaw::LastingEra,
        Flaw::RevivedEras,
        Flaw::HighestEraWins,
        Flaw::UntoldEras,
        Flaw::LeafAgedByWallClock,
        Flaw::RegistryAgedByWallClock,
        Flaw::CompleteByWallClock,
        Flaw::LossyStreams,
        Flaw::TrustingAudit,
        Flaw::UnfencedRoots,
        Flaw::UnboundFolders,
        Flaw::UnmarkedLosses,
        Flaw::AnsweredStrangers,
    ];
}

impl FromStr for Flaw {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let flaw = Flaw::ALL.into_iter().find(|flaw| flaw.to_string() == name);
        flaw.ok_or_else(|| format!("'{name}' is no flaw; there are {:?}", Flaw::ALL))
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
