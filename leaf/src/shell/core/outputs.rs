//! What the machine puts out, done.

use super::Core;
use crate::machine::calls::{CallId, Callee};
use crate::machine::resets::Question;
use crate::machine::{ConnectionId, Output, SubmissionId};
use crate::shell::disk::Deletion;
use crate::shell::inputs::{CoreHandle, Input, ToProducer};
use crate::shell::questions;
use countree_common::cluster::NodeName;
use countree_common::ledger::StreamLedger;
use countree_common::shell::tasks;
use countree_common::wire::codec;
use countree_common::wire::hello::Refusal;
use countree_common::wire::rpc::{Reply, Request};
use countree_common::wire::uplink::ToRoot;
use std::collections::VecDeque;

impl Core {
    /// Appends go first: an ack that they allow must find them written, and they take the longest.
    pub(super) fn write_outputs(&mut self) {
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
            Output::Forgotten { submission, result } => {
                if let Some(asker) = self.questions.remove(&submission) {
                    // Who asked may have given up.
                    let _ = asker.send(Reply::TopicForgotten(result));
                }
            }
            Output::Cuts { root, message } => return self.tell_root(root, message),
            Output::Echo { root, stamp } => {
                // It fits any frame.
                let message = codec::encode(&ToRoot::<()>::Echo(stamp)).unwrap_or_default();
                return self.tell_root(root, message);
            }
            Output::Scan { stream, recut } => {
                let (disk, inputs) = (self.disk.clone(), self.inputs.clone());
                tasks::spawn_blocking_on(&self.runtime, move || {
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
            Output::Flushed { flush, version } => {
                if let Some(reply) = self.flushes.remove(&flush) {
                    // Who asked may have given up.
                    let _ = reply.send(version);
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
        tasks::spawn_on(&self.runtime, async move {
            let reply = caller.ask(callee, request).await;
            handle.tell(Input::Reply { call, reply }).await;
        });
    }

    fn ask(&self, reset: SubmissionId, question: Question) {
        let Some(inputs) = self.inputs.upgrade() else { return };
        let (membership, handle) = (self.caller.membership.clone(), CoreHandle { inputs });
        tasks::spawn_on(&self.runtime, async move {
            let answer = questions::ask(&membership, &handle, question).await;
            handle.tell(Input::Answer { reset, answer }).await;
        });
    }

    fn retire(&self, ledgers: Vec<StreamLedger>) {
        let Some(inputs) = self.inputs.upgrade() else { return };
        let (membership, handle) = (self.caller.membership.clone(), CoreHandle { inputs });
        tasks::spawn_on(&self.runtime, async move {
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
