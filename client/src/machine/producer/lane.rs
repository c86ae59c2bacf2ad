//! The way to one leaf: a connection at a time, a session at a time, and what waits for them.
//!
//! ```text
//! Down ──connect──▶ Connecting ──Open or Resume──▶ Greeting ──Opened──▶ Ready
//!   ▲                                                 ▲                   │
//!   └──────────────── lost, at any time               └── a new session ──┘
//! ```
//!
//! Batches are sent in `Ready` alone. So `Open` is never sent after a session's first batch, and a batch
//! that was sent is repeated only to a leaf that has said how far it got.

mod hearing;
mod sending;

use super::backlog::Backlog;
use super::batch::Batch;
use super::dictionary::Dictionary;
use super::names::Names;
use super::session::Session;
use super::{Fate, FlushId, LinkId, Outgoing, Output, Resolved, Rules, SESSION_IDLE};
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

/// Between two questions to other leaves about a session whose leaf has left.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// A leaf that owes an answer for this long may be gone: a killed process says no goodbye.
const SILENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Down { retry_at: Time },
    Connecting { link: LinkId },
    Greeting { link: LinkId, repeat_at: Option<Time> },
    Ready { link: LinkId, resume_at: Time },
}

/// What a lane borrows from all lanes.
#[derive(Debug)]
pub struct Context<'a> {
    /// The time.
    pub now: Time,
    /// How to batch and wait.
    pub rules: &'a Rules,
    /// What batches' names mean.
    pub names: &'a Names,
    /// Events of flushes before this one wait for no company.
    pub flush: FlushId,
    /// The next session's name.
    pub next_session: &'a mut u128,
    /// The next attempt's number.
    pub next_link: &'a mut LinkId,
    /// What the shell is to do.
    pub outputs: &'a mut VecDeque<Output>,
}

impl Context<'_> {
    fn resolve(&mut self, batch: &Batch, fate: Fate) {
        let events = u64::from(batch.events);
        self.outputs.push_back(Output::Resolved(Resolved { events, first_queued: batch.first_queued, fate }));
    }
}

/// The way to one leaf.
#[derive(Debug)]
pub struct Lane {
    leaf: NodeName,
    address: SocketAddr,
    incarnation: u64,
    is_listed: bool,
    is_draining: bool,
    /// The leaf has said so on this link: what it says after that takes it into account.
    link_drains: bool,
    link: Link,
    /// Attempts in a row that came to nothing.
    failures: u32,
    session: Option<Session>,
    dictionary: Dictionary,
    /// Other leaves need this one's answer: connect, even with nothing to send.
    is_wanted: bool,
    /// When other leaves are asked next how the session here ended.
    ask_at: Time,
    /// What waits to be sent for the first time.
    pub backlog: Backlog,
    /// When a batch was last sent for the first time.
    last_batch: Time,
    /// When the session was last of use.
    session_used: Time,
    /// When the leaf last took something, or first had something to take.
    progress: Time,
    trouble: String,
}

