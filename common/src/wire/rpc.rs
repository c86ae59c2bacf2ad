//! Questions between nodes: one request frame, then the answer's frame or frames, and the stream ends.

use super::keys::{Attempt, IdempotencyKey, Remembered};
use super::producer::EventError;
use super::publish::SnapshotPart;
use crate::audit::{AuditRecords, StoreCheck};
use crate::cluster::{ClusterView, Node, NodeName, Tier};
use crate::document::Version;
use crate::event::Event;
use crate::forget::{ForgetOutcome, Tombstone};
use crate::import::{ImportPart, ImportRefusal};
use crate::key::{Item, Kind, Topic};
use crate::ledger::{Ledger, StreamLedger};
use crate::session::{Seq, SessionId};
use crate::store::{FolderAdmission, FolderStore};
use crate::stream::{Lsn, StreamId};
use serde::{Deserialize, Serialize};

/// How many topics a list holds.
pub const TOPICS_LISTED: usize = 100;
/// How many topics a page of all topics holds.
pub const TOPICS_SCANNED: u32 = 1_000;

/// What a node asks another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// To a root: which incarnation am I? Answered by `Joined`, never twice with the same number.
    Join {
        /// Who starts.
        name: NodeName,
        /// Its tier.
        tier: Tier,
        /// The node's own memory says that it must be at least this.
        at_least: u64,
    },
    /// To a root: I live. Answered by `View`.
    Heartbeat {
        /// The node as it wants to be listed.
        node: Node,
        /// What `countree status` shows of it.
        stats: NodeStats,
        /// The epoch of the view that the node goes by: a registry that fell back is brought past it.
        epoch: u64,
    },
    /// To a root: I am gone. Answered by `View`.
    Leave(NodeName),
    /// [`Request::Drained`] as leaves of earlier releases say it, without an epoch. Answered by `Done`.
    DrainedWithoutEpoch {
        /// The leaf.
        leaf: NodeName,
        /// Which start of it.
        incarnation: u64,
        /// The owners of keys that it handed them to, itself left out.
        successors: Vec<NodeName>,
    },
    /// To a root: a leaf that is not live will never come back. What it had not merged is lost with its disk.
    /// Answered by `Done`.
    Forget(NodeName),
    /// To a root: how the sessions of a leaf that is leaving ended. Answered by `Published`.
    Publish(SessionTable),
    /// To a root: how a session with a leaf that has left ended. Answered by `SessionEnd`.
    SessionEnd {
        /// The leaf.
        leaf: NodeName,
        /// The session with it.
        session: SessionId,
    },
    /// To a leaf: how far has a stream of yours come? Answered by `Positions`.
    Positions(StreamId),
    /// To any node: leave the cluster gracefully. Answered by `Done` at once.
    Drain,
    /// To a root: the nodes, as the store has them now. Answered by `Members`.
    Members,
    /// To a root: a topic's totals, from the store. Answered by `Snapshot`s, up to the last.
    Read(Topic),
    /// To a root: some topics, the last merged first, at most [`TOPICS_LISTED`]. Answered by `Topics`.
    Topics,
    /// To a root: what the nodes last said of themselves. Answered by `Stats`.
    Stats,
    /// To a leaf: the ledgers of its streams. To a root: those of retired streams. Answered by `Ledgers`.
    Ledgers,
    /// To a root: these streams are wholly merged and their logs are about to be deleted. Answered by `Done`.
    Retire(Vec<StreamLedger>),
    /// To a leaf: as `FlushTopic`, for a reset. Answered by `FlushedTopic`; by `Failed` while it resets that topic itself.
    Flush {
        /// What is to be reset.
        topic: Topic,
        /// By which leaf.
        by: NodeName,
        /// The version that the reset has read, 0-0 for none.
        read: Version,
    },
    /// To a leaf: set counters to 0. Answered by `Submitted`.
    Reset(Reset),
    /// To a leaf: cut this topic without waiting for its window, and say when all is merged that you have accepted of
    /// it by now. Answered by `FlushedTopic`.
    FlushTopic {
        /// The topic.
        topic: Topic,
        /// The version that the asker has read, 0-0 for none. A leaf that was told of a later one, or of one of another
        /// era, asks the store again: it may have forgotten what it had merged.
        read: Version,
    },
    /// To a root: this leaf has merged all that it ever accepted, takes nothing more, and has handed its
    /// idempotency keys over. Answered by `Drained`; by `Failed` when the owners of keys are others since a later
    /// epoch: hand the keys to those, and repeat.
    Drained {
        /// The leaf's live stream: which start of it this is.
        stream: StreamId,
        /// Where its idempotency keys are.
        handover: KeyHandover,
    },
    /// To a leaf: count these, on behalf of an HTTP client of another leaf. Answered by `Counted`.
    Count(Submission),
    /// To a leaf: what do you remember of these idempotency keys, as of this epoch? Answered by `Remembered`; by `Failed`
    /// as long as the leaf's own view is older, since it might still take the keys itself.
    LookUpKeys {
        /// The keys.
        keys: Vec<IdempotencyKey>,
        /// The asker's epoch.
        epoch: u64,
    },
    /// To a leaf: did these attempts of yours use up these keys? Answered by `Remembered`, with the keys that are used
    /// up: of the others, the attempts never will.
    AttemptOutcomes(Vec<(IdempotencyKey, Attempt)>),
    /// To the leaf that owns these keys: note that another is about to use them up. Answered by `Remembered`, with the
    /// keys that are used up already, once the others are noted on disk.
    NoteAttempt {
        /// The keys.
        keys: Vec<IdempotencyKey>,
        /// Who.
        by: Attempt,
    },
    /// To a leaf: remember these idempotency keys, whose leaf is leaving. Answered by `Done` once they are on disk.
    TakeOverKeys(Vec<Remembered>),
    /// To a root: take a step of an import. Answered by `Import`.
    Import(ImportPart),
    /// To a root: some of all topics, about `limit` of them, from the first, or after a page before. Answered by `TopicPage`.
    Scan {
        /// What the page before says.
        after: Option<String>,
        /// At most [`TOPICS_SCANNED`].
        limit: u32,
    },
    /// To a root with an embedded store: write a copy of it into this folder, which is not there yet. Answered by `BackedUp` at
    /// once; repeated, it tells how far that has come.
    BackUp {
        /// An absolute path on the root's machine.
        folder: String,
        /// Tells a repeat from another backup.
        id: String,
    },
    /// To a root: a leaf starts on this log; which incarnation is it? Answered by `JoinedOnLog`; by `Refused` when its
    /// folder belongs to another store.
    JoinOnLog {
        /// Which leaf.
        leaf: NodeName,
        /// Where the streams of its log end.
        log: Vec<LogEnd>,
        /// Which store its folder belongs to.
        store: FolderStore,
    },
    /// To a root: `Heartbeat` of a leaf, that says how far it has come, too. Answered by `View`.
    LeafHeartbeat {
        /// The leaf as it wants to be listed.
        node: Node,
        /// What `countree status` shows of it.
        stats: NodeStats,
        /// The epoch of the view that it goes by.
        epoch: u64,
        /// How far its live stream has come.
        progress: StreamProgress,
    },
    /// To a root: what the registry holds for the audit, as the store has it now. Answered by `AuditRecords`.
    AuditRecords,
    /// To a root: what documents were found to hold. Answered by `Checked`.
    Check {
        /// Whether to begin to read every document now, at full speed.
        full: bool,
    },
    /// To a leaf: ask about every topic that you remember, whether the store still holds it. Answered by `Done` at once.
    ProbeTopics,
    /// To a root: is the store what it was? Answered by `StoreStatus`.
    StoreStatus,
    /// To a root: an operator knows what happened to the store, and wants to go on with it. Answered by `Acknowledged`.
    AcknowledgeStore,
    /// To a leaf: forget this topic. Answered by `TopicForgotten`.
    ForgetTopic(Topic),
    /// To a root: forget this topic, if its document stands at that version. Answered by `ForgetOutcome`.
    ForgetAt {
        /// The topic.
        topic: Topic,
        /// The version that holds all that is to be forgotten.
        at: Version,
    },
}

