//! The thread that owns the machine: one input after another, and after each batch of inputs its outputs.

use super::calls::Caller;
use super::disk::{Deletion, Disk, DiskError, Written};
use super::questions;
use crate::machine::calls::{CallId, Callee};
use crate::machine::journal::Append;
use crate::machine::resets::{Answer, Question};
use crate::machine::{ConnectionId, Found, LeafMachine, Output, SubmissionId};
use bytes::Bytes;
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::key::Topic;
use countree_common::ledger::StreamLedger;
use countree_common::shell::clock::Clock;
use countree_common::stream::StreamId;
use countree_common::wire::codec;
use countree_common::wire::hello::Refusal;
use countree_common::wire::producer::{FromLeaf, ToLeaf};
use countree_common::wire::rpc::{
    NodeStats, Reply, Request, Reset, StreamPositions, Submission, SubmitError, UsedKey,
};
use countree_common::wire::uplink::{FromRoot, ToRoot};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// Inputs that wait for the core; senders wait when it is full.
const INPUTS: usize = 1_024;
/// Inputs taken before outputs are written.
const INPUTS_AT_ONCE: usize = 256;
/// Messages that wait for one producer or root. One that falls behind by so many is cut off; it reconnects
/// and both sides take up where they stand.
pub(super) const OUTBOX: usize = 4_096;

/// What a producer's task is to send.
#[derive(Debug)]
pub(super) enum ToProducer {
    Message(FromLeaf),
    Close(Refusal),
}

/// What the core is told.
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
        reply: oneshot::Sender<Result<(), SubmitError>>,
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
    Root(FromRoot),
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
        reply: oneshot::Sender<Result<(), SubmitError>>,
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
        keys: Vec<UsedKey>,
        reply: oneshot::Sender<Result<(), SubmitError>>,
    },
    /// Does this leaf remember a key, as of an epoch?
    Key {
        key: u128,
        epoch: u64,
        reply: oneshot::Sender<Reply>,
    },
    /// Answered once all is merged that was accepted by now, for a reset by some leaf.
    Flush {
        topic: Topic,
        by: NodeName,
        reply: oneshot::Sender<()>,
    },
    Ledgers(oneshot::Sender<Vec<StreamLedger>>),
    Positions {
        stream: StreamId,
        reply: oneshot::Sender<Option<StreamPositions>>,
    },
    Stats(oneshot::Sender<(NodeStats, u64)>),
    /// Answered once the process may end; `true` when the disk has to stay, for idempotency keys.
    Drain(oneshot::Sender<bool>),
    /// Ends the core, and with it the log's writer.
    End,
}

