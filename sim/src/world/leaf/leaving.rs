//! Lets a leaf leave in good order.

use crate::disk::{Crash, Disk};
use crate::faults::BackgroundFault;
use crate::flaws::Flaw;
use crate::host::Host;
use crate::world::World;
use crate::world::event::SimEvent;
use crate::world::questions::Purpose;
use countree_common::cluster::NodeName;
use countree_common::time::WallMs;
use countree_common::wire::keys::{Attempt, IdempotencyKey, KeyState, Remembered};
use countree_common::wire::rpc::{Reply, Request};
use countree_leaf::machine::calls::{CallId, Callee};
use std::time::Duration;

/// A leaf may take this long to leave in good order; after that its log waits for the next start.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(20);

impl World {
    /// Begins to drain a leaf, which leaves once nothing is needed of it any more. Says whether it could begin.
    pub(in crate::world) fn drain_and_leave(&mut self, i: usize) -> bool {
        let now = self.clocks(Host::Leaf(i));
        let Some(process) = self.cluster.leaves[i].process.as_mut().filter(|p| p.leaving.is_none()) else {
            return false;
        };
        let Some(machine) = &mut process.machine else { return false };
        process.leaving = Some(now.mono);
        machine.handle_drain(now);
        self.drain_leaf(i);
        true
    }

    pub(super) fn leave_if_overdue(&mut self, i: usize) {
        let now = self.queue.now();
        let Some(process) = &self.cluster.leaves[i].process else { return };
        if process.leaving.is_some_and(|since| now.since(since) >= LEAVE_TIMEOUT) {
            self.leave_unsettled(i);
        }
    }

    /// Ends a leaf that took too long to leave; its log stays.
    fn leave_unsettled(&mut self, i: usize) {
        let Some(process) = &mut self.cluster.leaves[i].process else { return };
        process.is_without_heartbeats = true;
        if !std::mem::replace(&mut process.has_sent_leave, true) {
            let name = self.cluster.leaves[i].name.clone();
            self.ask_a_root(Host::Leaf(i), Request::Leave(name), Purpose::Membership);
        }
    }

    /// Ends a leaf that may go, as its machine says. If nothing on its disk is needed, the disk may go with it.
    pub(super) fn leaf_settled(&mut self, i: usize, keeps_keys: bool) {
        self.leaf_has_left(i);
        self.faults.tally.note(BackgroundFault::LeafSettled);
        let keeps_keys = keeps_keys && self.plan.flaw != Some(Flaw::DiscardedKeys);
        if self.plan.cluster.discards_disks && !keeps_keys && self.random.chance(60) {
            self.cluster.leaves[i].disk = Disk::new(self.plan.flaw);
            self.faults.tally.note(BackgroundFault::DiskThrownAway);
        }
    }

    /// Sends a call of the machine to another node. The call that says that it has settled is its last: a heartbeat
    /// after that would list the leaf anew.
    pub(super) fn leaf_calls(&mut self, i: usize, call: CallId, callee: Callee, mut request: Request) {
        if let (Some(Flaw::DeniedKeys), Request::Drained { handover, .. }) = (self.plan.flaw, &mut request) {
            handover.is_empty = true;
        }
        let is_everyones =
            |flaw| matches!(flaw, Flaw::UnaskedKeys | Flaw::UnfollowedNotes | Flaw::CountedNotes);
        let flaw = self.plan.flaw.filter(|flaw| is_everyones(*flaw) || self.cluster.leaves[i].is_leaving());
        let now = self.clocks(Host::Leaf(i)).wall;
        if let Some(reply) =
            flaw.and_then(|flaw| faked_reply(flaw, self.cluster.leaves[i].name(), &request, now))
        {
            return self.call_returns(i, call, &request, Some(reply));
        }
        let (me, purpose) = (Host::Leaf(i), Purpose::Call(call));
        let is_final = matches!(request, Request::Drained { .. });
        let is_beating = self.questions.values().any(|q| q.asker == me && q.is_heartbeat());
        let Some(process) = &mut self.cluster.leaves[i].process else { return };
        process.is_without_heartbeats |= is_final;
        if is_final && is_beating {
            process.final_request = Some((call, request));
            return;
        }
        match callee {
            Callee::Root => self.ask_a_root(me, request, purpose),
            Callee::Leaf(name) => {
                let is_listed = process.membership.view.node(&name).is_some();
                match Host::of(&name).filter(|_| is_listed) {
                    Some(host) => self.ask(me, host, request, purpose),
                    None => self.call_returns(i, call, &request, None),
                }
            }
        }
    }

    /// Sends the final request, now that the last heartbeat is over.
    pub(in crate::world) fn send_final_request(&mut self, i: usize) {
        let final_request = self.cluster.leaves[i].process.as_mut().and_then(|p| p.final_request.take());
        if let Some((call, request)) = final_request {
            self.ask_a_root(Host::Leaf(i), request, Purpose::Call(call));
        }
    }

    /// Takes the answer to a call, or the lack of one.
    pub(in crate::world) fn call_returns(
        &mut self,
        i: usize,
        call: CallId,
        request: &Request,
        reply: Option<Reply>,
    ) {
        let now = self.clocks(Host::Leaf(i));
        if reply.is_none() && matches!(request, Request::Drained { .. }) {
            // Heartbeats bring no views any more, and the owners of keys may be others by now.
            self.ask_a_root(Host::Leaf(i), Request::Members, Purpose::Membership);
        }
        if let Some(machine) = self.cluster.leaves[i].machine() {
            machine.handle_reply(now, call, reply);
        }
        self.drain_leaf(i);
    }

    /// Ends the process of a leaf that is out of the view, or could reach no root.
    pub(in crate::world) fn leaf_has_left(&mut self, i: usize) {
        if self.crash_leaf(i, Crash::Process) {
            let wait = self.random.millis(100, 3_000);
            self.queue.after(wait, SimEvent::Restart(Host::Leaf(i)));
        }
    }
}

/// The reply of a flawed world to a leaf's call, made without asking anybody.
fn faked_reply(flaw: Flaw, me: &NodeName, request: &Request, now: WallMs) -> Option<Reply> {
    match (flaw, request) {
        (Flaw::UnpublishedSessions, Request::Publish(_)) => Some(Reply::Published { durable: true }),
        (Flaw::UnpublishedSessions, Request::SessionEnd { leaf, .. }) if leaf == me => {
            Some(Reply::SessionEnd(Some(0)))
        }
        (Flaw::UnhandedKeys, Request::TakeOverKeys(_)) => Some(Reply::Done),
        (Flaw::UnaskedKeys, Request::LookUpKeys { .. }) => Some(Reply::Remembered(Ok(Vec::new()))),
        (Flaw::UnfollowedNotes, Request::AttemptOutcomes(_)) => Some(Reply::Remembered(Ok(Vec::new()))),
        (Flaw::CountedNotes, Request::AttemptOutcomes(about)) => {
            let used = |(key, _): &(IdempotencyKey, Attempt)| Remembered {
                key: *key,
                at: now,
                state: KeyState::Used { content: 0 },
            };
            Some(Reply::Remembered(Ok(about.iter().map(used).collect())))
        }
        _ => None,
    }
}
