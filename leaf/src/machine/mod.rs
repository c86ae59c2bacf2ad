//! The leaf's machine: takes batches and answers, and puts out log bytes, acks and cuts. No IO, no clock, no threads.
//!
//! Its caller, the shell or the simulator, **feeds** it with one call for each thing that has happened, with the time
//! of it where that matters:
//!
//! * producers: [`handle_connected`](LeafMachine::handle_connected), [`handle_message`](LeafMachine::handle_message),
//!   [`handle_batch`](LeafMachine::handle_batch), [`handle_disconnected`](LeafMachine::handle_disconnected);
//! * HTTP requests: [`handle_submission`](LeafMachine::handle_submission), [`handle_reset`](LeafMachine::handle_reset),
//!   [`handle_forget`](LeafMachine::handle_forget);
//! * other leaves: [`handle_recall`](LeafMachine::handle_recall), [`handle_attempts`](LeafMachine::handle_attempts),
//!   [`handle_note`](LeafMachine::handle_note), [`handle_inheritance`](LeafMachine::handle_inheritance),
//!   [`handle_flush`](LeafMachine::handle_flush), [`handle_topic_flush`](LeafMachine::handle_topic_flush);
//! * roots: [`handle_view`](LeafMachine::handle_view), [`handle_confirmation`](LeafMachine::handle_confirmation),
//!   [`handle_root_connected`](LeafMachine::handle_root_connected), [`handle_root_lost`](LeafMachine::handle_root_lost),
//!   [`handle_outcomes`](LeafMachine::handle_outcomes), [`handle_near_limit`](LeafMachine::handle_near_limit),
//!   [`handle_stamp`](LeafMachine::handle_stamp), [`handle_ask_again`](LeafMachine::handle_ask_again);
//! * the disk: [`handle_durable`](LeafMachine::handle_durable), [`handle_disk`](LeafMachine::handle_disk);
//! * answers to its outputs: [`handle_reply`](LeafMachine::handle_reply),
//!   [`handle_answer`](LeafMachine::handle_answer), [`handle_scan`](LeafMachine::handle_scan), [`handle_retired`](LeafMachine::handle_retired) and their failures;
//! * the operator: [`handle_drain`](LeafMachine::handle_drain);
//! * time: [`handle_time`](LeafMachine::handle_time), once [`next_timeout`](LeafMachine::next_timeout) has come.
//!
//! After any of these, or several, it **drains** the machine, in this order:
//!
//! 1. [`next_append`](LeafMachine::next_append) until there is none. The bytes go to the log in this order; no output
//!    may overtake them, since a reading of the log has to find them.
//! 2. [`poll_output`](LeafMachine::poll_output) until there is none. Outputs are done in their order; those to one
//!    connection or root arrive in it. A caller that can't keep this up for a peer ends that connection, and says so.
//! 3. [`next_timeout`](LeafMachine::next_timeout), to know how long to wait for the next input.
//!
//! Times never go back. Most rules of `docs/exactly-once.md` live here: append, cut, repeat, read back, expiry, reset.

pub mod calls;
mod clocks;
mod config;
mod context;
pub mod counters;
mod flushes;
pub mod idempotency;
mod ids;
mod intake;
mod leaving;
pub mod log_builder;
mod members;
mod output;
mod report;
pub mod resets;
mod segments;
mod start;
pub mod uplink;
mod window_end;

use calls::{Asker, CallId};
use context::Context;
use counters::Counters;
use countree_common::cluster::ClusterView;
use countree_common::stream::Lsn;
use countree_common::time::{Now, Time};
use countree_common::wire::rpc::Reply;
use flushes::Flushes;
use idempotency::Idempotency;
use intake::Intake;
use leaving::Leaving;
use log_builder::Append;
use resets::Resets;
use uplink::Uplink;

pub use crate::log::recut::Found;
pub use config::LeafConfig;
pub use context::DiskState;
pub use ids::{ConnectionId, FlushId, SubmissionId};
pub use output::Output;

/// A leaf. Each part owns its fields, and is handed the context, which all of them share.
#[derive(Debug)]
pub struct LeafMachine {
    context: Context,
    intake: Intake,
    idempotency: Idempotency,
    counters: Counters,
    uplink: Uplink,
    resets: Resets,
    flushes: Flushes,
    leaving: Leaving,
}

impl LeafMachine {
    /// Takes the next thing to do, oldest first.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.context.outputs.pop()
    }

    /// Takes the next bytes to put on disk, in their order. Once they are, call [`LeafMachine::handle_durable`]; one
    /// call may stand for several appends.
    pub fn next_append(&mut self) -> Option<Append> {
        self.context.log.next_append()
    }

    /// The time at which [`LeafMachine::handle_time`] is due. Any input may change it.
    pub fn next_timeout(&self) -> Time {
        let leaving = self.leaving.next_timeout();
        self.uplink.next_timeout().into_iter().chain(leaving).fold(self.counters.window_end(), Time::min)
    }

    /// Time has passed: windows end, unanswered cuts are repeated, old sessions are forgotten.
    pub fn handle_time(&mut self, now: Now) {
        self.context.clocks.registry_now(now.mono);
        self.uplink.handle_time(now.mono);
        if now.mono >= self.counters.window_end() {
            self.end_window(now);
            let age = self.context.clocks.age(now);
            self.intake.expire(age, self.context.config.horizon, self.context.log.durable());
            self.idempotency.expire(age, self.context.config.horizon);
            self.counters.handle_time(now.mono);
        }
        self.send_up(now);
        self.go_on_leaving(now);
    }

    /// The log is on disk up to its record `last`, by appends of this many `bytes`: acks go out, and a window that
    /// waited for it goes up.
    pub fn handle_durable(&mut self, now: Now, last: Lsn, bytes: u64) {
        self.handle_disk(DiskState::Works);
        self.context.log.note_durable(last, bytes);
        self.context.acks.release(self.context.log.durable(), &mut self.context.outputs);
        self.offer_frozen();
        self.settle_flushes();
        self.send_up(now);
        self.go_on_leaving(now);
    }

    /// The disk's state has changed. A failure is for good.
    pub fn handle_disk(&mut self, state: DiskState) {
        if self.context.disk != DiskState::Failed {
            self.context.disk = state;
        }
    }

    /// A root has sent a new view of the cluster.
    pub fn handle_view(&mut self, view: ClusterView) {
        self.uplink.handle_view(&view);
        self.intake.handle_view(&view, &mut self.context);
        let change = self.context.members.handle_view(view, self.uplink.live().stream());
        if change.supersedes {
            let alarm = format!(
                "another start of {} has joined: this one takes nothing more, and merges what it has",
                self.context.config.leaf
            );
            self.context.outputs.push(Output::Alarm(alarm));
        }
        if change.keys {
            self.idempotency.handle_owners();
            self.context.clocks.note_registry_time(self.context.members.view().keys.latest());
        }
    }

    /// An [`Output::Call`] was answered; `None` when it got no answer.
    pub fn handle_reply(&mut self, now: Now, call: CallId, reply: Option<Reply>) {
        match self.context.calls.end(call) {
            Some(Asker::Leave) => self.leave_answered(now, reply),
            Some(Asker::Retirement) => self.retirement_answered(now, reply),
            Some(Asker::Producers(leaf, session)) => {
                self.intake.outcome_answered(&(leaf, session), reply, &mut self.context)
            }
            Some(Asker::Submission(id, question, keys)) => {
                self.lookup_answered(now, id, &question, keys, reply)
            }
            None => {}
        }
    }
}

#[cfg(test)]
#[path = "random_tests.rs"]
mod random_tests;