/// The way to the core. Copies lead to the same one.
#[derive(Debug, Clone)]
pub(super) struct CoreHandle {
    inputs: mpsc::Sender<Input>,
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

/// Everything that the core thread holds.
struct Core {
    machine: LeafMachine,
    incarnation: u64,
    clock: Clock,
    disk: Disk,
    appends: std::sync::mpsc::Sender<Append>,
    /// No more than there are segments.
    deletions: std::sync::mpsc::Sender<Deletion>,
    /// Weak, so that the core ends with the last handle.
    inputs: mpsc::WeakSender<Input>,
    caller: Caller,
    runtime: tokio::runtime::Handle,
    producers: HashMap<ConnectionId, mpsc::Sender<ToProducer>>,
    roots: HashMap<NodeName, (u64, mpsc::Sender<Bytes>)>,
    submissions: HashMap<SubmissionId, oneshot::Sender<Result<(), SubmitError>>>,
    next_submission: SubmissionId,
    questions: HashMap<SubmissionId, oneshot::Sender<Reply>>,
    flushes: HashMap<u64, oneshot::Sender<()>>,
    draining: Option<oneshot::Sender<bool>>,
}

/// The threads of a core, to be waited for. Each holds a sender for as long as it runs.
#[derive(Debug)]
pub(super) struct Threads(mpsc::Receiver<()>);

impl Threads {
    /// Waits until they have ended, and with them the hold on the data folder.
    pub(super) async fn ended(mut self) {
        while self.0.recv().await.is_some() {}
    }
}

/// Starts the core and its log writer. [`Input::End`] ends them, and so does the loss of all handles.
pub(super) fn start(
    machine: LeafMachine,
    incarnation: u64,
    clock: Clock,
    disk: Disk,
    caller: Caller,
) -> std::io::Result<(CoreHandle, Threads)> {
    let (inputs, receiver) = mpsc::channel(INPUTS);
    let handle = CoreHandle { inputs };
    let (appends, to_write) = std::sync::mpsc::channel();
    let reports = handle.inputs.downgrade();
    let (log_runs, ended) = mpsc::channel(1);
    let core_runs = log_runs.clone();
    let writer_disk = disk.clone();
    std::thread::Builder::new().name("leaf-log".into()).spawn(move || {
        writer_disk.write(incarnation, &to_write, |written| {
            if let Some(reports) = reports.upgrade() {
                let _ = reports.blocking_send(Input::Written(written));
            }
        });
        drop(writer_disk);
        drop(log_runs);
    })?;
    let (deletions, to_delete) = std::sync::mpsc::channel();
    let (deleter_disk, deleter_runs) = (disk.clone(), core_runs.clone());
    std::thread::Builder::new().name("leaf-delete".into()).spawn(move || {
        deleter_disk.delete(&to_delete);
        drop(deleter_disk);
        drop(deleter_runs);
    })?;
    let runtime = tokio::runtime::Handle::current();
    let own_runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let core = Core {
        machine,
        incarnation,
        clock,
        disk,
        appends,
        deletions,
        inputs: handle.inputs.downgrade(),
        caller,
        runtime,
        producers: HashMap::new(),
        roots: HashMap::new(),
        submissions: HashMap::new(),
        next_submission: 0,
        questions: HashMap::new(),
        flushes: HashMap::new(),
        draining: None,
    };
    std::thread::Builder::new().name("leaf-core".into()).spawn(move || {
        own_runtime.block_on(core.run(receiver));
        drop(core_runs);
    })?;
    Ok((handle, Threads(ended)))
}

impl Core {
    async fn run(mut self, mut receiver: mpsc::Receiver<Input>) {
        let mut inputs = Vec::with_capacity(INPUTS_AT_ONCE);
        self.write_outputs();
        loop {
            let due = self.machine.next_timeout();
            let wait = due.since(self.clock.now().mono).max(Duration::from_micros(100));
            tokio::select! {
                count = receiver.recv_many(&mut inputs, INPUTS_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                }
                () = tokio::time::sleep(wait) => {}
            }
            for input in inputs.drain(..) {
                if matches!(input, Input::End) {
                    return;
                }
                self.take(input);
            }
            let now = self.clock.now();
            if self.machine.next_timeout() <= now.mono {
                self.machine.handle_time(now);
            }
            self.write_outputs();
        }
    }

