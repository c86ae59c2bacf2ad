//! The leaf as a pure machine: batches and answers in; log bytes, acks and cuts out. No IO, no clock, no
//! threads. Most rules of `docs/exactly-once.md` live here: append, cut, repeat,
//! read back, expiry, reset.

pub mod calls;
mod clocks;
mod context;
pub mod counters;
mod flushes;
pub mod idempotency;
mod intake;
mod leaving;
pub mod log_builder;
mod members;
mod output;
mod report;
pub mod resets;
mod segments;
pub mod uplink;
mod window_end;

use crate::log::recovery::{Carried, OldStream, Piece};
use calls::{Asker, CallId, Calls};
use clocks::Clocks;
use context::{Context, Phase};
use counters::Counters;
use counters::table::Table;
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::key::Topic;
use countree_common::stream::{Lsn, StreamId};
use countree_common::time::{Now, Time};
use countree_common::wire::rpc::Reply;
use flushes::Flushes;
use idempotency::Idempotency;
use idempotency::keys::Keys;
use intake::Intake;
use intake::acks::Acks;
use intake::sessions::Sessions;
use leaving::Leaving;
use log_builder::{Append, LogBuilder};
use members::Members;
use output::Outputs;
use resets::Resets;
use std::collections::BTreeMap;
use std::time::Duration;
use uplink::Uplink;
use uplink::stream::StreamUplink;

pub use output::Output;

/// A producer's connection, numbered by the shell.
pub type ConnectionId = u64;
/// An HTTP request that waits for its answer, numbered by the shell.
pub type SubmissionId = u64;

/// How long producers and HTTP clients are told to wait, in milliseconds.
const RETRY_AFTER_MS: u32 = 100;

/// What a leaf is told.
#[derive(Debug, Clone)]
pub struct LeafConfig {
    /// Its name.
    pub leaf: NodeName,
    /// How long it sums before it sends up.
    pub window: Duration,
    /// How long it remembers idle sessions and idempotency keys.
    pub horizon: Duration,
    /// How long merged records stay in the log when the store may forget.
    pub retention: Duration,
    /// The most bytes of log that it keeps.
    pub log_bytes: u64,
    /// A log segment is closed at about this many bytes.
    pub segment_bytes: u64,
    /// Events per second that it is meant to carry: items with too large a share of that are split.
    pub capacity: u64,
}

/// What the disk is able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskState {
    /// All is well.
    Works,
    /// No room; what waits will be written when there is.
    Full,
    /// A write or fsync failed: nothing is acked any more by this process (fail stop).
    Failed,
}

/// A leaf.
#[derive(Debug)]
pub struct LeafMachine {
    context: Context,
    counters: Counters,
    uplink: Uplink,
    intake: Intake,
    idempotency: Idempotency,
    resets: Resets,
    flushes: Flushes,
    leaving: Leaving,
}

impl LeafMachine {
    /// Begins the stream of this incarnation. The first append carries over what earlier ones knew; until it
    /// is durable nothing is acked, and until then the old streams' logs must stay.
    ///
    /// # Errors
    /// When the checkpoint can't be encoded.
    pub fn new(
        config: LeafConfig,
        incarnation: u64,
        carried: &Carried,
        old: BTreeMap<StreamId, OldStream>,
        now: Now,
    ) -> Result<Self, countree_common::wire::codec::CodecError> {
        let stream = StreamId { leaf: config.leaf.clone(), incarnation };
        let mut table = Table::default();
        let mut sealed = |(id, old): (StreamId, _)| {
            (id.clone(), StreamUplink::sealed(id, old, config.retention, &mut table))
        };
        let old = old.into_iter().map(&mut sealed).collect();
        let context = Context {
            members: Members::new(now.mono),
            clocks: Clocks::begin(now, carried.latest()),
            log: LogBuilder::new(config.segment_bytes),
            disk: DiskState::Works,
            phase: Phase::Open,
            acks: Acks::default(),
            calls: Calls::default(),
            outputs: Outputs::default(),
            config,
        };
        let mut machine = Self {
            counters: Counters::new(table, now.mono + context.config.window),
            uplink: Uplink::new(StreamUplink::live(stream, context.config.retention), old),
            intake: Intake::new(Sessions::carried(carried)),
            idempotency: Idempotency::new(Keys::carried(carried), incarnation),
            resets: Resets::default(),
            flushes: Flushes::default(),
            leaving: Leaving::carried(carried),
            context,
        };
        machine.begin_segment()?;
        machine.leaving.begin(machine.context.log.appended());
        Ok(machine)
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.context.outputs.pop()
    }

    /// The next bytes to put on disk, in order.
    pub fn next_append(&mut self) -> Option<Append> {
        self.context.log.next_append()
    }

    /// When [`LeafMachine::handle_time`] wants to be called at the latest.
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

    /// An append is on disk: acks go out, and a window that waited for it goes up.
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

    /// The nodes have changed.
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

    /// An [`Output::Call`] was answered; `None` when nobody did.
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

/// Topics with the pieces that a reading of the log found for them.
pub type Found = BTreeMap<Topic, Vec<Piece>>;

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "random_tests.rs"]
mod random_tests;
