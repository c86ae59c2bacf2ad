//! Lets go of what is merged: of the whole leaf when it leaves for good, and of the logs of its earlier starts.

mod drain;
mod retirement;

use super::LeafMachine;
use super::context::{Context, Phase};
use super::counters::Counters;
use super::idempotency::Idempotency;
use super::intake::Intake;
#[cfg(doc)]
use super::output::Output;
use super::report;
use super::uplink::Uplink;
use crate::log::carried::Carried;
use crate::log::record::Record;
use countree_common::cluster::NodeName;
use countree_common::ledger::{Ledger, StreamLedger};
use countree_common::stream::{Lsn, StreamId};
use countree_common::time::{Now, Time};
use countree_common::wire::rpc::Reply;
use drain::Leave;
use retirement::Retirement;

/// A leave under way, and old streams that are about to go.
#[derive(Debug)]
pub(super) struct Leaving {
    leave: Option<Leave>,
    retirement: Retirement,
}

/// The other parts of the machine, which hold what has to be merged or handed over.
struct Parts<'a> {
    counters: &'a mut Counters,
    uplink: &'a mut Uplink,
    intake: &'a Intake,
    idempotency: &'a mut Idempotency,
    context: &'a mut Context,
}

impl Parts<'_> {
    fn is_drained(&self) -> bool {
        report::is_drained(self.counters, self.uplink, self.context)
    }

    fn ledgers(&self) -> Vec<StreamLedger> {
        report::ledgers(self.counters, self.uplink, self.context)
    }

    fn send_up(&mut self, now: Now) {
        self.uplink.send_up(now.mono, self.counters.names(), &mut self.context.outputs);
    }
}

impl Leaving {
    /// Begins with the ledgers that earlier streams remembered. No old stream goes before [`Leaving::begin`].
    pub(super) fn carried(carried: &Carried) -> Self {
        Self { leave: None, retirement: Retirement::carried(carried) }
    }

    /// The first checkpoint, which carries on what old streams say of sessions and keys, ends with this record.
    pub(super) fn begin(&mut self, carried_at: Lsn) {
        self.retirement.begin(carried_at);
    }

    /// The time at which a leave goes on without an input.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.leave.as_ref().and_then(Leave::next_timeout)
    }

    /// Whether keys that come now would be handed over to nobody.
    pub(super) fn is_past_handover(&self) -> bool {
        self.leave.as_ref().is_some_and(Leave::is_past_handover)
    }

    /// The ledgers that the next segment has to carry on.
    pub(super) fn remembered(&self) -> Vec<(u64, Ledger)> {
        self.retirement.remembered()
    }

    /// The ledgers of all streams of a leaf: those that have a log `here`, and those that it remembers.
    pub(super) fn known_ledgers(&self, leaf: &NodeName, here: Vec<StreamLedger>) -> Vec<StreamLedger> {
        self.retirement.known_ledgers(leaf, here)
    }
}

impl LeafMachine {
    /// Begins to leave: nothing is taken from here on. [`Output::Left`] tells when the process may end; until then all
    /// goes on but the intake.
    pub fn handle_drain(&mut self, now: Now) {
        if self.leaving.leave.is_some() {
            return;
        }
        self.intake.end_all(&mut self.context);
        let seal = self.context.log(&Record::Seal).unwrap_or(Lsn::MAX);
        self.leaving.leave = Some(Leave::new(seal));
        self.context.phase = Phase::Sealing;
        self.counters.set_window_end(now.mono);
        self.handle_time(now);
    }

    /// Goes on leaving as far as it can without another input.
    pub(super) fn go_on_leaving(&mut self, now: Now) {
        let (Leaving { leave, .. }, mut parts) = self.leaving_and_parts();
        if let Some(leave) = leave {
            leave.go_on(now, &mut parts);
        }
    }

    /// A step of leaving was answered, or failed.
    pub(super) fn leave_answered(&mut self, now: Now, reply: Option<Reply>) {
        let (Leaving { leave, .. }, mut parts) = self.leaving_and_parts();
        if let Some(leave) = leave {
            leave.handle_reply(now, reply, &mut parts);
        }
    }

    /// Hands over old streams that are settled.
    pub(super) fn retire_settled(&mut self, now: Now) {
        let (Leaving { retirement, .. }, mut parts) = self.leaving_and_parts();
        retirement.end_window(now, &mut parts);
    }

    /// The registry has said what ledgers it has, or nothing.
    pub(super) fn retirement_answered(&mut self, now: Now, reply: Option<Reply>) {
        let (Leaving { retirement, .. }, mut parts) = self.leaving_and_parts();
        retirement.handle_reply(now, reply, &mut parts);
    }

    /// The registry has taken over the ledger of a drained stream.
    pub fn handle_retired(&mut self, now: Now, stream: &StreamId) {
        self.leaving.retirement.handle_retired(now, stream);
    }

    /// The registry did not take the ledgers of an [`Output::Retire`]; it is tried again with the next window.
    pub fn handle_retire_failed(&mut self) {
        self.leaving.retirement.handle_failed();
    }

    fn leaving_and_parts(&mut self) -> (&mut Leaving, Parts<'_>) {
        let Self { leaving, counters, uplink, intake, idempotency, context, .. } = self;
        (leaving, Parts { counters, uplink, intake, idempotency, context })
    }
}