/// What it is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To `Join`.
    Joined {
        /// Higher than any that the name had before.
        incarnation: u64,
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
        /// Whether the store's word is that it survives a crash of the store.
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
    /// The node could not do it now; nothing changed that a repeat would change again.
    Failed(String),
    /// To `FlushTopic` and `Flush`: the version of the topic's document that holds it all, 0-0 where there was nothing. A document
    /// of the same era that is as far holds it, too.
    FlushedTopic(Version),
    /// To `Drained`.
    Drained {
        /// There was nobody to take the leaf's keys: it owns them still, and its disk is needed.
        keeps_keys: bool,
    },
    /// To `Count`.
    Counted(Result<Counted, SubmitError>),
    /// To `LookUpKeys`, `AttemptOutcomes` and `NoteAttempt`: all that is known, or why nothing can be said.
    Remembered(Result<Vec<Remembered>, SubmitError>),
    /// To `Import`: how many of the rows count, 0 for a step without rows.
    Import(Result<u64, ImportRefusal>),
    /// To `Scan`.
    TopicPage {
        /// The topics.
        topics: Vec<Topic>,
        /// Where the next page begins; none after the last.
        next: Option<String>,
    },
    /// To `BackUp`: its bytes once it is whole, or why there is none.
    BackedUp(Result<Option<u64>, String>),
    /// To `JoinOnLog`.
    JoinedOnLog {
        /// Higher than any that the name had before.
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
        /// What the last round found; `None` before the first has ended.
        check: Option<StoreCheck>,
        /// Full rounds that were begun since this root audits: the one that was asked for comes after them.
        full_begun: u64,
        /// How many of them have ended.
        full_ended: u64,
        /// Why the last round failed, if it did.
        trouble: Option<String>,
    },
    /// Not as things are: a repeat is answered alike until somebody has changed something. Nothing was changed.
    Refused(String),
    /// To `StoreStatus`: what is wrong with the store, and what to do; nothing if it is what it was.
    StoreStatus(Option<String>),
    /// To `AcknowledgeStore`: what was, if there was something; or why that would not help.
    Acknowledged(Result<Option<String>, String>),
    /// To `ForgetTopic`; `None` for a topic that nothing was ever counted in.
    TopicForgotten(Result<Option<Tombstone>, SubmitError>),
    /// To `ForgetAt`.
    ForgetOutcome(ForgetOutcome),
}

