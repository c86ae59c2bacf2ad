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

mod sending;

use super::backlog::Backlog;
use super::batch::Batch;
use super::dictionary::Dictionary;
use super::names::Names;
use super::session::{NeverSent, Session};
use super::{Fate, FlushId, LinkId, Outgoing, Output, Resolved, Rules, SESSION_IDLE};
use countree_common::cluster::{Node, NodeName};
use countree_common::session::{Seq, SessionId};
use countree_common::time::Time;
use countree_common::wire::producer::{FromLeaf, ToLeaf};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// The wait after the first failed attempt to connect; it doubles up to [`RECONNECT_MAX`].
const RECONNECT: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(1);
/// A leaf that is busy is asked again no earlier than this, and no later than [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(1);
const RETRY_MAX: Duration = Duration::from_secs(10);

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
            self.link_drains = false;
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
        ctx.outputs.push_back(Output::Send {
            leaf: self.leaf.clone(),
            link,
            frame: Outgoing::Message(message),
        });
        self.link = Link::Greeting { link, repeat_at: None };
    }

    /// The leaf says something.
    pub fn message(&mut self, link: LinkId, message: FromLeaf, ctx: &mut Context<'_>) {
        let is_ready = match self.link {
            Link::Greeting { link: l, .. } if l == link => false,
            Link::Ready { link: l, .. } if l == link => true,
            _ => return,
        };
        let result = match message {
            FromLeaf::Opened { session, last } => self.opened(link, session, last, is_ready, ctx),
            FromLeaf::Expired(session) => {
                if self.session.as_ref().is_some_and(|s| s.id() == session) {
                    self.forsake_session("the leaf has forgotten the session", ctx);
                    self.greet(link, ctx);
                }
                Ok(())
            }
            FromLeaf::Busy { seq, reason, retry_after_ms } => {
                self.trouble = reason.to_string();
                let wait = Duration::from_millis(retry_after_ms.into()).clamp(RETRY_MIN, RETRY_MAX);
                self.busy(link, seq, ctx.now + wait, is_ready)
            }
            FromLeaf::Draining => {
                (self.is_draining, self.link_drains) = (true, true);
                Ok(())
            }
            // What follows is about batches of the session before, all of which are answered.
            _ if !is_ready => Ok(()),
            FromLeaf::Ack { seq, .. } => self.ack(seq, ctx),
            FromLeaf::Refused { seq, error } => self.refused(seq, &error.to_string(), ctx),
            FromLeaf::View(_) => Ok(()),
        };
        if let Err(nonsense) = result {
            // Such a leaf can't be trusted with what it says of the other batches either.
            self.forsake_session(&nonsense.to_string(), ctx);
            self.disconnect(ctx);
            self.back_off(ctx.now);
        }
    }

    fn opened(
        &mut self,
        link: LinkId,
        id: SessionId,
        last: Seq,
        is_ready: bool,
        ctx: &mut Context<'_>,
    ) -> Result<(), NeverSent> {
        let Some(session) = self.session.as_mut().filter(|s| s.id() == id) else { return Ok(()) };
        session.opened();
        self.session_used = ctx.now;
        self.failures = 0;
        self.ack(last, ctx)?;
        if !is_ready {
            self.session.iter_mut().for_each(Session::rewind);
            self.progress = ctx.now;
            self.link = Link::Ready { link, resume_at: ctx.now };
        }
        Ok(())
    }

    fn ack(&mut self, seq: Seq, ctx: &mut Context<'_>) -> Result<(), NeverSent> {
        let Some(session) = &mut self.session else { return Ok(()) };
        for batch in session.ack(seq)? {
            ctx.resolve(&batch, Fate::Acked);
            self.progress = ctx.now;
        }
        Ok(())
    }

    fn refused(&mut self, seq: Seq, error: &str, ctx: &mut Context<'_>) -> Result<(), NeverSent> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let mut uncounted = session.cut(seq)?;
        if let Some(bad) = uncounted.pop_front() {
            ctx.resolve(&bad, Fate::Rejected(error.to_owned()));
            self.progress = ctx.now;
        }
        self.take_back(uncounted);
        Ok(())
    }

    fn busy(&mut self, link: LinkId, seq: Seq, until: Time, is_ready: bool) -> Result<(), NeverSent> {
        if !is_ready {
            self.link = Link::Greeting { link, repeat_at: Some(until) };
            return Ok(());
        }
        let Some(session) = &mut self.session else { return Ok(()) };
        if self.link_drains {
            // It takes nothing new any more: what it has not counted by now it never will.
            let uncounted = session.cut(seq)?;
            self.take_back(uncounted);
            return Ok(());
        }
        self.link = Link::Ready { link, resume_at: until };
        session.rewind_to(seq)
    }

    /// These were not counted, for certain: they are as if never sent, and may go anywhere.
    fn take_back(&mut self, uncounted: VecDeque<Batch>) {
        uncounted.into_iter().rev().for_each(|batch| self.backlog.push_front(batch));
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
