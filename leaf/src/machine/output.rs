//! Names the outputs of the machine, which its caller has to do.

#[cfg(doc)]
use super::LeafMachine;
use super::calls::{CallId, Callee};
use super::ids::{ConnectionId, FlushId, SubmissionId};
use super::resets::question::Question;
use crate::log::recut::Recut;
use countree_common::cluster::NodeName;
use countree_common::document::Version;
use countree_common::forget::Tombstone;
use countree_common::ledger::StreamLedger;
use countree_common::stamp::Stamp;
use countree_common::stream::{Lsn, StreamId};
use countree_common::wire::hello::RefusalCode;
use countree_common::wire::producer::FromLeaf;
use countree_common::wire::rpc::{Counted, Reply, Request, SubmitError};
use std::collections::VecDeque;

/// A thing for the machine's caller to do.
#[derive(Debug)]
pub enum Output {
    /// Send a message to a producer.
    Send {
        /// The producer's connection.
        connection: ConnectionId,
        /// The message.
        message: FromLeaf,
    },
    /// End a conversation: the producer does not keep to the protocol.
    Close {
        /// The producer's connection.
        connection: ConnectionId,
        /// For programs.
        code: RefusalCode,
        /// For people.
        message: String,
    },
    /// Answer an HTTP request.
    Submitted {
        /// The request.
        submission: SubmissionId,
        /// Whether it was counted.
        result: Result<Counted, SubmitError>,
    },
    /// Answer the request to forget a topic.
    Forgotten {
        /// The request.
        submission: SubmissionId,
        /// The record of what is gone; `None` for a topic that nothing was ever counted in.
        result: Result<Option<Tombstone>, SubmitError>,
    },
    /// Send cuts to a root.
    Cuts {
        /// The root.
        root: NodeName,
        /// A [`countree_common::wire::uplink::ToRoot::Cuts`], encoded.
        message: Vec<u8>,
    },
    /// Echo a root's stamp.
    Echo {
        /// The root.
        root: NodeName,
        /// Its stamp: everything is merged that was accepted when it came.
        stamp: Stamp,
    },
    /// Read back from a stream's log, and hand the result to [`LeafMachine::handle_scan`].
    Scan {
        /// The stream.
        stream: StreamId,
        /// The stretches to read, by topic.
        recut: Recut,
    },
    /// Ask another node, and hand its answer to [`LeafMachine::handle_reply`]. With [`Request::Drained`] the leaf
    /// leaves the cluster: no heartbeat may follow it.
    Call {
        /// The question's number.
        call: CallId,
        /// The node to ask.
        callee: Callee,
        /// The question.
        request: Request,
    },
    /// Answer another node's question.
    Answer {
        /// The question's number.
        question: SubmissionId,
        /// The answer.
        reply: Reply,
    },
    /// The drain is done: all sessions have ended, all is merged, and the process may end.
    Left {
        /// Whether the disk has to stay nevertheless, for idempotency keys that there is no other leaf to take.
        keeps_keys: bool,
    },
    /// Hand these ledgers to the registry, and then call [`LeafMachine::handle_retired`] for each.
    Retire(Vec<StreamLedger>),
    /// Delete a whole stream's log.
    DropStream(StreamId),
    /// Delete a segment of the live stream's log.
    DropSegment(Lsn),
    /// Ask the cluster, for a reset.
    Ask {
        /// The reset.
        reset: SubmissionId,
        /// The question.
        question: Question,
    },
    /// Answer a flush: all is merged that had been accepted of its topic when it came.
    Flushed {
        /// The flush.
        flush: FlushId,
        /// The version that holds it, 0-0 where there was nothing.
        version: Version,
    },
    /// Tell the operator.
    Alarm(String),
}

/// The outputs that the shell has not taken yet, in order.
#[derive(Debug, Default)]
pub(super) struct Outputs(VecDeque<Output>);

impl Outputs {
    pub(super) fn push(&mut self, output: Output) {
        self.0.push_back(output);
    }

    pub(super) fn pop(&mut self) -> Option<Output> {
        self.0.pop_front()
    }

    /// Sends a producer a message.
    pub(super) fn send(&mut self, connection: ConnectionId, message: FromLeaf) {
        self.push(Output::Send { connection, message });
    }

    /// Answers another node's question.
    pub(super) fn answer(&mut self, question: SubmissionId, reply: Reply) {
        self.push(Output::Answer { question, reply });
    }

    /// Tells another node why there is no answer to its question.
    pub(super) fn fail(&mut self, question: SubmissionId, why: &str) {
        self.answer(question, Reply::Failed(why.into()));
    }

    /// Refuses an HTTP request.
    pub(super) fn refuse(&mut self, submission: SubmissionId, error: SubmitError) {
        self.push(Output::Submitted { submission, result: Err(error) });
    }
}