/// Where the idempotency keys of a leaving leaf are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyHandover {
    /// The owners of keys that it handed them to, itself left out.
    pub successors: Vec<NodeName>,
    /// The epoch of a view in which these owned keys without a break since they were handed over.
    pub epoch: u64,
    /// It has none: where there is nobody to take them, nobody need keep them either.
    pub is_empty: bool,
}

/// A request is counted, once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Nothing of it was new.
    pub is_replay: bool,
}

/// One HTTP request's events for one leaf, counted all or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The events.
    pub events: Vec<Event>,
    /// What makes a repeat harmless.
    pub idempotency: Idempotency,
}

/// A piece of the table of sessions that a leaving leaf publishes, at most
/// [`SESSIONS_PER_MESSAGE`](crate::limits::SESSIONS_PER_MESSAGE) of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTable {
    /// The leaf.
    pub leaf: NodeName,
    /// Each session's last counted batch.
    pub sessions: Vec<(SessionId, Seq)>,
    /// How long the table has to be kept, in milliseconds: the leaf's horizon.
    pub keep_ms: u64,
}

/// Where a stream ends in the log that a leaf starts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    /// Which stream of the leaf.
    pub incarnation: u64,
    /// Its last record.
    pub last: Lsn,
    /// How many events it holds, those whose records are gone included.
    pub accepted: u64,
}

/// How far a leaf says that its live stream has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamProgress {
    /// The last record on disk.
    pub last: Lsn,
    /// Its events.
    pub ledger: Ledger,
}

/// How far a leaf stream has come: `accepted ≥ durable ≥ cut ≥ merged`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamPositions {
    /// The stream.
    pub stream: StreamId,
    /// The last record in the log.
    pub accepted: Lsn,
    /// The last record on disk.
    pub durable: Lsn,
    /// Every record up to this one was cut, and sent to a root.
    pub cut: Lsn,
    /// Every record up to this one is merged.
    pub merged: Lsn,
    /// Topics with records that are not merged.
    pub topics_behind: u64,
}

