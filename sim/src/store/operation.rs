//! The calls that roots make of the store, and its answers.

use crate::network::ConnectionId;
use countree_common::cluster::NodeName;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::{Snapshot, Version};
use countree_common::forget::ForgetOutcome;
use countree_common::key::Topic;
use countree_common::session::SessionId;
use countree_common::wire::rpc::{Reply, SessionTable};
use countree_root::machine::{BatchId, ReadId};
use std::sync::Arc;

/// A call.
#[derive(Debug)]
pub(crate) enum Operation {
    /// Merge cuts.
    Merge(BatchId, Arc<[Cut]>),
    /// Read a topic.
    Read(ReadId, Topic),
    /// Read a topic for the asker on that connection.
    Show(ConnectionId, Topic),
    /// Forget a topic that stands at that version, for the one who asked on that connection.
    Forget(ConnectionId, Topic, Version),
    /// Keep a session table.
    Publish(ConnectionId, SessionTable),
    /// Tell the last counted batch of a session.
    Ended(ConnectionId, NodeName, SessionId),
    /// Say in which era it serves.
    Era,
    /// Load the registry.
    Load,
    /// Save the registry over that revision.
    Save { expected: u64, next: u64, text: String },
}

impl Operation {
    /// The answer that stands for a missing one, after the timeout.
    pub(crate) fn silence(&self) -> Answer {
        match self {
            Operation::Merge(batch, cuts) => Answer::Merged(*batch, vec![None; cuts.len()]),
            Operation::Read(read, _) => Answer::Read(*read, None),
            Operation::Show(link, _)
            | Operation::Publish(link, _)
            | Operation::Ended(link, ..)
            | Operation::Forget(link, ..) => {
                Answer::Replied(*link, Reply::Failed("the store does not answer".into()))
            }
            Operation::Era => Answer::Era(None),
            Operation::Load => Answer::Loaded(None),
            Operation::Save { .. } => Answer::Saved(None),
        }
    }
}

/// An answer; inner `None` where the store was silent.
#[derive(Debug)]
pub(crate) enum Answer {
    /// To [`Operation::Merge`], for each cut.
    Merged(BatchId, Vec<Option<Outcome>>),
    /// To [`Operation::Read`].
    Read(ReadId, Option<Option<Snapshot>>),
    /// To [`Operation::Forget`].
    Forgotten(ConnectionId, Topic, ForgetOutcome),
    /// To the asker on that connection of a root.
    Replied(ConnectionId, Reply),
    /// To [`Operation::Era`].
    Era(Option<u64>),
    /// To [`Operation::Load`].
    Loaded(Option<Option<(u64, String)>>),
    /// To [`Operation::Save`].
    Saved(Option<bool>),
}
