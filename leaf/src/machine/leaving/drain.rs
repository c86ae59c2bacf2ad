//! Leaving for good, so that the disk may go: the log is sealed, what was accepted is merged, and what else only this
//! leaf knows is handed over. A crash anywhere on the way leaves the log, with or without its seal, to the next
//! start; every step may be repeated.

use crate::log::record::Record;
use crate::machine::calls::{Asker, Callee};
use crate::machine::context::Phase;
use crate::machine::idempotency::handover::Estate;
use crate::machine::leaving::retirement::{SETTLING, are_kept};
use crate::machine::uplink::stream::StreamUplink;
use crate::machine::{LeafMachine, Output};
use countree_common::limits;
use countree_common::session::SessionId;
use countree_common::stream::Lsn;
use countree_common::time::{Now, Time};
use countree_common::wire::rpc::{KeyHandover, Reply, Request, SessionTable};
use std::time::Duration;

/// A step that failed is tried again after this long.
const RETRY: Duration = Duration::from_millis(200);

/// How far the leaf is on its way out.
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
    /// It is asked whether it has kept everything: the table of sessions, and all that was merged.
    Proving { since: Time, has_table: bool },
    /// The registry is asked whether it has kept the ledgers.
    Auditing,
    /// The registry is told that nothing is left here.
    Settling,
    /// The process may end.
    Left,
}

const PUBLISHING: Stage = Stage::Publishing { done: None, asked: None };

/// A leave under way.
#[derive(Debug)]
pub(in crate::machine) struct Leave {
    stage: Stage,
    /// A step waits for its answer.
    is_asking: bool,
    retry_at: Option<Time>,
    /// By the store's word. Where there is no table to publish, nothing tells what the store's word is worth.
    is_table_durable: bool,
    estate: Estate,
}

impl Leave {
    fn new(seal: Lsn) -> Self {
        Self {
            stage: Stage::Sealing(seal),
            is_asking: false,
            retry_at: None,
            is_table_durable: false,
            estate: Estate::default(),
        }
    }

    /// When [`LeafMachine::go_on_leaving`] has something to do that no input brings.
    pub(in crate::machine) fn next_timeout(&self) -> Option<Time> {
        match self.stage {
            Stage::Resting { since } => Some(since + SETTLING),
            _ => self.retry_at,
        }
    }

    /// Keys that come now would be handed over to nobody.
    pub(in crate::machine) fn is_beyond_handing_over(&self) -> bool {
        matches!(self.stage, Stage::Settling | Stage::Left)
    }

    pub(in crate::machine) fn estate(&mut self) -> &mut Estate {
        &mut self.estate
    }
}

impl LeafMachine {
    /// Nothing is taken from here on. [`Output::Left`] tells when the process may end; until then all goes on but
    /// the intake.
    pub fn handle_drain(&mut self, now: Now) {
        if self.leave.is_some() {
            return;
        }
        self.intake.end_all(&mut self.context);
        let seal = self.context.log(&Record::Seal).unwrap_or(Lsn::MAX);
        self.leave = Some(Leave::new(seal));
        self.context.phase = Phase::Sealing;
        self.counters.set_window_end(now.mono);
        self.handle_time(now);
    }

    /// Goes as far as it can without another input.
    pub(in crate::machine) fn go_on_leaving(&mut self, now: Now) {
        while let Some(next) = self.next_stage(now)
            && let Some(leave) = &mut self.leave
        {
            leave.stage = next;
        }
    }

    fn next_stage(&mut self, now: Now) -> Option<Stage> {
        let leave = self.leave.as_mut()?;
        if leave.is_asking || leave.retry_at.is_some_and(|at| at > now.mono) {
            return None;
        }
        leave.retry_at = None;
        let stage = leave.stage;
        match stage {
            Stage::Left => None,
            Stage::Sealing(seal) if self.context.log.durable() < seal => None,
            Stage::Sealing(_) => {
                self.context.phase = Phase::Sealed;
                self.intake.tell_outcomes(&mut self.context.outputs);
                Some(Stage::Merging)
            }
            Stage::Merging => self.is_drained().then_some(PUBLISHING),
            // A store that went back in time has to be told everything again.
            _ if !self.is_drained() => Some(Stage::Merging),
            Stage::Publishing { done, .. } => self.publish(done),
            Stage::HandingOver => self.hand_over(),
            Stage::Retiring => self.ask_for_leave(Callee::Root, Request::Retire(self.ledgers())),
            Stage::Resting { .. } if self.is_past_forgetting() => Some(Stage::Settling),
            Stage::Resting { since } if now.mono < since + SETTLING => None,
            Stage::Resting { .. } => Some(self.probe_everything(now)),
            Stage::Proving { has_table: false, .. } => self.look_for_table(),
            Stage::Proving { since, has_table: true } => self.prove(since),
            Stage::Auditing => self.ask_for_leave(Callee::Root, Request::Ledgers),
            Stage::Settling => self.settle(),
        }
    }

    fn ask_for_leave(&mut self, callee: Callee, request: Request) -> Option<Stage> {
        if let Some(leave) = &mut self.leave {
            leave.is_asking = true;
        }
        self.context.call(Asker::Leave, callee, request);
        None
    }

