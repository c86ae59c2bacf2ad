//! Producer ⇄ leaf. Batches themselves are [`super::batch`] frames.
//!
//! A producer opens a session, sends batches 1, 2, 3 … and may have many unacked. It sends `Open` once in
//! a session's life and never after its first batch; on a new connection it sends `Resume`, takes up the
//! leaf's `last`, and repeats what is unacked. That is what makes a forgotten session refusable: a leaf
//! that does not know a resumed session answers `Expired` and can't count anything a second time.
//!
//! A leaf that leaves seals its log, which ends every session: it answers `Ended`, for good, before it goes
//! and whenever it is asked again, also after it has come back. For a leaf that is gone, any other leaf can
//! be asked with `FindSessionEnd`, and finds the answer in the table of sessions that the leaving one
//! published.

use crate::cluster::{ClusterView, NodeName};
use crate::session::{Seq, SessionId};
use serde::{Deserialize, Serialize};

/// A message from a producer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToLeaf {
    /// Begins a session. May be repeated until it is answered.
    Open(SessionId),
    /// Goes on with a session on this connection.
    Resume(SessionId),
    /// Asks for the end of a session with another leaf, which is not in the view. Answered by `SessionEnd`.
    /// Has no effect on this connection's own session.
    FindSessionEnd {
        /// The other leaf.
        leaf: NodeName,
        /// The session with it.
        session: SessionId,
    },
}

/// A message from a leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromLeaf {
    /// The session is in the log; batches go on after `last`.
    Opened {
        /// The session.
        session: SessionId,
        /// The last logged batch; it and those before it are acked hereby.
        last: Seq,
    },
    /// The session was idle past its horizon, or never opened. Its unacked batches stay in doubt for good.
    Expired(SessionId),
    /// The leaf has sealed its log: the batches up to `last` are counted, for good, and those after it never
    /// will be. They may go anywhere.
    Ended {
        /// The session.
        session: SessionId,
        /// Its last counted batch.
        last: Seq,
    },
    /// The answer to `FindSessionEnd`.
    SessionEnd {
        /// The session that was asked about.
        session: SessionId,
        /// As in `Ended`; `None` while its leaf has published nothing about it: ask again later.
        last: Option<Seq>,
    },
    /// Every batch up to `seq` is counted, with this durability.
    Ack {
        /// The last batch of these.
        seq: Seq,
        /// The durability of the batches.
        durability: Durability,
    },
    /// Batch `seq` is bad and was not counted, nor was any after it. The session takes no more batches: later
    /// ones go into a new session.
    Refused {
        /// The bad batch.
        seq: Seq,
        /// The error.
        error: EventError,
    },
    /// Batch `seq` and those after it were not counted, for now: repeat from `seq` after a while.
    Busy {
        /// The first batch that was not counted; 0 when the session could not be opened: send `Open` again.
        seq: Seq,
        /// The reason.
        reason: BusyReason,
        /// The wait before the next try, in milliseconds.
        retry_after_ms: u32,
    },
    /// The leaf is leaving: send new batches to others. `Ended` will say which of the sent ones are counted.
    Draining,
    /// The nodes, at the start and whenever they change.
    View(ClusterView),
}

/// The durability that an ack promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// On the leaf's disk: survives a crash of every process and a power cut, not the loss of the disk.
    Disk,
}

/// The reason why a leaf takes no events for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum BusyReason {
    /// Load exceeds the rate at which it can log.
    #[error("the leaf is shedding load")]
    Overload,
    /// The disk has no room for the log.
    #[error("the leaf's disk is full")]
    DiskFull,
    /// The log could not be written; the leaf takes nothing more until it is restarted.
    #[error("the leaf's disk has failed")]
    DiskFailed,
    /// A table is full.
    #[error("the leaf holds as many counters, sessions or keys as it can")]
    TableFull,
    /// No registry has listed the leaf yet, so resets and readers that ask all leaves would miss it.
    #[error("the leaf is joining the cluster")]
    Joining,
    /// An earlier request with one of the same keys is still undecided.
    #[error("an earlier request under one of these keys is still being decided")]
    UnderWay,
}

/// The error of an event. Nothing of its batch or request was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct EventError {
    /// The code, for programs.
    pub code: EventErrorCode,
    /// The problem and the allowed range, for people.
    pub message: String,
    /// The event's index in the batch or request, from 0, if one event is to blame.
    pub index: Option<u32>,
}

/// The codes of [`EventError`]s, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventErrorCode {
    /// The event or batch is malformed.
    Malformed,
    /// A name is empty, too long or not UTF-8.
    BadName,
    /// A delta is 0 or out of range.
    BadDelta,
    /// The total would leave its range.
    TotalOverflow,
    /// The batch or request has too many events or bytes.
    TooLarge,
    /// The idempotency key was used for another content.
    KeyReused,
}
