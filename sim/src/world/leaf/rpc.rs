//! Requests to a leaf from HTTP clients and other nodes, and requests of its resets.

use super::LeafProcess;
use crate::flaws::Flaw;
use crate::host::Host;
use crate::model::Promise;
use crate::network::{ConnectionId, Message};
use crate::world::World;
use crate::world::questions::Purpose;
use countree_common::delta::Delta;
use countree_common::document::Version;
use countree_common::event::Event;
use countree_common::key::Counter;
use countree_common::wire::publish::SnapshotPart;
use countree_common::wire::rpc::{Counted, Idempotency, Reply, Request, Submission, SubmitError};
use countree_leaf::machine::resets::{Answer, Question};
use countree_leaf::machine::{FlushId, SubmissionId};
use std::collections::BTreeMap;

/// Open requests that wait for the machine's answer.
#[derive(Debug, Default)]
pub(super) struct PendingRpcs {
    waiting: BTreeMap<SubmissionId, PendingRpc>,
    asked: u64,
}

/// An open request.
#[derive(Debug)]
struct PendingRpc {
    link: ConnectionId,
    wants: ReplyKind,
}

/// The kind of reply that a request gets.
#[derive(Debug)]
enum ReplyKind {
    /// Events to be counted.
    Counted,
    /// Keys to be taken over.
    TakenOver,
    Other,
}

impl PendingRpcs {
    fn open(&mut self, link: ConnectionId, request: &Request) -> SubmissionId {
        self.asked += 1;
        let wants = match request {
            Request::Count(_) => ReplyKind::Counted,
            Request::TakeOverKeys(_) => ReplyKind::TakenOver,
            _ => ReplyKind::Other,
        };
        let id = SubmissionId(self.asked);
        self.waiting.insert(id, PendingRpc { link, wants });
        id
    }

    /// Drops the requests of a connection that is gone.
    pub(super) fn forget(&mut self, link: ConnectionId) {
        self.waiting.retain(|_, waiting| waiting.link != link);
    }
}

impl World {
    pub(in crate::world) fn leaf_takes_request(&mut self, i: usize, link: ConnectionId, request: Request) {
        let now = self.clocks(Host::Leaf(i));
        let Some(LeafProcess { machine: Some(machine), pending_rpcs, .. }) =
            &mut self.cluster.leaves[i].process
        else {
            return;
        };
        let id = pending_rpcs.open(link, &request);
        match request {
            Request::Count(submission) => machine.handle_submission(now, id, submission),
            Request::Reset(reset) => machine.handle_reset(now, id, reset),
            Request::ForgetTopic(topic) => machine.handle_forget(id, topic),
            Request::LookUpKeys { keys, epoch } => machine.handle_recall(now, id, &keys, epoch),
            Request::AttemptOutcomes(attempts) => machine.handle_attempts(id, &attempts),
            Request::NoteAttempt { keys, by } => machine.handle_note(now, id, keys, by),
            Request::TakeOverKeys(keys) => machine.handle_inheritance(now, id, &keys),
            Request::Flush { topic, by, read } => {
                if !machine.handle_flush(now, FlushId(id.0), &topic, &by, read) {
                    self.answer(i, id, Reply::Failed("not now".into()));
                }
            }
            Request::FlushTopic { topic, read } => {
                if !machine.handle_topic_flush(now, FlushId(id.0), &topic, read) {
                    self.answer(i, id, Reply::Failed("not now".into()));
                }
            }
            other => self.violate(Promise::Orderly, format!("leaf-{i} was asked {other:?}")),
        }
        self.drain_leaf(i);
    }

    /// Submits events as an HTTP client would, with no protection against repeats.
    pub(in crate::world) fn leaf_is_submitted(&mut self, i: usize, events: &[(Counter, i64)]) {
        let now = self.clocks(Host::Leaf(i));
        let event = |(counter, delta): &(Counter, i64)| {
            Some(Event { counter: counter.clone(), delta: Delta::new(*delta).ok()? })
        };
        let events = events.iter().filter_map(event).collect();
        if let Some(machine) = self.cluster.leaves[i].machine() {
            machine.handle_submission(
                now,
                SubmissionId(0),
                Submission { events, idempotency: Idempotency::None },
            );
        }
        self.drain_leaf(i);
    }

