//! Puts questions of one process to others: tries one host after another until one answers.

use super::World;
use crate::flaws::Flaw;
use crate::host::Host;
use crate::model::Promise;
use crate::network::{ConnectionId, Message, Side};
use crate::world::event::SimEvent;
use countree_broadcast::machine::CheckId;
use countree_common::wire::hello::Conversation;
use countree_common::wire::rpc::{self, Reply, Request};
use countree_leaf::machine::SubmissionId;
use countree_leaf::machine::calls::CallId;
use std::time::Duration;

/// A question that is not answered within this is asked elsewhere, as in the real shells.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The purpose of a question: the part of the asker that takes the answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Purpose {
    /// Being in the cluster.
    Membership,
    /// A reset that this leaf works on.
    Reset(SubmissionId),
    /// A call of this leaf's machine.
    Call(CallId),
    /// A request of an HTTP client.
    Client,
    /// A read that waits for what was acked.
    Reading(u64),
    /// A check of this broadcast node's machine.
    Check(CheckId),
}

/// A question under way.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) asker: Host,
    pub(super) request: Request,
    pub(super) purpose: Purpose,
    /// The host that is asked at present.
    asked: Option<Host>,
    /// The hosts that are still to be tried, the next one last.
    others: Vec<Host>,
}

impl Question {
    pub(super) fn is_heartbeat(&self) -> bool {
        matches!(self.request, Request::Heartbeat { .. } | Request::LeafHeartbeat { .. })
    }
}

impl World {
    /// Asks one root after another, from a random one on.
    pub(super) fn ask_a_root(&mut self, asker: Host, request: Request, purpose: Purpose) {
        let mut roots: Vec<Host> = (0..self.cluster.roots.len()).map(Host::Root).collect();
        let first = self.random.index(roots.len()).unwrap_or_default();
        roots.rotate_left(first);
        self.ask_next(Question { asker, request, purpose, asked: None, others: roots });
    }

    /// Asks one host.
    pub(super) fn ask(&mut self, asker: Host, asked: Host, request: Request, purpose: Purpose) {
        self.ask_next(Question { asker, request, purpose, asked: None, others: vec![asked] });
    }

    fn ask_next(&mut self, mut question: Question) {
        let Some(asked) = question.others.pop() else { return self.hear(question, None) };
        question.asked = Some(asked);
        let port = self.life(asked).map_or(0, |life| self.port(life));
        let link = self.open(question.asker, asked, port, Conversation::Rpc);
        self.questions.insert(link, question);
        self.queue.after(CALL_TIMEOUT, SimEvent::Unanswered(link));
    }

    /// Sends a question, now that its connection is open.
    pub(super) fn put_question(&mut self, link: ConnectionId) {
        let Some((asker, request)) = self.questions.get(&link).map(|q| (q.asker, q.request.clone())) else {
            return;
        };
        let store = self.membership(asker).and_then(|membership| membership.store);
        let store = store.filter(|_| self.plan.flaw != Some(Flaw::AnsweredStrangers));
        self.send(link, Side::Opener, Message::Ask(rpc::Question { store, request }));
    }

    /// Takes the answer to a question, or the loss of its connection (`None`). Says whether the connection was a question's.
    pub(super) fn is_replied(&mut self, link: ConnectionId, reply: Option<Reply>) -> bool {
        let Some(question) = self.questions.remove(&link) else { return false };
        self.leave(link, Side::Opener);
        match reply {
            Some(Reply::OtherStore(_)) => {
                if question.is_heartbeat() {
                    self.node_is_foreign(question.asker);
                }
                if self.life(question.asker).is_some() {
                    self.ask_next(question);
                }
            }
            None | Some(Reply::Failed(_)) => self.ask_next(question),
            Some(reply) => self.hear(question, Some(reply)),
        }
        true
    }

    /// Drops the questions of an asker that died.
    pub(super) fn forget_questions(&mut self, asker: Host) {
        self.questions.retain(|_, question| question.asker != asker);
    }

    fn hear(&mut self, question: Question, reply: Option<Reply>) {
        let Question { asker, request, purpose, asked, .. } = question;
        match (purpose, asker) {
            (Purpose::Membership, _) => self.hear_of_membership(asker, request, reply),
            (Purpose::Reset(reset), Host::Leaf(i)) => self.reset_receives(i, reset, asked, reply),
            (Purpose::Call(call), Host::Leaf(i)) => self.call_returns(i, call, &request, reply),
            (Purpose::Reading(id), Host::Broadcast(_)) => self.reading_receives(id, &request, asked, reply),
            (Purpose::Client, Host::Client(i)) => self.client_receives(i, reply),
            (Purpose::Check(check), Host::Broadcast(i)) => self.broadcast_checked(i, check, reply),
            (purpose, _) => self.violate(Promise::Orderly, format!("{asker} asked for {purpose:?}")),
        }
    }
}
