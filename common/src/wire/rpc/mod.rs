//! Requests between nodes: one question, then the frames of the reply, and the stream ends.

mod leaving;
mod stats;
mod streams;
mod submission;

pub use leaving::{KeyHandover, SessionTable};
pub use stats::NodeStats;
pub use streams::{LogEnd, StreamPositions, StreamProgress};
pub use submission::{Counted, Idempotency, Reset, Submission, SubmitError};

use super::keys::{Attempt, IdempotencyKey, Remembered};
use super::publish::SnapshotPart;
use crate::audit::{AuditRecords, StoreCheck};
use crate::cluster::{ClusterView, Node, NodeName, Tier};
use crate::document::Version;
use crate::forget::{ForgetOutcome, Tombstone};
use crate::import::{ImportPart, ImportRefusal};
use crate::key::Topic;
use crate::ledger::StreamLedger;
use crate::session::{Seq, SessionId};
use crate::store::{FolderAdmission, FolderStore, StoreId};
use crate::stream::StreamId;
use serde::{Deserialize, Serialize};

/// Topics in a list.
pub const TOPICS_LISTED: usize = 100;
/// Topics in a page of all topics.
pub const TOPICS_SCANNED: u32 = 1_000;

/// The one frame of a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question<R = Request> {
    /// The store that the asking node has joined with; none for clients, and before a node has joined. A root that uses
    /// another store answers `OtherStore`.
    pub store: Option<StoreId>,
    /// The request.
    pub request: R,
}