    fn take(&mut self, input: Input) {
        let now = self.clock.now();
        match input {
            Input::Connected { connection, outbox } => {
                self.producers.insert(connection, outbox);
                self.machine.handle_connected(connection);
            }
            Input::Disconnected { connection } => {
                self.producers.remove(&connection);
                self.machine.handle_disconnected(connection);
            }
            Input::Message { connection, message } => self.machine.handle_message(now, connection, message),
            Input::Batch { connection, body, permit } => {
                self.machine.handle_batch(now, connection, &body);
                drop(permit);
            }
            Input::Submission { submission, reply } => {
                self.next_submission += 1;
                self.submissions.insert(self.next_submission, reply);
                self.machine.handle_submission(now, self.next_submission, submission);
            }
            Input::Reset { reset, reply } => {
                self.next_submission += 1;
                self.submissions.insert(self.next_submission, reply);
                self.machine.handle_reset(now, self.next_submission, reset);
            }
            Input::Answer { reset, answer } => self.machine.handle_answer(now, reset, answer),
            Input::Reply { call, reply } => self.machine.handle_reply(now, call, reply),
            Input::Inherit { keys, reply } => {
                self.next_submission += 1;
                self.submissions.insert(self.next_submission, reply);
                self.machine.handle_inheritance(now, self.next_submission, &keys);
            }
            Input::Key { key, epoch, reply } => {
                self.next_submission += 1;
                self.questions.insert(self.next_submission, reply);
                self.machine.handle_key_question(now, self.next_submission, key, epoch);
            }
            Input::Flush { topic, by, reply } => {
                self.next_submission += 1;
                self.flushes.retain(|_, waiting| !waiting.is_closed());
                self.flushes.insert(self.next_submission, reply);
                if !self.machine.handle_flush(self.next_submission, &topic, &by) {
                    self.flushes.remove(&self.next_submission);
                }
            }
            Input::RootConnected { root, link, outbox } => {
                self.roots.insert(root.clone(), (link, outbox));
                self.machine.handle_root_lost(&root);
                self.machine.handle_root_connected(now, root);
            }
            Input::RootLost { root, link } => {
                if self.roots.get(&root).is_some_and(|(current, _)| *current == link) {
                    self.roots.remove(&root);
                    self.machine.handle_root_lost(&root);
                }
            }
            Input::Root(FromRoot::Outcomes(outcomes)) => self.machine.handle_outcomes(now, outcomes),
            Input::Root(FromRoot::Near(totals)) => self.machine.handle_near_limit(&totals),
            Input::Confirmed => self.machine.handle_confirmation(now),
            Input::View(view) => self.machine.handle_view(view.as_ref().clone()),
            Input::Written(Written::Durable { last, bytes }) => self.machine.handle_durable(now, last, bytes),
            Input::Written(Written::State(state)) => self.machine.handle_disk(state),
            Input::Scanned { stream, found: Ok(found) } => self.machine.handle_scan(now, &stream, found),
            Input::Scanned { stream, found: Err(e) } => {
                tracing::error!(%stream, "the log can't be read back: {e}");
                self.machine.handle_scan_failed(&stream);
            }
            Input::Retired { streams, is_done: true } => {
                streams.iter().for_each(|s| self.machine.handle_retired(now, s))
            }
            Input::Retired { is_done: false, .. } => self.machine.handle_retire_failed(),
            Input::Positions { stream, reply } => drop(reply.send(self.machine.positions(&stream))),
            Input::Ledgers(reply) => drop(reply.send(self.machine.ledgers())),
            Input::Stats(reply) => {
                drop(reply.send((self.machine.stats(now.wall), self.machine.imbalances())))
            }
            Input::Drain(reply) => {
                self.draining = Some(reply);
                self.machine.handle_drain(now);
            }
            Input::End => {}
        }
    }

    /// Appends go first: an ack that they allow must find them written, and they take the longest.
    fn write_outputs(&mut self) {
        while let Some(append) = self.machine.next_append() {
            // The writer ends only after a failure, which the machine has been told of.
            let _ = self.appends.send(append);
        }
        let mut lost: VecDeque<NodeName> = VecDeque::new();
        while let Some(output) = self.machine.poll_output() {
            if let Some(root) = self.write(output) {
                lost.push_back(root);
            }
            if let Some(root) = lost.pop_front() {
                self.roots.remove(&root);
                self.machine.handle_root_lost(&root);
            }
        }
    }