    /// Publishes the next piece of the table of sessions.
    fn publish(&mut self, done: Option<SessionId>) -> Option<Stage> {
        let sessions = self.intake.sessions().ended(done, limits::SESSIONS_PER_MESSAGE);
        let Some((last, _)) = sessions.last() else { return Some(Stage::HandingOver) };
        self.leave.as_mut()?.stage = Stage::Publishing { done, asked: Some(*last) };
        let keep_ms = u64::try_from(self.context.config.horizon.as_millis()).unwrap_or(u64::MAX);
        let table = SessionTable { leaf: self.context.config.leaf.clone(), sessions, keep_ms };
        self.ask_for_leave(Callee::Root, Request::Publish(table))
    }

    /// Hands the next idempotency keys over.
    fn hand_over(&mut self) -> Option<Stage> {
        let (successors, since) =
            (self.context.members.successors(&self.context.config.leaf), self.context.members.owners_since());
        if !self.leave.as_mut()?.estate().was_divided_since(since) {
            let keys = self.remembered();
            self.leave.as_mut()?.estate().divide(successors, since, keys);
        }
        let estate = self.leave.as_mut()?.estate();
        match estate.next_part() {
            Some((successor, keys)) => {
                self.ask_for_leave(Callee::Leaf(successor), Request::TakeOverKeys(keys))
            }
            None => Some(Stage::Retiring),
        }
    }

    /// Whether the store's word is that it can't forget anything of this leaf.
    fn is_past_forgetting(&self) -> bool {
        let is_table_durable = self.leave.as_ref().is_some_and(|leave| leave.is_table_durable);
        is_table_durable && self.uplink.streams().all(|uplink| uplink.last_doubtful_merge().is_none())
    }

    /// Asks about every topic that the store may have forgotten something of.
    fn probe_everything(&mut self, now: Now) -> Stage {
        for uplink in self.uplink.streams_mut() {
            uplink.probe_all();
        }
        self.send_up(now);
        Stage::Proving { since: now.mono, has_table: false }
    }

    /// Asks for the session that was published last; a store that went back has forgotten that one first.
    fn look_for_table(&mut self) -> Option<Stage> {
        let leaf = self.context.config.leaf.clone();
        match self.intake.sessions().last_ended() {
            Some(session) => self.ask_for_leave(Callee::Root, Request::SessionEnd { leaf, session }),
            None => self.found_table(),
        }
    }

    fn found_table(&self) -> Option<Stage> {
        match self.leave.as_ref()?.stage {
            Stage::Proving { since, .. } => Some(Stage::Proving { since, has_table: true }),
            _ => None,
        }
    }

    fn prove(&self, since: Time) -> Option<Stage> {
        match self.uplink.streams().filter_map(StreamUplink::last_doubtful_merge).max() {
            // Sent again in the meantime: that has to settle, too.
            Some(merged) if merged + SETTLING > since => Some(Stage::Resting { since: merged }),
            _ => {
                self.uplink.streams().all(|uplink| uplink.is_answered_since(since)).then_some(Stage::Auditing)
            }
        }
    }

    /// Tells the registry that nothing is left here, but for keys that there is nobody to take.
    fn settle(&mut self) -> Option<Stage> {
        if !self.leave.as_ref()?.estate.is_handed_over_since(self.context.members.owners_since()) {
            return Some(Stage::HandingOver);
        }
        let (successors, epoch, is_empty) = (
            self.context.members.successors(&self.context.config.leaf),
            self.context.members.view().epoch,
            self.keys.is_empty(),
        );
        let (stream, handover) =
            (self.uplink.live().stream().clone(), KeyHandover { successors, epoch, is_empty });
        self.ask_for_leave(Callee::Root, Request::Drained { stream, handover })
    }

    /// The step under way was answered, or failed.
    pub(in crate::machine) fn leave_answered(&mut self, now: Now, reply: Option<Reply>) {
        let is_kept = matches!(&reply, Some(Reply::Ledgers(kept)) if are_kept(&self.ledgers(), kept));
        let Some(leave) = &mut self.leave else { return };
        leave.is_asking = false;
        let next = match (leave.stage, reply) {
            (Stage::Publishing { done, asked }, Some(Reply::Published { durable })) => {
                leave.is_table_durable = durable && (done.is_none() || leave.is_table_durable);
                Some(Stage::Publishing { done: asked, asked: None })
            }
            (Stage::HandingOver, Some(Reply::Done)) => {
                leave.estate.note_handed_over();
                Some(Stage::HandingOver)
            }
            (Stage::Retiring, Some(Reply::Done)) => Some(Stage::Resting { since: now.mono }),
            (Stage::Proving { .. }, Some(Reply::SessionEnd(Some(_)))) => self.found_table(),
            (Stage::Proving { .. }, Some(Reply::SessionEnd(None))) => Some(PUBLISHING),
            (Stage::Auditing, Some(Reply::Ledgers(_))) if is_kept => Some(Stage::Settling),
            (Stage::Auditing, Some(Reply::Ledgers(_))) => Some(Stage::Retiring),
            (Stage::Settling, Some(Reply::Drained { keeps_keys })) => {
                // Not by what this leaf knows: others may have come since the registry found that nobody was there, and
                // keys may have expired. What the registry takes for kept has to be there when the leaf is back.
                self.context.outputs.push(Output::Left { keeps_keys });
                Some(Stage::Left)
            }
            _ => None,
        };
        match (next, &mut self.leave) {
            (Some(stage), Some(leave)) => leave.stage = stage,
            (None, Some(leave)) => leave.retry_at = Some(now.mono + RETRY),
            _ => {}
        }
        self.go_on_leaving(now);
    }
}

#[cfg(test)]
#[path = "drain_tests.rs"]
mod tests;
