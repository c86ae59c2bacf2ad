//! Names the records of a log.

mod bytes;

use countree_common::cluster::NodeName;
use countree_common::ledger::Ledger;
use countree_common::session::{Seq, SessionId};
use countree_common::time::WallMs;
use countree_common::wire::keys::{Attempt, IdempotencyKey, KeyUse, Remembered};
use serde::{Deserialize, Serialize};

pub(crate) use bytes::Fields;
pub use bytes::{HEADER_BYTES, RecordHead, put, take, whole_kind};

/// A record as it is read. Events and names stay in the form of [`countree_common::wire::batch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'a> {
    /// First in every segment: all that a reader must know of the segments before.
    Checkpoint(Checkpoint),
    /// Idempotency keys that belong to the checkpoint before, which says how many such records follow it.
    Keys(Vec<Remembered>),
    /// A session begins.
    Open {
        /// The session.
        session: SessionId,
        /// The time, to age it.
        at: WallMs,
    },
    /// A producer's batch.
    Batch {
        /// The session that the batch is of.
        session: SessionId,
        /// Its number in the session.
        seq: Seq,
        /// The time at which it came.
        at: WallMs,
        /// The number of its events.
        event_count: u32,
        /// The meaning of ids from here on in this segment, where no record before has given it: `id u32`, then
        /// the name, again and again.
        definitions: &'a [u8],
        /// The events.
        words: &'a [u8],
    },
    /// An HTTP request's events, with names of its own.
    Submission(Submission<'a>),
    /// The leaf leaves: every session known by now has ended, and no events follow in this stream.
    Seal,
    /// Idempotency keys of a leaf that has left, remembered here from now on.
    Inherited(Vec<Remembered>),
    /// Another leaf's attempt may use up idempotency keys that this leaf owns. Attempts that were noted for them
    /// earlier never will.
    Noted {
        /// The keys.
        keys: Vec<IdempotencyKey>,
        /// The time, to age them.
        at: WallMs,
        /// The attempt.
        by: Attempt,
    },
    /// The last ledgers of streams whose logs are about to go, by incarnation: a registry that falls back forgets them.
    Retired(Vec<(u64, Ledger)>),
}

/// See [`Record::Submission`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission<'a> {
    /// The time at which it came.
    pub at: WallMs,
    /// The idempotency keys that it uses up.
    pub keys: Vec<KeyUse>,
    /// The names of ids 0, 1, 2 ….
    pub names: &'a [u8],
    /// The number of its events.
    pub event_count: u32,
    /// The events.
    pub words: &'a [u8],
}

/// The progress of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Its last batch in the log.
    pub last: Seq,
    /// The time at which that came.
    pub at: WallMs,
    /// A seal has ended it: it takes no more batches, ever.
    pub is_ended: bool,
}

/// The knowledge of earlier segments and streams that a reader needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The leaf that the log is of; another leaf refuses it.
    pub leaf: Option<NodeName>,
    /// Events accepted into this stream so far.
    pub accepted: u64,
    /// Every session that is not forgotten.
    pub sessions: Vec<(SessionId, SessionRecord)>,
    /// The number of [`Record::Keys`] that follow. Without all of them the checkpoint does not count: it was torn.
    pub key_records: u32,
}

/// The most idempotency keys that one [`Record::Keys`] or [`Record::Inherited`] holds.
pub const KEYS_PER_RECORD: usize = 65_536;
