//! The work of a connection as time passes: connects, sends, repeats, and gives up in the end.

use super::{Context, LeafConnection, LinkState};
use crate::machine::producer::ids::{FlushId, LinkId};
use crate::machine::producer::options::ProducerOptions;
use crate::machine::producer::output::{Fate, Outgoing, Output};
use crate::machine::producer::session::SESSION_IDLE;
use countree_common::time::Time;
use std::collections::VecDeque;

impl LeafConnection {
    /// Does all work that is due.
    pub fn pump(&mut self, ctx: &mut Context<'_>) {
        self.give_up_if_silent(ctx);
        match self.link {
            LinkState::Down { retry_at } if self.needs_link() && ctx.now >= retry_at => {
                let link = *ctx.next_link;
                *ctx.next_link = link.next();
                self.link = LinkState::Connecting { link };
                let (leaf, address) = (self.leaf.clone(), self.address);
                ctx.outputs.push_back(Output::Connect { leaf, link, address });
            }
            LinkState::Greeting { link, repeat_at: Some(at) } if ctx.now >= at => self.greet(link, ctx),
            LinkState::Ready { link, resume_at } if ctx.now >= resume_at => self.send(link, ctx),
            _ => {}
        }
    }

    fn send(&mut self, link: LinkId, ctx: &mut Context<'_>) {
        let Some(session) = &mut self.session else { return self.greet(link, ctx) };
        loop {
            while let Some((seq, batch)) = session.next_to_send() {
                let body = self.dictionary.encode(seq, batch, ctx.names.of(batch.generation));
                let frame = Outgoing::Batch(body.into());
                ctx.outputs.push_back(Output::Send { leaf: self.leaf.clone(), link, frame });
            }
            let is_clear = session.unacked().is_empty();
            let is_stale = ctx.now.since(self.times.session_used) >= SESSION_IDLE;
            if is_clear && (session.is_cut() || is_stale) && !self.backlog.is_empty() {
                return self.greet(link, ctx);
            }
            if session.is_cut() || session.unacked().len() >= ctx.options.in_flight_batches {
                return;
            }
            let linger_ends = self.times.batch_sent + ctx.options.linger;
            let is_due =
                |(since, flush): (Time, FlushId)| flush < ctx.flush || ctx.now >= since.max(linger_ends);
            if !self.backlog.has_closed() && self.backlog.filling_since().is_some_and(is_due) {
                self.backlog.close_filling();
            }
            let Some(batch) = self.backlog.pop() else { return };
            if is_clear {
                self.times.progress = ctx.now;
            }
            (self.times.batch_sent, self.times.session_used) = (ctx.now, ctx.now);
            session.push(batch);
        }
    }

    /// Returns since when batches have waited without any progress.
    pub(super) fn stalled_since(&self) -> Option<Time> {
        let sent = self.unacked().and_then(VecDeque::front).map(|b| b.first_queued);
        let oldest = sent.into_iter().chain(self.backlog.next_since()).min()?;
        Some(oldest.max(self.times.progress))
    }

    fn give_up_if_silent(&mut self, ctx: &mut Context<'_>) {
        let (now, give_up) = (ctx.now, ctx.options.give_up);
        let over = |since: Time| now >= since + give_up;
        if !self.stalled_since().is_some_and(over) {
            return;
        }
        let reason = format!("given up after {} s: {}", ctx.options.give_up.as_secs(), self.problem);
        while let Some(batch) = self.backlog.pop_if(over) {
            ctx.resolve(&batch, Fate::Rejected(format!("{}: {reason}", self.leaf)));
        }
        if self.unacked().is_some_and(|u| !u.is_empty()) {
            self.abandon_session(&reason, ctx);
        }
        self.disconnect(ctx);
        self.back_off(ctx.now);
    }

    /// Returns when [`LeafConnection::pump`] has work to do, if nothing else happens before.
    pub fn deadline(&self, options: &ProducerOptions) -> Option<Time> {
        let gives_up = self.stalled_since().map(|since| since + options.give_up);
        let acts = match self.link {
            LinkState::Down { retry_at } if self.needs_link() => Some(retry_at),
            LinkState::Greeting { repeat_at, .. } => repeat_at,
            LinkState::Ready { resume_at, .. } => self.sends_at(options).map(|at| at.max(resume_at)),
            _ => None,
        };
        let asks = self.is_orphaned().then_some(self.ask_at);
        gives_up.into_iter().chain(acts).chain(asks).min()
    }

    fn needs_link(&self) -> bool {
        !self.is_empty() || self.is_required
    }

    fn sends_at(&self, options: &ProducerOptions) -> Option<Time> {
        let session = self.session.as_ref()?;
        let is_spent = session.is_cut() && session.unacked().is_empty() && !self.backlog.is_empty();
        if session.has_unsent() || is_spent {
            return Some(Time::default());
        }
        if session.is_cut() || session.unacked().len() >= options.in_flight_batches {
            // The next ack makes room.
            return None;
        }
        if self.backlog.has_closed() {
            return Some(Time::default());
        }
        let (since, _) = self.backlog.filling_since()?;
        Some(since.max(self.times.batch_sent + options.linger))
    }
}
