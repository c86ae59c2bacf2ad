//! Feeds the machine, one input after another.

use super::Core;
use crate::shell::disk::Written;
use crate::shell::inputs::{Input, Latest};
use countree_common::wire::uplink::FromRoot;

impl Core {
    /// Hands an input to the machine.
    pub(super) fn take(&mut self, input: Input) {
        let now = self.clock.now();
        match input {
            Input::Connected { connection, outbox } => {
                self.outboxes.add_producer(connection, outbox);
                self.machine.handle_connected(connection);
            }
            Input::Disconnected { connection } => {
                self.outboxes.remove_producer(connection);
                self.machine.handle_disconnected(connection);
            }
            Input::Message { connection, message } => self.machine.handle_message(now, connection, message),
            Input::Batch { connection, body, permit } => {
                self.machine.handle_batch(now, connection, &body);
                drop(permit);
            }
            Input::Submission { submission, reply } => {
                let id = self.askers.submission(reply);
                self.machine.handle_submission(now, id, submission);
            }
            Input::Reset { reset, reply } => {
                let id = self.askers.submission(reply);
                self.machine.handle_reset(now, id, reset);
            }
            Input::Forget { topic, reply } => {
                let id = self.askers.question(reply);
                self.machine.handle_forget(id, topic);
            }
            Input::Answer { reset, answer } => self.machine.handle_answer(now, reset, answer),
            Input::Reply { call, reply } => self.machine.handle_reply(now, call, reply),
            Input::Inherit { keys, reply } => {
                let id = self.askers.submission(reply);
                self.machine.handle_inheritance(now, id, &keys);
            }
            Input::Recall { keys, epoch, reply } => {
                let id = self.askers.question(reply);
                self.machine.handle_recall(now, id, &keys, epoch);
            }
            Input::Attempts { attempts, reply } => {
                let id = self.askers.question(reply);
                self.machine.handle_attempts(id, &attempts);
            }
            Input::Note { keys, by, reply } => {
                let id = self.askers.question(reply);
                self.machine.handle_note(now, id, keys, by);
            }
            Input::Flush { topic, by, read, reply } => {
                let flush = self.askers.flush(reply);
                if !self.machine.handle_flush(now, flush, &topic, &by, read) {
                    self.askers.refuse_flush(flush);
                }
            }
            Input::FlushTopic { topic, read, reply } => {
                let flush = self.askers.flush(reply);
                if !self.machine.handle_topic_flush(now, flush, &topic, read) {
                    self.askers.refuse_flush(flush);
                }
            }
            Input::RootConnected { root, link, outbox } => {
                self.outboxes.add_root(root.clone(), link, outbox);
                self.machine.handle_root_lost(&root);
                self.machine.handle_root_connected(now, root);
            }
            Input::RootLost { root, link } => {
                if self.outboxes.end_link(&root, link) {
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
                self.askers.drain(reply);
                self.machine.handle_drain(now);
            }
            Input::End => {}
        }
    }
}
