//! What a leaf is asked by HTTP clients and by other nodes, and what its resets ask.

use super::Process;
use crate::flaws::Flaw;
use crate::network::{LinkId, Message};
use crate::place::Place;
use crate::promise::Promise;
use crate::world::World;
use crate::world::questions::Purpose;
use countree_common::delta::Delta;
use countree_common::document::Version;
use countree_common::event::Event;
use countree_common::key::Counter;
use countree_common::wire::rpc::{Idempotency, Reply, Request, Submission, SubmitError};
use countree_leaf::machine::SubmissionId;
use countree_leaf::machine::resets::{Answer, Question};
use std::collections::BTreeMap;

/// Who waits for an answer of the machine.
#[derive(Debug, Default)]
pub(super) struct Desk {
    waiting: BTreeMap<SubmissionId, Waiting>,
    asked: u64,
}

/// Somebody who waits, and whether it is for a leaf to take keys over, or to read what it has acked.
#[derive(Debug)]
struct Waiting {
    link: LinkId,
    is_heir: bool,
    is_read: bool,
}

impl Desk {
    fn open(&mut self, link: LinkId, request: &Request) -> SubmissionId {
        self.asked += 1;
        let is_heir = matches!(request, Request::TakeKeys(_));
        let is_read = matches!(request, Request::FlushTopic { .. });
        self.waiting.insert(self.asked, Waiting { link, is_heir, is_read });
        self.asked
    }

    /// Who asked is gone.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.waiting.retain(|_, waiting| waiting.link != link);
    }
}

impl World {
    pub(in crate::world) fn leaf_is_asked(&mut self, i: usize, link: LinkId, request: Request) {
        let now = self.clocks(Place::Leaf(i));
        let Some(Process { machine: Some(machine), desk, .. }) = &mut self.leaves[i].process else {
            return;
        };
        let id = desk.open(link, &request);
        match request {
            Request::Submit(submission) => machine.handle_submission(now, id, submission),
            Request::Reset(reset) => machine.handle_reset(now, id, reset),
            Request::Key { key, epoch } => machine.handle_key_question(now, id, key, epoch),
            Request::TakeKeys(keys) => machine.handle_inheritance(now, id, &keys),
            Request::Flush { topic, by } => {
                if !machine.handle_flush(now, id, &topic, &by) {
                    self.answer(i, id, Reply::Failed("not now".into()));
                }
            }
            Request::FlushTopic { topic, read } => {
                if !machine.handle_topic_flush(now, id, &topic, read) {
                    self.answer(i, id, Reply::Failed("not now".into()));
                }
            }
            other => self.violate(Promise::Orderly, format!("leaf-{i} was asked {other:?}")),
        }
        self.drain_leaf(i);
    }

    /// Counts events as an HTTP client's that nothing guards against repeats.
    pub(in crate::world) fn leaf_is_submitted(&mut self, i: usize, events: &[(Counter, i64)]) {
        let now = self.clocks(Place::Leaf(i));
        let event = |(counter, delta): &(Counter, i64)| {
            Some(Event { counter: counter.clone(), delta: Delta::new(*delta).ok()? })
        };
        let events = events.iter().filter_map(event).collect();
        if let Some(machine) = self.leaves[i].machine() {
            machine.handle_submission(now, 0, Submission { events, idempotency: Idempotency::None });
        }
        self.drain_leaf(i);
    }

    pub(super) fn submitted(&mut self, i: usize, id: SubmissionId, result: Result<(), SubmitError>) {
        self.answer(i, id, Reply::Submitted(result));
    }

    pub(super) fn flushed(&mut self, i: usize, flush: u64, version: Version) {
        let desk = self.leaves[i].process.as_ref().map(|p| &p.desk);
        let is_read = desk.and_then(|desk| desk.waiting.get(&flush)).is_some_and(|waiting| waiting.is_read);
        self.answer(i, flush, if is_read { Reply::FlushedTopic(version) } else { Reply::Done });
    }

    pub(super) fn answer(&mut self, i: usize, id: SubmissionId, reply: Reply) {
        let waiting = self.leaves[i].process.as_mut().and_then(|p| p.desk.waiting.remove(&id));
        let Some(Waiting { link, is_heir, .. }) = waiting else { return };
        let reply = match reply {
            Reply::Submitted(Ok(())) if is_heir => Reply::Done,
            Reply::Submitted(Err(e)) if is_heir => Reply::Failed(e.to_string()),
            reply => reply,
        };
        self.leaf_says(i, link, Message::Reply(reply));
    }

    /// A reset has a question to the cluster.
    pub(super) fn reset_asks(&mut self, i: usize, reset: SubmissionId, question: Question) {
        let (me, purpose) = (Place::Leaf(i), Purpose::Reset(reset));
        match question {
            Question::Flush(_, leaf) if self.plan.flaw == Some(Flaw::HastyReset) => {
                self.reset_hears(i, reset, Place::of(&leaf.name), Some(Reply::Done));
            }
            Question::Members => self.ask_a_root(me, Request::Members, purpose),
            Question::Totals(topic) => self.ask_a_root(me, Request::Read(topic), purpose),
            Question::Flush(topic, leaf) => match Place::of(&leaf.name) {
                Some(place) => self.ask(me, place, Request::Flush { topic, by: me.name() }, purpose),
                None => self.violate(Promise::Orderly, format!("{} is no leaf", leaf.name)),
            },
        }
    }

    /// The cluster has answered a reset's question, or not.
    pub(in crate::world) fn reset_hears(
        &mut self,
        i: usize,
        reset: SubmissionId,
        whom: Option<Place>,
        reply: Option<Reply>,
    ) {
        let answer = match (reply, whom) {
            (Some(Reply::Members { view, away }), _) => Answer::Members { view, away },
            (Some(Reply::Snapshot(part)), _) => Answer::Totals(part.totals),
            (Some(Reply::Done), Some(place)) => Answer::Flushed(place.name()),
            _ => Answer::Silence,
        };
        let now = self.clocks(Place::Leaf(i));
        if let Some(machine) = self.leaves[i].machine() {
            machine.handle_answer(now, reset, answer);
        }
        self.drain_leaf(i);
    }
}
