//! The connection to one leaf, over all its reconnects: one link at a time, one session at a time, and the
//! batches that wait.
//!
//! ```text
//! Down ──connect──▶ Connecting ──Open or Resume──▶ Greeting ──Opened──▶ Ready
//!   ▲                                                 ▲                   │
//!   └──────────────── lost, at any time               └── a new session ──┘
//! ```
//!
//! Batches are sent in `Ready` alone. So `Open` is never sent after a session's first batch, and a batch
//! that was sent is repeated only to a leaf that has said how far it got.

mod messages;
mod sending;

use super::backlog::Backlog;
use super::batch::Batch;
use super::dictionary::Dictionary;
use super::ids::{FlushId, LinkId};
use super::names::Names;
use super::options::ProducerOptions;
use super::output::{Fate, Outgoing, Output, Resolved};
use super::session::{SESSION_IDLE, Session};
use countree_common::cluster::{Node, NodeName};
use countree_common::session::SessionId;
use countree_common::time::Time;
use countree_common::wire::producer::ToLeaf;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// The wait after the first failed attempt to connect; it doubles up to [`RECONNECT_MAX`].
const RECONNECT: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// The interval between questions to other leaves about a session whose leaf has left.
const ASK_INTERVAL: Duration = Duration::from_millis(500);

/// A leaf that owes an answer for this long may be gone: the connections of a killed process stay open.
const SILENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Down { retry_at: Time },
    Connecting { link: LinkId },
    Greeting { link: LinkId, repeat_at: Option<Time> },
    Ready { link: LinkId, resume_at: Time },
}

/// The parts of the machine that a connection borrows for one call.
#[derive(Debug)]
pub struct Context<'a> {
    /// The time.
    pub now: Time,
    /// The settings of batches and timeouts.
    pub options: &'a ProducerOptions,
    /// The names that batches refer to by number.
    pub names: &'a Names,
    /// Batches of flushes before this one are sent without lingering.
    pub flush: FlushId,
    /// The next session's id.
    pub next_session: &'a mut u128,
    /// The next attempt's number.
    pub next_link: &'a mut LinkId,
    /// Instructions to the shell.
    pub outputs: &'a mut VecDeque<Output>,
}

impl Context<'_> {
    fn resolve(&mut self, batch: &Batch, fate: Fate) {
        let events = u64::from(batch.events);
        self.outputs.push_back(Output::Resolved(Resolved { events, first_queued: batch.first_queued, fate }));
    }
}

/// The times that timeouts are measured from.
#[derive(Debug, Default)]
struct Times {
    /// The last time that a batch was sent for the first time.
    batch_sent: Time,
    /// The last time that the session was used.
    session_used: Time,
    /// The last time that the leaf took a batch, or that a batch began to wait where none did.
    progress: Time,
}

/// The producer's side of one leaf.
#[derive(Debug)]
pub struct LeafConnection {
    leaf: NodeName,
    address: SocketAddr,
    incarnation: u64,
    is_listed: bool,
    is_draining: bool,
    /// Set once the leaf has said on this link that it is leaving: its later messages take that into account.
    link_drains: bool,
    link: LinkState,
    /// Number of failed attempts in a row.
    failures: u32,
    session: Option<Session>,
    dictionary: Dictionary,
    /// Set while this leaf is to be asked about others' sessions: connect, even with nothing to send.
    is_required: bool,
    /// The time at which other leaves are asked next how the session here ended.
    ask_at: Time,
    /// Batches that wait to be sent for the first time.
    pub backlog: Backlog,
    times: Times,
    /// The last problem with the leaf, for people.
    problem: String,
}

impl LeafConnection {
    /// Makes a connection to a leaf of the view, without connecting yet.
    pub fn new(node: &Node) -> Self {
        Self {
            leaf: node.name.clone(),
            address: node.quic,
            incarnation: node.incarnation,
            is_listed: true,
            is_draining: false,
            link_drains: false,
            link: LinkState::Down { retry_at: Time::default() },
            failures: 0,
            session: None,
            dictionary: Dictionary::default(),
            is_required: false,
            ask_at: Time::default(),
            backlog: Backlog::default(),
            times: Times::default(),
            problem: "it has not answered".into(),
        }
    }

    /// The leaf.
    pub fn leaf(&self) -> &NodeName {
        &self.leaf
    }

    /// Whether new batches may go there.
    pub fn takes_new(&self) -> bool {
        self.is_listed && !self.is_draining
    }

    /// Whether every event that it was given is resolved.
    pub fn is_empty(&self) -> bool {
        self.backlog.is_empty() && self.unacked().is_none_or(VecDeque::is_empty)
    }

    /// Whether its leaf is gone and owes no answer.
    pub fn is_unused(&self) -> bool {
        !self.is_listed && self.is_empty()
    }

    /// Whether events wait for a leaf that may have moved to another address.
    pub fn is_cut_off(&self, now: Time) -> bool {
        let is_silent = self.stalled_since().is_some_and(|since| now >= since + SILENCE);
        !self.is_empty() && (self.failures > 0 || is_silent)
    }

    /// Returns the batches that the leaf owes an answer for.
    pub fn unacked(&self) -> Option<&VecDeque<Batch>> {
        self.session.as_ref().map(Session::unacked)
    }

