//! Names the inputs of the core, and holds the channel to it.

use super::disk::{DiskError, Written};
use crate::machine::calls::CallId;
use crate::machine::resets::Answer;
use crate::machine::{ConnectionId, Found, SubmissionId};
use bytes::Bytes;
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::document::Version;
use countree_common::key::Topic;
use countree_common::ledger::StreamLedger;
use countree_common::stream::StreamId;
use countree_common::wire::hello::Refusal;
use countree_common::wire::keys::{Attempt, IdempotencyKey, Remembered};
use countree_common::wire::producer::{FromLeaf, ToLeaf};
use countree_common::wire::rpc::{
    Counted, NodeStats, Reply, Reset, StreamPositions, StreamProgress, Submission, SubmitError,
};
use countree_common::wire::uplink::FromRoot;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// Inputs that wait for the core; senders wait when it is full.
pub(super) const INPUTS: usize = 1_024;
/// Messages that wait for one producer or root. One that falls further behind is cut off; it reconnects
/// and both sides take up where they stand.
pub(super) const OUTBOX: usize = 4_096;

/// The leaf's report on itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Latest {
    pub(super) stats: NodeStats,
    pub(super) imbalances: u64,
    pub(super) reached: StreamProgress,
}

/// A message for a producer's task to send.
#[derive(Debug)]
pub(super) enum ToProducer {
    Message(FromLeaf),
    Close(Refusal),
}

/// An input of the core.
#[derive(Debug)]
pub(super) enum Input {
    Connected {
        connection: ConnectionId,
        outbox: mpsc::Sender<ToProducer>,
    },
    Disconnected {
        connection: ConnectionId,
    },
    Message {
        connection: ConnectionId,
        message: ToLeaf,
    },
    /// The permit is the batch's share of the bytes that may wait here.
    Batch {
        connection: ConnectionId,
        body: Bytes,
        permit: OwnedSemaphorePermit,
    },
    Submission {
        submission: Submission,
        reply: oneshot::Sender<Result<Counted, SubmitError>>,
    },
    /// The link is the conversation's number: what is lost may already have been replaced.
    RootConnected {
        root: NodeName,
        link: u64,
        outbox: mpsc::Sender<Bytes>,
    },
    RootLost {
        root: NodeName,
        link: u64,
    },
    /// A root says something.
    Root(NodeName, FromRoot),
    View(Arc<ClusterView>),
    /// A root has confirmed the view.
    Confirmed,
    Written(Written),
    Scanned {
        stream: StreamId,
        found: Result<Found, DiskError>,
    },
    Retired {
        streams: Vec<StreamId>,
        is_done: bool,
    },
    Reset {
        reset: Reset,
        reply: oneshot::Sender<Result<Counted, SubmitError>>,
    },
    /// A topic is to be forgotten. Answered by [`Reply::TopicForgotten`].
    Forget {
        topic: Topic,
        reply: oneshot::Sender<Reply>,
    },
    /// The cluster's answer to a reset's question.
    Answer {
        reset: SubmissionId,
        answer: Answer,
    },
    /// Another node's answer to a question of the machine, if there was one.
    Reply {
        call: CallId,
        reply: Option<Reply>,
    },
    /// Idempotency keys of a leaf that leaves. Answered once they are on disk.
    Inherit {
        keys: Vec<Remembered>,
        reply: oneshot::Sender<Result<Counted, SubmitError>>,
    },
    /// Asks what this leaf remembers of keys, as of an epoch.
    Recall {
        keys: Vec<IdempotencyKey>,
        epoch: u64,
        reply: oneshot::Sender<Reply>,
    },
    /// Asks whether these attempts of this leaf used up these keys.
    Attempts {
        attempts: Vec<(IdempotencyKey, Attempt)>,
        reply: oneshot::Sender<Reply>,
    },
    /// Another leaf's attempt may use up these keys.
    Note {
        keys: Vec<IdempotencyKey>,
        by: Attempt,
        reply: oneshot::Sender<Reply>,
    },
    /// Answered once all is merged that was accepted of a topic by now, for a reset by some leaf.
    Flush {
        topic: Topic,
        by: NodeName,
        read: Version,
        reply: oneshot::Sender<Version>,
    },
    /// The same for somebody who has read that version of it.
    FlushTopic {
        topic: Topic,
        read: Version,
        reply: oneshot::Sender<Version>,
    },
    Ledgers(oneshot::Sender<Vec<StreamLedger>>),
    /// Every topic is to be asked about.
    AskAgain,
    Positions {
        stream: StreamId,
        reply: oneshot::Sender<Option<StreamPositions>>,
    },
    Stats(oneshot::Sender<Latest>),
    /// Answered once the process may end; `true` when the disk has to stay, for idempotency keys.
    Drain(oneshot::Sender<bool>),
    /// Ends the core, and with it the log's writer.
    End,
}

/// The way to the core. Copies lead to the same one.
#[derive(Debug, Clone)]
pub(super) struct CoreHandle {
    pub(super) inputs: mpsc::Sender<Input>,
}

impl CoreHandle {
    /// Tells the core; `false` when it has ended.
    pub(super) async fn tell(&self, input: Input) -> bool {
        self.inputs.send(input).await.is_ok()
    }

    /// Asks the core; `None` when it has ended.
    pub(super) async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Input) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        if !self.tell(question(sender)).await {
            return None;
        }
        receiver.await.ok()
    }
}