impl Lane {
    /// A lane to a leaf of the view.
    pub fn new(node: &Node) -> Self {
        Self {
            leaf: node.name.clone(),
            address: node.quic,
            incarnation: node.incarnation,
            is_listed: true,
            is_draining: false,
            link_drains: false,
            link: Link::Down { retry_at: Time::default() },
            failures: 0,
            session: None,
            dictionary: Dictionary::default(),
            is_wanted: false,
            ask_at: Time::default(),
            backlog: Backlog::default(),
            last_batch: Time::default(),
            session_used: Time::default(),
            progress: Time::default(),
            trouble: "it has not answered".into(),
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

    /// Whether it holds nothing that anybody waits for.
    pub fn is_empty(&self) -> bool {
        self.backlog.is_empty() && self.unacked().is_none_or(VecDeque::is_empty)
    }

    /// Whether its leaf is gone and nobody waits for it.
    pub fn is_useless(&self) -> bool {
        !self.is_listed && self.is_empty()
    }

    /// Whether something waits for a leaf that may have to be looked for elsewhere.
    pub fn is_cut_off(&self, now: Time) -> bool {
        let is_silent = self.stalled_since().is_some_and(|since| now >= since + SILENCE);
        !self.is_empty() && (self.failures > 0 || is_silent)
    }

    /// The batches that the leaf owes an answer to.
    pub fn unacked(&self) -> Option<&VecDeque<Batch>> {
        self.session.as_ref().map(Session::unacked)
    }

    /// Whether the leaf can be asked something right now.
    pub fn is_ready(&self) -> bool {
        matches!(self.link, Link::Ready { .. })
    }

    /// Connects, even with nothing to send.
    pub fn want(&mut self) {
        self.is_wanted = true;
    }

    /// The session, if it is open.
    pub fn session(&self) -> Option<SessionId> {
        self.session.as_ref().map(Session::id)
    }

    /// Whether batches are in doubt at a leaf that has left the view and does not answer: what became of them may
    /// be found in the table of sessions that it published.
    pub fn is_orphaned(&self) -> bool {
        !self.is_listed && !self.is_ready() && self.unacked().is_some_and(|u| !u.is_empty())
    }

    /// The session to ask another leaf about, if that is due.
    pub fn ask(&mut self, now: Time) -> Option<SessionId> {
        if !self.is_orphaned() || now < self.ask_at {
            return None;
        }
        self.ask_at = now + ASK_EVERY;
        self.session()
    }

    /// The leaf is in the view, maybe elsewhere or started anew.
    pub fn listed(&mut self, node: &Node, ctx: &mut Context<'_>) {
        self.is_listed = true;
        if (node.quic, node.incarnation) == (self.address, self.incarnation) {
            return;
        }
        self.is_draining &= node.incarnation == self.incarnation;
        (self.address, self.incarnation) = (node.quic, node.incarnation);
        // Whoever answered at the old place is gone; a dead process would be noticed only much later.
        self.disconnect(ctx);
        self.link = Link::Down { retry_at: ctx.now };
    }

    /// The leaf is not in the view. It is still asked about its batches where it was last.
    pub fn unlisted(&mut self) {
        self.is_listed = false;
    }

    /// Closes the link, if there is one.
    pub fn disconnect(&mut self, ctx: &mut Context<'_>) {
        if let Link::Connecting { link } | Link::Greeting { link, .. } | Link::Ready { link, .. } = self.link
        {
            ctx.outputs.push_back(Output::Disconnect { leaf: self.leaf.clone(), link });
        }
        self.link = Link::Down { retry_at: ctx.now };
    }

    /// The attempt succeeded.
    pub fn connected(&mut self, link: LinkId, ctx: &mut Context<'_>) {
        if self.link == (Link::Connecting { link }) {
            self.dictionary.clear();
            (self.link_drains, self.is_wanted) = (false, false);
            self.greet(link, ctx);
        }
    }

    /// The attempt failed, or the connection is lost.
    pub fn lost(&mut self, link: LinkId, reason: String, ctx: &mut Context<'_>) {
        let is_current = match self.link {
            Link::Down { .. } => false,
            Link::Connecting { link: l } | Link::Greeting { link: l, .. } | Link::Ready { link: l, .. } => {
                l == link
            }
        };
        if is_current {
            self.trouble = reason;
            self.back_off(ctx.now);
        }
    }

    fn back_off(&mut self, now: Time) {
        let wait = RECONNECT.saturating_mul(1 << self.failures.min(10)).min(RECONNECT_MAX);
        self.failures = self.failures.saturating_add(1);
        self.link = Link::Down { retry_at: now + wait };
    }

    /// Names the session to the leaf: `Open` until that was answered once, `Resume` from then on.
    fn greet(&mut self, link: LinkId, ctx: &mut Context<'_>) {
        let is_stale = ctx.now.since(self.session_used) >= SESSION_IDLE;
        self.session.take_if(|s| s.unacked().is_empty() && (s.is_cut() || s.is_opened() && is_stale));
        let session = self.session.get_or_insert_with(|| {
            let id = SessionId(*ctx.next_session);
            *ctx.next_session = ctx.next_session.wrapping_add(1);
            Session::new(id)
        });
        let message =
            if session.is_opened() { ToLeaf::Resume(session.id()) } else { ToLeaf::Open(session.id()) };
        self.link = Link::Greeting { link, repeat_at: None };
        self.send_message(message, ctx);
    }

    /// Says something to the leaf, if there is a link.
    pub fn send_message(&mut self, message: ToLeaf, ctx: &mut Context<'_>) {
        if let Link::Greeting { link, .. } | Link::Ready { link, .. } = self.link {
            let (leaf, frame) = (self.leaf.clone(), Outgoing::Message(message));
            ctx.outputs.push_back(Output::Send { leaf, link, frame });
        }
    }

    /// Reports what is unacked as in doubt, for good; what follows needs a new session.
    fn forsake_session(&mut self, reason: &str, ctx: &mut Context<'_>) {
        for batch in self.session.take().into_iter().flat_map(Session::abandon) {
            ctx.resolve(&batch, Fate::InDoubt(format!("{}: {reason}", self.leaf)));
        }
    }

    /// Gives everything up: what was sent is in doubt, what was not is rejected.
    pub fn abandon(&mut self, reason: &str, ctx: &mut Context<'_>) {
        self.forsake_session(reason, ctx);
        self.disconnect(ctx);
        for batch in self.backlog.take() {
            ctx.resolve(&batch, Fate::Rejected(format!("{}: {reason}", self.leaf)));
        }
    }
}