    /// Does what the machine asks; returns a root that does not keep up.
    fn write(&mut self, output: Output) -> Option<NodeName> {
        match output {
            Output::Send { connection, message } => {
                self.tell_producer(connection, ToProducer::Message(message))
            }
            Output::Close { connection, code, message } => {
                self.tell_producer(connection, ToProducer::Close(Refusal { code, message }));
            }
            Output::Submitted { submission, result } => {
                if let Some(reply) = self.submissions.remove(&submission) {
                    // The client may have gone; the events stand.
                    let _ = reply.send(result);
                }
            }
            Output::Cuts { root, message } => return self.tell_root(root, message),
            Output::Watermark { root, at } => {
                // It fits any frame.
                let message = codec::encode(&ToRoot::<()>::Watermark(at)).unwrap_or_default();
                return self.tell_root(root, message);
            }
            Output::Scan { stream, recut } => {
                let (disk, inputs) = (self.disk.clone(), self.inputs.clone());
                self.runtime.spawn_blocking(move || {
                    let found = disk.scan(&stream, recut);
                    if let Some(inputs) = inputs.upgrade() {
                        let _ = inputs.blocking_send(Input::Scanned { stream, found });
                    }
                });
            }
            Output::Call { call, callee, request } => self.call(call, callee, request),
            Output::Answer { question, reply } => {
                if let Some(asker) = self.questions.remove(&question) {
                    // Who asked may have given up.
                    let _ = asker.send(reply);
                }
            }
            Output::Left { keeps_keys } => {
                if let Some(reply) = self.draining.take() {
                    // Who waited may have run out of patience.
                    let _ = reply.send(keeps_keys);
                }
            }
            Output::Retire(ledgers) => self.retire(ledgers),
            Output::Ask { reset, question } => self.ask(reset, question),
            Output::Flushed { flush } => {
                if let Some(reply) = self.flushes.remove(&flush) {
                    // Who asked may have given up.
                    let _ = reply.send(());
                }
            }
            Output::DropStream(stream) => self.delete(Deletion::Stream(stream)),
            Output::DropSegment(first) => self.delete(Deletion::Segment(self.incarnation, first)),
            Output::Alarm(message) => tracing::error!("{message}"),
        }
        None
    }

    fn tell_producer(&mut self, connection: ConnectionId, message: ToProducer) {
        let is_close = matches!(message, ToProducer::Close(_));
        let is_sent = self.producers.get(&connection).is_some_and(|outbox| outbox.try_send(message).is_ok());
        if is_close || !is_sent {
            // Its task ends with the outbox, and closes the stream.
            self.producers.remove(&connection);
        }
    }

    fn tell_root(&mut self, root: NodeName, message: Vec<u8>) -> Option<NodeName> {
        let sent = self.roots.get(&root).is_some_and(|(_, outbox)| outbox.try_send(message.into()).is_ok());
        if sent { None } else { Some(root) }
    }

    fn call(&self, call: CallId, callee: Callee, request: Request) {
        let Some(inputs) = self.inputs.upgrade() else { return };
        let (caller, handle) = (self.caller.clone(), CoreHandle { inputs });
        self.runtime.spawn(async move {
            let reply = caller.ask(callee, request).await;
            handle.tell(Input::Reply { call, reply }).await;
        });
    }

    fn ask(&self, reset: SubmissionId, question: Question) {
        let Some(inputs) = self.inputs.upgrade() else { return };
        let (membership, handle) = (self.caller.membership.clone(), CoreHandle { inputs });
        self.runtime.spawn(async move {
            let answer = questions::ask(&membership, &handle, question).await;
            handle.tell(Input::Answer { reset, answer }).await;
        });
    }

    fn retire(&self, ledgers: Vec<StreamLedger>) {
        let Some(inputs) = self.inputs.upgrade() else { return };
        let (membership, handle) = (self.caller.membership.clone(), CoreHandle { inputs });
        self.runtime.spawn(async move {
            let streams = ledgers.iter().map(|l| l.stream.clone()).collect();
            let is_done = matches!(membership.ask_a_root(&Request::Retire(ledgers)).await, Ok(Reply::Done));
            handle.tell(Input::Retired { streams, is_done }).await;
        });
    }

    fn delete(&self, deletion: Deletion) {
        // The deleter ends only with the core; what it has not deleted by then goes after the next start.
        let _ = self.deletions.send(deletion);
    }
}