/// A request from one node to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// To a root: gives a starting node its incarnation. Answered by `Joined`, never twice with the same number.
    Join {
        /// The node that starts.
        name: NodeName,
        /// Its tier.
        tier: Tier,
        /// The least incarnation, by the node's own records.
        at_least: u64,
    },
    /// To a root: renews the node's lease. Answered by `View`.
    Heartbeat {
        /// The node's entry in the registry.
        node: Node,
        /// Its figures for `countree status`.
        stats: NodeStats,
        /// The epoch of the view that the node uses: a registry that went back in time is moved past it.
        epoch: u64,
    },
    /// To a root: takes the node out of the view. Answered by `View`.
    Leave(NodeName),
    /// [`Request::Drained`] of leaves of earlier releases, without an epoch. Answered by `Done`.
    DrainedWithoutEpoch {
        /// The leaf.
        leaf: NodeName,
        /// The number of its start.
        incarnation: u64,
        /// The owners of keys that it handed them to, itself left out.
        successors: Vec<NodeName>,
    },
    /// To a root: a leaf that is not live will never come back. What it had not merged is lost with its disk.
    /// Answered by `Done`.
    Forget(NodeName),
    /// To a root: publishes the end of the sessions of a leaf that leaves. Answered by `Published`.
    Publish(SessionTable),
    /// To a root: looks up the end of a session with a leaf that has left. Answered by `SessionEnd`.
    SessionEnd {
        /// The leaf.
        leaf: NodeName,
        /// The session with it.
        session: SessionId,
    },
    /// To a leaf: reads the positions of one of its streams. Answered by `Positions`.
    Positions(StreamId),
    /// To any node: makes it leave the cluster gracefully. Answered by `Done` at once.
    Drain,
    /// To a root: reads the nodes from the store. Answered by `Members`.
    Members,
    /// To a root: reads a topic's totals from the store. Answered by `Snapshot`s, up to the last.
    Read(Topic),
    /// To a root: lists topics, the last merged first, at most [`TOPICS_LISTED`]. Answered by `Topics`.
    Topics,
    /// To a root: the last figures of all nodes. Answered by `Stats`.
    Stats,
    /// To a leaf: the ledgers of its streams. To a root: those of retired streams. Answered by `Ledgers`.
    Ledgers,
    /// To a root: these streams are wholly merged and their logs are about to be deleted. Answered by `Done`.
    Retire(Vec<StreamLedger>),
    /// To a leaf: as `FlushTopic`, for a reset. Answered by `FlushedTopic`; by `Failed` while it resets that topic itself.
    Flush {
        /// The topic to be reset.
        topic: Topic,
        /// The leaf that resets it.
        by: NodeName,
        /// The version that the reset has read; 0-0 for none.
        read: Version,
    },
    /// To a leaf: sets counters to 0. Answered by `Submitted`.
    Reset(Reset),
    /// To a leaf: cuts this topic without waiting for its window. Answered once all events are merged that the leaf had
    /// accepted of it, by `FlushedTopic`.
    FlushTopic {
        /// The topic.
        topic: Topic,
        /// The version that the asker has read, 0-0 for none. A leaf that has a later one, or one of another era,
        /// asks the store again: it may have forgotten what it had merged.
        read: Version,
    },
    /// To a root: this leaf has merged all events that it ever accepted, takes no more, and has handed its
    /// idempotency keys over. Answered by `Drained`; by `Failed` when the owners of keys are others since a later
    /// epoch: hand the keys to those, and repeat.
    Drained {
        /// The leaf's live stream, which names its start.
        stream: StreamId,
        /// The owners of its idempotency keys.
        handover: KeyHandover,
    },
    /// To a leaf: counts events on behalf of an HTTP client of another leaf. Answered by `Counted`.
    Count(Submission),
    /// To a leaf: looks these idempotency keys up, as of this epoch. Answered by `Remembered`; by `Failed`
    /// as long as the leaf's own view is older, since it might still take the keys itself.
    LookUpKeys {
        /// The keys.
        keys: Vec<IdempotencyKey>,
        /// The requester's epoch.
        epoch: u64,
    },
    /// To a leaf: looks up whether attempts of its own have used up these keys. Answered by `Remembered`, with the keys that
    /// are used up: the attempts never will use up the others.
    AttemptOutcomes(Vec<(IdempotencyKey, Attempt)>),
    /// To the leaf that owns these keys: notes that another is about to use them up. Answered by `Remembered`, with the
    /// keys that are used up already, once the others are noted on disk.
    NoteAttempt {
        /// The keys.
        keys: Vec<IdempotencyKey>,
        /// The attempt.
        by: Attempt,
    },
    /// To a leaf: takes over idempotency keys of a leaf that leaves. Answered by `Done` once they are on disk.
    TakeOverKeys(Vec<Remembered>),
    /// To a root: takes a step of an import. Answered by `Import`.
    Import(ImportPart),
    /// To a root: reads a page of all topics, about `limit` of them. Answered by `TopicPage`.
    Scan {
        /// The `next` of the page before; none for the first.
        after: Option<String>,
        /// At most [`TOPICS_SCANNED`].
        limit: u32,
    },
    /// To a root with an embedded store: writes a copy of it into a new folder. Answered by `BackedUp` at once; a repeat asks
    /// whether the copy is whole.
    BackUp {
        /// An absolute path on the root's machine.
        folder: String,
        /// The id that tells a repeat from another backup.
        id: String,
    },
    /// To a root: gives a leaf that starts on this log its incarnation. Answered by `JoinedOnLog`; by `Refused` when its
    /// folder belongs to another store.
    JoinOnLog {
        /// The leaf.
        leaf: NodeName,
        /// The ends of the streams in its log.
        log: Vec<LogEnd>,
        /// The store that its folder belongs to.
        store: FolderStore,
    },
    /// To a root: `Heartbeat` of a leaf, with the progress of its live stream. Answered by `View`.
    LeafHeartbeat {
        /// The leaf's entry in the registry.
        node: Node,
        /// Its figures for `countree status`.
        stats: NodeStats,
        /// The epoch of the view that it uses.
        epoch: u64,
        /// The progress of its live stream.
        progress: StreamProgress,
    },
    /// To a root: reads the registry's records for the audit from the store. Answered by `AuditRecords`.
    AuditRecords,
    /// To a root: the last comparison of documents with ledgers. Answered by `Checked`.
    Check {
        /// Whether to begin to read every document now, at full speed.
        full: bool,
    },
    /// To a leaf: asks the store about every topic that the leaf remembers, whether it still holds it. Answered by `Done` at once.
    ProbeTopics,
    /// To a root: whether the store is the one it was, and has not gone back in time. Answered by `StoreStatus`.
    StoreStatus,
    /// To a root: an operator accepts what happened to the store, and goes on with it. Answered by `Acknowledged`.
    AcknowledgeStore,
    /// To a leaf: forgets this topic. Answered by `TopicForgotten`.
    ForgetTopic(Topic),
    /// To a root: forgets this topic, if its document stands at that version. Answered by `ForgetOutcome`.
    ForgetAt {
        /// The topic.
        topic: Topic,
        /// The version that holds all events that are to be forgotten.
        at: Version,
    },
}