    /// Whether the leaf can be asked a question right now.
    pub fn is_ready(&self) -> bool {
        matches!(self.link, LinkState::Ready { .. })
    }

    /// Connects, even with nothing to send.
    pub fn require_link(&mut self) {
        self.is_required = true;
    }

    /// Returns the session, if it is open.
    pub fn session(&self) -> Option<SessionId> {
        self.session.as_ref().map(Session::id)
    }

    /// Whether batches are in doubt at a leaf that has left the view and does not answer. The table of
    /// sessions that the leaf published may say which of them are counted.
    pub fn is_orphaned(&self) -> bool {
        !self.is_listed && !self.is_ready() && self.unacked().is_some_and(|u| !u.is_empty())
    }

    /// Returns the session to ask another leaf about, if that is due.
    pub fn session_to_ask(&mut self, now: Time) -> Option<SessionId> {
        if !self.is_orphaned() || now < self.ask_at {
            return None;
        }
        self.ask_at = now + ASK_INTERVAL;
        self.session()
    }

    /// Takes over the leaf's address and start from the view.
    pub fn listed(&mut self, node: &Node, ctx: &mut Context<'_>) {
        self.is_listed = true;
        if (node.quic, node.incarnation) == (self.address, self.incarnation) {
            return;
        }
        self.is_draining &= node.incarnation == self.incarnation;
        (self.address, self.incarnation) = (node.quic, node.incarnation);
        // The process at the old address is gone; without this its connection would time out only much later.
        self.disconnect(ctx);
        self.link = LinkState::Down { retry_at: ctx.now };
    }

    /// Marks the leaf as missing in the view. It is still asked about its batches at its last address.
    pub fn unlisted(&mut self) {
        self.is_listed = false;
    }

    /// Closes the link, if there is one.
    pub fn disconnect(&mut self, ctx: &mut Context<'_>) {
        if let LinkState::Connecting { link }
        | LinkState::Greeting { link, .. }
        | LinkState::Ready { link, .. } = self.link
        {
            ctx.outputs.push_back(Output::Disconnect { leaf: self.leaf.clone(), link });
        }
        self.link = LinkState::Down { retry_at: ctx.now };
    }

    /// Handles a successful attempt.
    pub fn connected(&mut self, link: LinkId, ctx: &mut Context<'_>) {
        if self.link == (LinkState::Connecting { link }) {
            self.dictionary.clear();
            (self.link_drains, self.is_required) = (false, false);
            self.greet(link, ctx);
        }
    }

    /// Handles a failed attempt, or a lost connection.
    pub fn lost(&mut self, link: LinkId, reason: String, ctx: &mut Context<'_>) {
        let is_current = match self.link {
            LinkState::Down { .. } => false,
            LinkState::Connecting { link: l }
            | LinkState::Greeting { link: l, .. }
            | LinkState::Ready { link: l, .. } => l == link,
        };
        if is_current {
            self.problem = reason;
            self.back_off(ctx.now);
        }
    }

    fn back_off(&mut self, now: Time) {
        let wait = RECONNECT.saturating_mul(1 << self.failures.min(10)).min(RECONNECT_MAX);
        self.failures = self.failures.saturating_add(1);
        self.link = LinkState::Down { retry_at: now + wait };
    }

    /// Sends the session's id to the leaf: in `Open` until that was answered once, in `Resume` from then on.
    fn greet(&mut self, link: LinkId, ctx: &mut Context<'_>) {
        let is_stale = ctx.now.since(self.times.session_used) >= SESSION_IDLE;
        self.session.take_if(|s| s.unacked().is_empty() && (s.is_cut() || s.is_opened() && is_stale));
        let session = self.session.get_or_insert_with(|| {
            let id = SessionId(*ctx.next_session);
            *ctx.next_session = ctx.next_session.wrapping_add(1);
            Session::new(id)
        });
        let message =
            if session.is_opened() { ToLeaf::Resume(session.id()) } else { ToLeaf::Open(session.id()) };
        self.link = LinkState::Greeting { link, repeat_at: None };
        self.send_message(message, ctx);
    }

    /// Sends a message to the leaf, if there is a link.
    pub fn send_message(&mut self, message: ToLeaf, ctx: &mut Context<'_>) {
        if let LinkState::Greeting { link, .. } | LinkState::Ready { link, .. } = self.link {
            let (leaf, frame) = (self.leaf.clone(), Outgoing::Message(message));
            ctx.outputs.push_back(Output::Send { leaf, link, frame });
        }
    }

    /// Reports unacked batches as in doubt, for good. Later batches need a new session.
    fn abandon_session(&mut self, reason: &str, ctx: &mut Context<'_>) {
        for batch in self.session.take().into_iter().flat_map(Session::abandon) {
            ctx.resolve(&batch, Fate::InDoubt(format!("{}: {reason}", self.leaf)));
        }
    }

    /// Abandons every event: those that were sent are in doubt, the others are rejected.
    pub fn abandon(&mut self, reason: &str, ctx: &mut Context<'_>) {
        self.abandon_session(reason, ctx);
        self.disconnect(ctx);
        for batch in self.backlog.take() {
            ctx.resolve(&batch, Fate::Rejected(format!("{}: {reason}", self.leaf)));
        }
    }
}
