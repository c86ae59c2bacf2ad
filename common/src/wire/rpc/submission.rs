//! Submissions: events and resets that one leaf takes on behalf of an HTTP client of another.

use crate::cluster::NodeName;
use crate::event::Event;
use crate::key::{Item, Kind, Topic};
use crate::wire::producer::{BusyReason, EventError};
use serde::{Deserialize, Serialize};

/// One HTTP request's events for one leaf, counted all or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The events.
    pub events: Vec<Event>,
    /// Keys that make a repeat harmless.
    pub idempotency: Idempotency,
}

/// The idempotency keys of a submission, which make a repeat harmless. Keys are 128-bit hashes of the client's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Idempotency {
    /// No key: a repeat counts again.
    None,
    /// One key for the whole submission.
    Request {
        /// Hash of the `Idempotency-Key`.
        key: u128,
        /// Hash of the events, which tells a repeat from a mistake.
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

/// The result of a submission that is counted, once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// All of it was known already.
    pub is_replay: bool,
}

/// Sets a topic's counters to 0: events acked before it are gone from the totals, events acked after it stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// Hash of the request's id, which makes a repeat harmless.
    pub key: u128,
    /// The topic.
    pub topic: Topic,
    /// Resets only this item's counters.
    pub item: Option<Item>,
    /// Resets only counters of this kind.
    pub kind: Option<Kind>,
}

/// The reason why a submission was not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SubmitError {
    /// The submission is bad, and never will be counted.
    #[error(transparent)]
    Refused(#[from] EventError),
    /// The leaf can't take it for now.
    #[error("{reason}; repeat after {retry_after_ms} ms")]
    Busy {
        /// The reason.
        reason: BusyReason,
        /// The wait, in milliseconds.
        retry_after_ms: u32,
    },
    /// These leaves are away and may hold something that the answer depends on: events from before a reset, or an
    /// idempotency key. Nothing changed.
    #[error("{} away and may hold what has to be known first: start it again, and repeat", away(.0))]
    Away(Vec<NodeName>),
    /// A node that has to be asked does not answer. Nothing changed.
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
    /// The leaf that remembered an idempotency key is lost, so the key may have been used before. Nothing changed.
    #[error("nobody can say whether this key was used before: the leaf that remembered it is lost")]
    KeyLost,
    /// It may have been counted or not. A repeat is safe only under an idempotency key.
    #[error(
        "the leaf that counts it has not answered in time: it may be counted or not; repeat it under the same Idempotency-Key or ids, and only so"
    )]
    InDoubt,
}

fn away(leaves: &[NodeName]) -> String {
    let names: Vec<_> = leaves.iter().map(NodeName::as_str).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}