/// The reply to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To `Join`.
    Joined {
        /// The number of this start, higher than any that the name had before.
        incarnation: u64,
        /// The store that the node belongs to from now on.
        store: Option<StoreId>,
    },
    /// To `Heartbeat` and `Leave`.
    View(ClusterView),
    /// To `Members`.
    Members {
        /// The live nodes.
        view: ClusterView,
        /// Leaves that are not live and may hold events that are not merged.
        away: Vec<NodeName>,
    },
    /// To `Read`.
    Snapshot(SnapshotPart),
    /// To `Topics`.
    Topics(Vec<Topic>),
    /// To `Stats`.
    Stats(Vec<(NodeName, NodeStats)>),
    /// To `Ledgers`.
    Ledgers(Vec<StreamLedger>),
    /// To `Publish`.
    Published {
        /// Whether the store guarantees that it survives a crash.
        durable: bool,
    },
    /// To `SessionEnd`: the last counted batch, if the leaf has published it.
    SessionEnd(Option<Seq>),
    /// To `Positions`; `None` when the leaf has no log of it.
    Positions(Option<StreamPositions>),
    /// To `Retire`, `DrainedWithoutEpoch`, `Forget`, `TakeOverKeys`, `ProbeTopics` and `Drain`.
    Done,
    /// To `Reset`.
    Submitted(Result<(), SubmitError>),
    /// The node can't do it for now; a repeat is safe.
    Failed(String),
    /// To `FlushTopic` and `Flush`: the version of the topic's document that holds all of it, 0-0 if there was
    /// nothing. A later document of the same era holds it, too.
    FlushedTopic(Version),
    /// To `Drained`.
    Drained {
        /// Whether the leaf still owns its keys, since there was no leaf to take them: its disk is needed.
        keeps_keys: bool,
    },
    /// To `Count`.
    Counted(Result<Counted, SubmitError>),
    /// To `LookUpKeys`, `AttemptOutcomes` and `NoteAttempt`: everything known, or the reason why nothing is.
    Remembered(Result<Vec<Remembered>, SubmitError>),
    /// To `Import`: number of the step's rows that count, 0 for a step without rows.
    Import(Result<u64, ImportRefusal>),
    /// To `Scan`.
    TopicPage {
        /// The topics.
        topics: Vec<Topic>,
        /// The start of the next page; `None` after the last.
        next: Option<String>,
    },
    /// To `BackUp`: its size in bytes once it is complete, or the reason why there is none.
    BackedUp(Result<Option<u64>, String>),
    /// To `JoinOnLog`.
    JoinedOnLog {
        /// The number of this start, higher than any that the name had before.
        incarnation: u64,
        /// Streams that should be in the log and are not, or not to their end: the log was lost, or is an older copy.
        missing: Vec<StreamId>,
        /// The store that the folder belongs to from now on.
        store: Option<FolderAdmission>,
    },
    /// To `AuditRecords`.
    AuditRecords(Box<AuditRecords>),
    /// To `Check`; the root that audits is the first in the view.
    Checked {
        /// The result of the last round; `None` before the first has ended.
        check: Option<StoreCheck>,
        /// Number of full rounds that have begun since this root audits: the requested one comes after them.
        full_begun: u64,
        /// Number of full rounds that have ended.
        full_ended: u64,
        /// The reason why the last round failed, if it did.
        trouble: Option<String>,
    },
    /// The request contradicts the state of the cluster: a repeat fails alike until that changes. Nothing was
    /// changed.
    Refused(String),
    /// To `StoreStatus`: the problem with the store, and its remedy; `None` if the store is what it was.
    StoreStatus(Option<String>),
    /// To `AcknowledgeStore`: the change that was accepted, if there was one; or the reason why accepting would not
    /// help.
    Acknowledged(Result<Option<String>, String>),
    /// To `ForgetTopic`; `None` for a topic in which nothing was ever counted.
    TopicForgotten(Result<Option<Tombstone>, SubmitError>),
    /// To `ForgetAt`.
    ForgetOutcome(ForgetOutcome),
    /// To any request of a node that belongs to another store, and why. Nothing was changed.
    OtherStore(String),
}