    pub(super) fn submitted(&mut self, i: usize, id: SubmissionId, result: Result<Counted, SubmitError>) {
        let reply = match (self.wants(i, id), result) {
            (Some(ReplyKind::TakenOver), Ok(_)) => Reply::Done,
            (Some(ReplyKind::TakenOver), Err(e)) => Reply::Failed(e.to_string()),
            (Some(ReplyKind::Counted), result) => Reply::Counted(result),
            (_, result) => Reply::Submitted(result.map(|_| ())),
        };
        self.answer(i, id, reply);
    }

    fn wants(&self, i: usize, id: SubmissionId) -> Option<&ReplyKind> {
        let waiting = self.cluster.leaves[i].process.as_ref()?.pending_rpcs.waiting.get(&id)?;
        Some(&waiting.wants)
    }

    pub(super) fn flushed(&mut self, i: usize, flush: FlushId, version: Version) {
        self.answer(i, SubmissionId(flush.0), Reply::FlushedTopic(version));
    }

    pub(super) fn answer(&mut self, i: usize, id: SubmissionId, reply: Reply) {
        let waiting =
            self.cluster.leaves[i].process.as_mut().and_then(|p| p.pending_rpcs.waiting.remove(&id));
        let Some(PendingRpc { link, .. }) = waiting else { return };
        self.leaf_sends(i, link, Message::Reply(reply));
    }

    /// Sends a question of a reset to the cluster.
    pub(super) fn send_reset_question(&mut self, i: usize, reset: SubmissionId, question: Question) {
        let (me, purpose) = (Host::Leaf(i), Purpose::Reset(reset));
        match question {
            Question::Flush { leaf, .. } if self.plan.flaw == Some(Flaw::HastyReset) => {
                let nothing = Reply::FlushedTopic(Version::default());
                self.reset_receives(i, reset, Host::of(&leaf.name), Some(nothing));
            }
            Question::Members => self.ask_a_root(me, Request::Members, purpose),
            Question::Totals(topic) => self.ask_a_root(me, Request::Read(topic), purpose),
            Question::Forget { topic, at } => self.ask_a_root(me, Request::ForgetAt { topic, at }, purpose),
            Question::Flush { topic, leaf, read } => match Host::of(&leaf.name) {
                Some(host) => self.ask(me, host, Request::Flush { topic, by: me.name(), read }, purpose),
                None => self.violate(Promise::Orderly, format!("{} is no leaf", leaf.name)),
            },
        }
    }

    /// Takes the answer to a reset's question, or the lack of one.
    pub(in crate::world) fn reset_receives(
        &mut self,
        i: usize,
        reset: SubmissionId,
        asked: Option<Host>,
        reply: Option<Reply>,
    ) {
        let answer = match (reply, asked) {
            (Some(Reply::Members { view, away }), _) => Answer::Members { view, away },
            (Some(Reply::Snapshot(SnapshotPart { version, totals, .. })), _) => {
                Answer::Totals { version, totals }
            }
            (Some(Reply::FlushedTopic(version)), Some(host)) => {
                let is_blind = self.plan.flaw == Some(Flaw::ResetOfAnyVersion);
                Answer::Flushed(host.name(), if is_blind { Version::default() } else { version })
            }
            (Some(Reply::ForgetOutcome(forgetting)), _) => Answer::ForgetOutcome(forgetting),
            _ => Answer::Silence,
        };
        let now = self.clocks(Host::Leaf(i));
        if let Some(machine) = self.cluster.leaves[i].machine() {
            machine.handle_answer(now, reset, answer);
        }
        self.drain_leaf(i);
    }
}
