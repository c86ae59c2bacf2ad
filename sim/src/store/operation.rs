//! What roots ask of the store, and what they are answered.

use crate::network::LinkId;
use countree_common::cluster::NodeName;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::{Snapshot, Version};
use countree_common::forget::ForgetOutcome;
use countree_common::key::Topic;
use countree_common::session::SessionId;
use countree_common::wire::rpc::{Reply, SessionTable};
use countree_root::machine::{BatchId, ReadId};
use std::sync::Arc;

/// What a root asks of it.
#[derive(Debug)]
pub(crate) enum Operation {
    /// Merge cuts.
    Merge(BatchId, Arc<[Cut]>),
    /// Read a topic.
    Read(ReadId, Topic),
    /// Read a topic for whoever asked on that connection.
    Show(LinkId, Topic),
    /// Forget a topic that stands at that version, for the one who asked on that connection.
    Forget(LinkId, Topic, Version),
    /// Keep how sessions ended.
    Publish(LinkId, SessionTable),
    /// Say how a session ended.
    Ended(LinkId, NodeName, SessionId),
    /// Say in which era it serves.
    Era,
    /// Load the registry.
    Load,
    /// Save the registry over that revision.
    Save { expected: u64, next: u64, text: String },
}

impl Operation {
    /// What the root is told when no answer comes.
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

/// What a root is told; inner `None` where the store was silent.
#[derive(Debug)]
pub(crate) enum Answer {
    /// To [`Operation::Merge`], for each cut.
    Merged(BatchId, Vec<Option<Outcome>>),
    /// To [`Operation::Read`].
    Read(ReadId, Option<Option<Snapshot>>),
    /// To [`Operation::Forget`].
    Forgotten(LinkId, Topic, ForgetOutcome),
    /// To whoever asked a root on that connection.
    Replied(LinkId, Reply),
    /// To [`Operation::Era`].
    Era(Option<u64>),
    /// To [`Operation::Load`].
    Loaded(Option<Option<(u64, String)>>),
    /// To [`Operation::Save`].
    Saved(Option<bool>),
}