/// Sets a topic's counters to 0: events acked before it are gone from the totals, events acked after it stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// Hash of the request's id, which makes a repeat harmless.
    pub key: u128,
    /// The topic.
    pub topic: Topic,
    /// Only this item's counters.
    pub item: Option<Item>,
    /// Only those of this kind.
    pub kind: Option<Kind>,
}

/// What makes a repeat of a submission harmless. Keys are 128-bit hashes of what the client sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Idempotency {
    /// Nothing: a repeat counts again.
    None,
    /// One key for all of it.
    Request {
        /// Hash of the `Idempotency-Key`.
        key: u128,
        /// Hash of the events, to tell a repeat from a mistake.
        content: u128,
    },
    /// A key for each event (0 for one without), in the order of the events, as earlier builds send them: without
    /// their topics' scope, for any content.
    Events(Vec<u128>),
    /// A key for all of it, or ids of events, or both; both hold.
    Keyed {
        /// Hash of the `Idempotency-Key`, and of the events with their ids, to tell a repeat from a mistake.
        request: Option<(u128, u128)>,
        /// Hash of each event's id (0 for one without), in the order of the events; empty where none has any. Those
        /// known already are skipped, the others counted.
        ids: Vec<u128>,
    },
}

/// Why a submission was not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SubmitError {
    /// It never will be.
    #[error(transparent)]
    Refused(#[from] EventError),
    /// Not now.
    #[error("{reason}; repeat after {retry_after_ms} ms")]
    Busy {
        /// Why.
        reason: super::producer::BusyReason,
        /// How long to wait, in milliseconds.
        retry_after_ms: u32,
    },
    /// These leaves may hold what has to be known first: events from before a reset, or an idempotency key.
    /// Nothing changed.
    #[error("{} away and may hold what has to be known first: start it again, and repeat", away(.0))]
    Away(Vec<NodeName>),
    /// Not every node that has to be asked answers. Nothing changed.
    #[error("not every leaf that has to be asked answers: nothing changed; repeat it")]
    Unreachable,
    /// The leaf is leaving; another takes it.
    #[error("the leaf is draining: nothing changed; repeat it")]
    Draining,
    /// Another leaf owns the idempotency key since this epoch. Nothing changed.
    #[error("another leaf remembers this key since epoch {epoch}: ask for the view again")]
    NotOwner {
        /// The leaf's epoch.
        epoch: u64,
    },
    /// Nobody can say whether an idempotency key was used before: the leaf that remembered it is lost. Nothing changed.
    #[error("nobody can say whether this key was used before: the leaf that remembered it is lost")]
    KeyLost,
    /// It may have been counted or not. Safe to repeat only under an idempotency key.
    #[error(
        "no answer in time: it may be counted or not; repeat it under the same Idempotency-Key or ids, and only so"
    )]
    InDoubt,
}

fn away(leaves: &[NodeName]) -> String {
    let names: Vec<_> = leaves.iter().map(NodeName::as_str).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

/// What a node says of itself with each heartbeat; what does not apply to its tier is 0 or empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStats {
    /// Leaf: events accepted, per second, over the last second or so. Root: events merged.
    pub events_per_s: f64,
    /// Leaf: age of the oldest event that is not merged yet, in milliseconds.
    pub lag_ms: u64,
    /// Leaf: producers. Broadcast node: viewers.
    pub connections: u64,
    /// Leaf: counters in memory. Broadcast node: topics.
    pub entries: u64,
    /// Leaf: bytes of log on disk.
    pub log_bytes: u64,
    /// Leaf: streams that are not wholly merged, or whose log is kept.
    pub streams: Vec<StreamId>,
    /// Leaf: its busiest items of the last second or so, with events per second.
    pub hot_items: Vec<(Topic, Item, f64)>,
    /// Leaf: events per second that it is meant to carry (`leaf.capacity`); hot items are split by their share of it.
    pub capacity: f64,
    /// Whether the node can do its work right now, and if not, why.
    pub trouble: Option<String>,
}
