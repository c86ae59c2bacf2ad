//! Does what the machine asks for.

use super::Core;
use crate::machine::Output;
use crate::shell::disk::Deletion;
use crate::shell::inputs::ToProducer;
use countree_common::cluster::NodeName;
use countree_common::wire::codec;
use countree_common::wire::hello::Refusal;
use countree_common::wire::rpc::Reply;
use countree_common::wire::uplink::ToRoot;

impl Core {
    /// Appends go first: an ack that they allow must find them written, and they take the longest.
    pub(super) fn write_outputs(&mut self) {
        while let Some(append) = self.machine.next_append() {
            self.log.append(append);
        }
        while let Some(output) = self.machine.poll_output() {
            if let Some(root) = self.write(output) {
                self.outboxes.remove_root(&root);
                self.machine.handle_root_lost(&root);
            }
        }
    }

    /// Does what the machine asks; returns a root that does not keep up.
    fn write(&mut self, output: Output) -> Option<NodeName> {
        match output {
            Output::Send { connection, message } => {
                self.outboxes.tell_producer(connection, ToProducer::Message(message));
            }
            Output::Close { connection, code, message } => {
                self.outboxes.tell_producer(connection, ToProducer::Close(Refusal { code, message }));
            }
            Output::Submitted { submission, result } => self.askers.submitted(submission, result),
            Output::Forgotten { submission, result } => {
                self.askers.answer(submission, Reply::TopicForgotten(result));
            }
            Output::Cuts { root, message } => return self.tell_root(root, message),
            Output::Echo { root, stamp } => {
                // It fits any frame.
                let message = codec::encode(&ToRoot::<()>::Echo(stamp)).unwrap_or_default();
                return self.tell_root(root, message);
            }
            Output::Scan { stream, recut } => self.background.scan(self.log.disk(), stream, recut),
            Output::Call { call, callee, request } => self.background.call(call, callee, request),
            Output::Answer { question, reply } => self.askers.answer(question, reply),
            Output::Left { keeps_keys } => self.askers.left(keeps_keys),
            Output::Retire(ledgers) => self.background.retire(ledgers),
            Output::Ask { reset, question } => self.background.ask(reset, question),
            Output::Flushed { flush, version } => self.askers.flushed(flush, version),
            Output::DropStream(stream) => self.log.delete(Deletion::Stream(stream)),
            Output::DropSegment(first) => self.log.delete_segment(first),
            Output::Alarm(message) => tracing::error!("{message}"),
        }
        None
    }

    fn tell_root(&self, root: NodeName, message: Vec<u8>) -> Option<NodeName> {
        if self.outboxes.tell_root(&root, message) { None } else { Some(root) }
    }
}
