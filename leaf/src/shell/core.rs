//! The thread that owns the machine: one input after another, and after each batch of inputs its outputs.

mod outputs;

use super::calls::Caller;
use super::disk::{Deletion, Disk, Written};
use super::inputs::{CoreHandle, INPUTS, Input, Latest, ToProducer};
use crate::machine::log_builder::Append;
use crate::machine::{ConnectionId, LeafMachine, SubmissionId};
use bytes::Bytes;
use countree_common::cluster::NodeName;
use countree_common::document::Version;
use countree_common::shell::clock::Clock;
use countree_common::shell::tasks;
use countree_common::wire::rpc::{Counted, Reply, SubmitError};
use countree_common::wire::uplink::FromRoot;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Inputs taken before outputs are written.
const INPUTS_AT_ONCE: usize = 256;

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
    submissions: HashMap<SubmissionId, oneshot::Sender<Result<Counted, SubmitError>>>,
    next_submission: SubmissionId,
    questions: HashMap<SubmissionId, oneshot::Sender<Reply>>,
    flushes: HashMap<u64, oneshot::Sender<Version>>,
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
    tasks::spawn_thread("leaf-log", move || {
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
    tasks::spawn_thread("leaf-delete", move || {
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
    tasks::spawn_thread("leaf-core", move || {
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

    fn open_flush(&mut self, reply: oneshot::Sender<Version>) -> u64 {
        self.next_submission += 1;
        self.flushes.retain(|_, waiting| !waiting.is_closed());
        self.flushes.insert(self.next_submission, reply);
        self.next_submission
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
            Input::Forget { topic, reply } => {
                let id = self.ask_machine(reply);
                self.machine.handle_forget(id, topic);
            }
            Input::Answer { reset, answer } => self.machine.handle_answer(now, reset, answer),
            Input::Reply { call, reply } => self.machine.handle_reply(now, call, reply),
            Input::Inherit { keys, reply } => {
                self.next_submission += 1;
                self.submissions.insert(self.next_submission, reply);
                self.machine.handle_inheritance(now, self.next_submission, &keys);
            }
            Input::Recall { keys, epoch, reply } => {
                let id = self.ask_machine(reply);
                self.machine.handle_recall(now, id, &keys, epoch);
            }
            Input::Attempts { attempts, reply } => {
                let id = self.ask_machine(reply);
                self.machine.handle_attempts(id, &attempts);
            }
            Input::Note { keys, by, reply } => {
                let id = self.ask_machine(reply);
                self.machine.handle_note(now, id, keys, by);
            }
            Input::Flush { topic, by, read, reply } => {
                let flush = self.open_flush(reply);
                if !self.machine.handle_flush(now, flush, &topic, &by, read) {
                    self.flushes.remove(&flush);
                }
            }
            Input::FlushTopic { topic, read, reply } => {
                let flush = self.open_flush(reply);
                if !self.machine.handle_topic_flush(now, flush, &topic, read) {
                    self.flushes.remove(&flush);
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
            Input::Root(_, FromRoot::Outcomes(outcomes)) => self.machine.handle_outcomes(now, outcomes),
            Input::Root(_, FromRoot::NearLimit(totals)) => self.machine.handle_near_limit(&totals),
            Input::Root(root, FromRoot::Stamp(stamp)) => self.machine.handle_stamp(now, &root, stamp),
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
            Input::Ledgers(reply) => drop(reply.send(self.machine.known_ledgers())),
            Input::AskAgain => self.machine.handle_ask_again(now),
            Input::Stats(reply) => {
                let (stats, imbalances) = (self.machine.stats(now.wall), self.machine.imbalances());
                drop(reply.send(Latest { stats, imbalances, reached: self.machine.reached() }))
            }
            Input::Drain(reply) => {
                self.draining = Some(reply);
                self.machine.handle_drain(now);
            }
            Input::End => {}
        }
    }

    fn ask_machine(&mut self, reply: oneshot::Sender<Reply>) -> SubmissionId {
        self.next_submission += 1;
        self.questions.insert(self.next_submission, reply);
        self.next_submission
    }
}
