//! Handling of a leaf's messages: about its own sessions, or about one with a leaf that has left.

use super::{Context, LeafConnection, LinkState};
use crate::machine::producer::batch::Batch;
use crate::machine::producer::ids::LinkId;
use crate::machine::producer::output::Fate;
use crate::machine::producer::session::{NeverSent, Session};
use countree_common::session::{Seq, SessionId};
use countree_common::time::Time;
use countree_common::wire::producer::FromLeaf;
use std::collections::VecDeque;
use std::time::Duration;

/// A leaf that is busy is asked again no earlier than this, and no later than [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(1);
const RETRY_MAX: Duration = Duration::from_secs(10);

impl LeafConnection {
    /// Handles a message of the leaf.
    pub fn message(&mut self, link: LinkId, message: FromLeaf, ctx: &mut Context<'_>) {
        let is_ready = match self.link {
            LinkState::Greeting { link: l, .. } if l == link => false,
            LinkState::Ready { link: l, .. } if l == link => true,
            _ => return,
        };
        let result = match message {
            FromLeaf::Opened { session, last } => self.opened(link, session, last, is_ready, ctx),
            FromLeaf::Ended { session, last } if self.session() == Some(session) => self.ended(last, ctx),
            FromLeaf::Expired(session) => {
                if self.session.as_ref().is_some_and(|s| s.id() == session) {
                    self.abandon_session("the leaf has forgotten the session", ctx);
                    self.greet(link, ctx);
                }
                Ok(())
            }
            FromLeaf::Busy { seq, reason, retry_after_ms } => {
                self.problem = reason.to_string();
                let wait = Duration::from_millis(retry_after_ms.into()).clamp(RETRY_MIN, RETRY_MAX);
                self.busy(link, seq, ctx.now + wait, is_ready)
            }
            FromLeaf::Draining => {
                (self.is_draining, self.link_drains) = (true, true);
                Ok(())
            }
            // The messages below are about batches of an earlier session, all of which are answered.
            _ if !is_ready => Ok(()),
            FromLeaf::Ack { seq, .. } => self.ack(seq, ctx),
            FromLeaf::Refused { seq, error } => self.refused(seq, &error.to_string(), ctx),
            FromLeaf::Ended { .. } | FromLeaf::SessionEnd { .. } | FromLeaf::View(_) => Ok(()),
        };
        self.check_answer(result, ctx);
    }

    /// Handles another leaf's answer: it has found this session's end in the table of sessions that its leaf
    /// published.
    pub fn session_ended(&mut self, last: Seq, ctx: &mut Context<'_>) {
        let result = self.ended(last, ctx);
        self.check_answer(result, ctx);
    }

    /// Abandons the session of a leaf that breaks the protocol: its answers about other batches can't be
    /// trusted either.
    fn check_answer(&mut self, result: Result<(), NeverSent>, ctx: &mut Context<'_>) {
        if let Err(nonsense) = result {
            self.abandon_session(&nonsense.to_string(), ctx);
            self.disconnect(ctx);
            self.back_off(ctx.now);
        }
    }

    /// Handles a leaf's end of this session: the batches that it counted are acked, the others count as never
    /// sent.
    fn ended(&mut self, last: Seq, ctx: &mut Context<'_>) -> Result<(), NeverSent> {
        self.ack(last, ctx)?;
        let uncounted = self.session.take().map(Session::abandon).unwrap_or_default();
        self.take_back(uncounted);
        match self.link {
            LinkState::Greeting { link, .. } | LinkState::Ready { link, .. } if !self.link_drains => {
                self.greet(link, ctx)
            }
            _ => self.disconnect(ctx),
        }
        Ok(())
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
        self.times.session_used = ctx.now;
        self.failures = 0;
        self.ack(last, ctx)?;
        if !is_ready {
            self.session.iter_mut().for_each(Session::rewind);
            self.times.progress = ctx.now;
            self.link = LinkState::Ready { link, resume_at: ctx.now };
        }
        Ok(())
    }

    fn ack(&mut self, seq: Seq, ctx: &mut Context<'_>) -> Result<(), NeverSent> {
        let Some(session) = &mut self.session else { return Ok(()) };
        for batch in session.ack(seq)? {
            ctx.resolve(&batch, Fate::Acked);
            self.times.progress = ctx.now;
        }
        Ok(())
    }

    fn refused(&mut self, seq: Seq, error: &str, ctx: &mut Context<'_>) -> Result<(), NeverSent> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let mut uncounted = session.cut(seq)?;
        if let Some(bad) = uncounted.pop_front() {
            ctx.resolve(&bad, Fate::Rejected(error.to_owned()));
            self.times.progress = ctx.now;
        }
        self.take_back(uncounted);
        Ok(())
    }

    fn busy(&mut self, link: LinkId, seq: Seq, until: Time, is_ready: bool) -> Result<(), NeverSent> {
        if !is_ready {
            self.link = LinkState::Greeting { link, repeat_at: Some(until) };
            return Ok(());
        }
        let Some(session) = &mut self.session else { return Ok(()) };
        self.link = LinkState::Ready { link, resume_at: until };
        session.rewind_to(seq)
    }

    /// Puts batches back that were not counted, for certain: they count as never sent, and may go to any
    /// leaf.
    fn take_back(&mut self, uncounted: VecDeque<Batch>) {
        uncounted.into_iter().rev().for_each(|batch| self.backlog.push_front(batch));
    }
}
