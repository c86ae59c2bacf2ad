//! Leaves for good, so that the disk may go: seals the log, has everything that was accepted merged, and hands over
//! what else only this leaf knows. A crash anywhere on the way leaves the log, with or without its seal, to the next
//! start; every step may be repeated.

use super::Parts;
use super::retirement::{SETTLING, are_kept};
use crate::machine::calls::{Asker, Callee};
use crate::machine::context::Phase;
use crate::machine::output::Output;
use crate::machine::uplink::stream::StreamUplink;
use countree_common::limits;
use countree_common::session::SessionId;
use countree_common::stream::Lsn;
use countree_common::time::{Now, Time};
use countree_common::wire::rpc::{KeyHandover, Reply, Request, SessionTable};
use std::time::Duration;

/// A step that failed is tried again after this time.
const RETRY: Duration = Duration::from_millis(200);

/// The step of leaving that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The seal is not on disk yet: no session has ended.
    Sealing(Lsn),
    /// Sums are on their way to the store.
    Merging,
    /// The table of sessions goes to the store, piece by piece: the sessions up to `done` are there, those up to
    /// `asked` are on their way.
    Publishing { done: Option<SessionId>, asked: Option<SessionId> },
    /// Idempotency keys go to their successors.
    HandingOver,
    /// The registry takes over the ledgers.
    Retiring,
    /// A store that is not durable at once becomes so.
    Resting { since: Time },
    /// The store is asked whether it has kept everything: the table of sessions, and all that was merged.
    Proving { since: Time, has_table: bool },
    /// The registry is asked whether it has kept the ledgers.
    Auditing,
    /// The registry learns that nothing is left here.
    Settling,
    /// The process may end.
    Left,
}

const PUBLISHING: Stage = Stage::Publishing { done: None, asked: None };

/// A leave under way.
#[derive(Debug)]
pub(super) struct Leave {
    stage: Stage,
    /// A step waits for its answer.
    is_asking: bool,
    retry_at: Option<Time>,
    /// Whether the store has called all pieces of the published table durable. Without a table to publish this stays
    /// `false`, since no answer has shown that the store is durable.
    is_table_durable: bool,
}

impl Leave {
    /// Begins with the seal that was logged.
    pub(super) fn new(seal: Lsn) -> Self {
        Self { stage: Stage::Sealing(seal), is_asking: false, retry_at: None, is_table_durable: false }
    }

    /// The time at which [`Leave::go_on`] has something to do that no input brings.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        match self.stage {
            Stage::Resting { since } => Some(since + SETTLING),
            _ => self.retry_at,
        }
    }

    /// Whether keys that come now would be handed over to nobody.
    pub(super) fn is_past_handover(&self) -> bool {
        matches!(self.stage, Stage::Settling | Stage::Left)
    }

    /// Goes as far as it can without another input.
    pub(super) fn go_on(&mut self, now: Now, parts: &mut Parts<'_>) {
        while let Some(next) = self.next_stage(now, parts) {
            self.stage = next;
        }
    }

    fn next_stage(&mut self, now: Now, parts: &mut Parts<'_>) -> Option<Stage> {
        if self.is_asking || self.retry_at.is_some_and(|at| at > now.mono) {
            return None;
        }
        self.retry_at = None;
        match self.stage {
            Stage::Left => None,
            Stage::Sealing(seal) if parts.context.log.durable() < seal => None,
            Stage::Sealing(_) => {
                parts.context.phase = Phase::Sealed;
                parts.intake.tell_outcomes(&mut parts.context.outputs);
                Some(Stage::Merging)
            }
            Stage::Merging => parts.is_drained().then_some(PUBLISHING),
            // A store that went back in time has to be told everything again.
            _ if !parts.is_drained() => Some(Stage::Merging),
            Stage::Publishing { done, .. } => self.publish(done, parts),
            Stage::HandingOver => self.hand_over(parts),
            Stage::Retiring => self.ask(Callee::Root, Request::Retire(parts.ledgers()), parts),
            Stage::Resting { .. } if self.is_past_forgetting(parts) => Some(Stage::Settling),
            Stage::Resting { since } if now.mono < since + SETTLING => None,
            Stage::Resting { .. } => Some(probe_everything(now, parts)),
            Stage::Proving { has_table: false, .. } => self.look_for_table(parts),
            Stage::Proving { since, has_table: true } => prove(since, parts),
            Stage::Auditing => self.ask(Callee::Root, Request::Ledgers, parts),
            Stage::Settling => self.settle(parts),
        }
    }

    fn ask(&mut self, callee: Callee, request: Request, parts: &mut Parts<'_>) -> Option<Stage> {
        self.is_asking = true;
        parts.context.call(Asker::Leave, callee, request);
        None
    }

    /// Publishes the next piece of the table of sessions.
    fn publish(&mut self, done: Option<SessionId>, parts: &mut Parts<'_>) -> Option<Stage> {
        let sessions = parts.intake.sessions().ended(done, limits::SESSIONS_PER_MESSAGE);
        let Some((last, _)) = sessions.last() else { return Some(Stage::HandingOver) };
        self.stage = Stage::Publishing { done, asked: Some(*last) };
        let config = &parts.context.config;
        let keep_ms = u64::try_from(config.horizon.as_millis()).unwrap_or(u64::MAX);
        let table = SessionTable { leaf: config.leaf.clone(), sessions, keep_ms };
        self.ask(Callee::Root, Request::Publish(table), parts)
    }

    /// Hands the next idempotency keys over.
    fn hand_over(&mut self, parts: &mut Parts<'_>) -> Option<Stage> {
        let Parts { idempotency, context, .. } = parts;
        if !idempotency.handover().was_divided_since(context.members.owners_since()) {
            idempotency.divide(&context.config.leaf, &context.members);
        }
        match idempotency.handover().next_part() {
            Some((successor, keys)) => self.ask(Callee::Leaf(successor), Request::TakeOverKeys(keys), parts),
            None => Some(Stage::Retiring),
        }
    }

    /// Whether the store has said that it can't forget anything of this leaf.
    fn is_past_forgetting(&self, parts: &Parts<'_>) -> bool {
        self.is_table_durable
            && parts.uplink.streams().all(|uplink| uplink.last_unconfirmed_merge().is_none())
    }

    /// Asks for the session that was published last; a store that went back has forgotten that one first.
    fn look_for_table(&mut self, parts: &mut Parts<'_>) -> Option<Stage> {
        let leaf = parts.context.config.leaf.clone();
        match parts.intake.sessions().last_ended() {
            Some(session) => self.ask(Callee::Root, Request::SessionEnd { leaf, session }, parts),
            None => self.found_table(),
        }
    }

    fn found_table(&self) -> Option<Stage> {
        match self.stage {
            Stage::Proving { since, .. } => Some(Stage::Proving { since, has_table: true }),
            _ => None,
        }
    }

    /// Tells the registry that nothing is left here, except perhaps keys that no other leaf is there to take.
    fn settle(&mut self, parts: &mut Parts<'_>) -> Option<Stage> {
        let Parts { idempotency, uplink, context, .. } = parts;
        if !idempotency.handover().is_done_since(context.members.owners_since()) {
            return Some(Stage::HandingOver);
        }
        let handover = KeyHandover {
            successors: context.members.successors(&context.config.leaf),
            epoch: context.members.view().epoch,
            is_empty: idempotency.keys().is_empty(),
        };
        let stream = uplink.live().stream().clone();
        self.ask(Callee::Root, Request::Drained { stream, handover }, parts)
    }

    /// The step under way was answered, or failed.
    pub(super) fn handle_reply(&mut self, now: Now, reply: Option<Reply>, parts: &mut Parts<'_>) {
        self.is_asking = false;
        let next = match (self.stage, reply) {
            (Stage::Publishing { done, asked }, Some(Reply::Published { durable })) => {
                self.is_table_durable = durable && (done.is_none() || self.is_table_durable);
                Some(Stage::Publishing { done: asked, asked: None })
            }
            (Stage::HandingOver, Some(Reply::Done)) => {
                parts.idempotency.handover().note_handed_over();
                Some(Stage::HandingOver)
            }
            (Stage::Retiring, Some(Reply::Done)) => Some(Stage::Resting { since: now.mono }),
            (Stage::Proving { .. }, Some(Reply::SessionEnd(Some(_)))) => self.found_table(),
            (Stage::Proving { .. }, Some(Reply::SessionEnd(None))) => Some(PUBLISHING),
            (Stage::Auditing, Some(Reply::Ledgers(kept))) if are_kept(&parts.ledgers(), &kept) => {
                Some(Stage::Settling)
            }
            (Stage::Auditing, Some(Reply::Ledgers(_))) => Some(Stage::Retiring),
            (Stage::Settling, Some(Reply::Drained { keeps_keys })) => {
                // The registry's word counts, not what this leaf knows: others may have come since the registry found
                // that nobody was there, and keys may have expired. What the registry takes for kept has to be there
                // when the leaf is back.
                parts.context.outputs.push(Output::Left { keeps_keys });
                Some(Stage::Left)
            }
            _ => None,
        };
        match next {
            Some(stage) => self.stage = stage,
            None => self.retry_at = Some(now.mono + RETRY),
        }
        self.go_on(now, parts);
    }
}

/// Asks about every topic of which the store may have forgotten something.
fn probe_everything(now: Now, parts: &mut Parts<'_>) -> Stage {
    parts.uplink.streams_mut().for_each(StreamUplink::probe_all);
    parts.send_up(now);
    Stage::Proving { since: now.mono, has_table: false }
}

fn prove(since: Time, parts: &Parts<'_>) -> Option<Stage> {
    match parts.uplink.streams().filter_map(StreamUplink::last_unconfirmed_merge).max() {
        // Sent again in the meantime: that has to settle, too.
        Some(merged) if merged + SETTLING > since => Some(Stage::Resting { since: merged }),
        _ => parts.uplink.streams().all(|uplink| uplink.is_answered_since(since)).then_some(Stage::Auditing),
    }
}

#[cfg(test)]
#[path = "drain_tests.rs"]
mod tests;
