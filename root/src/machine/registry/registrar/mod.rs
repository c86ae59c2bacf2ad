//! Keeps a copy of the registry and changes it in the store: few writes, each with everything that waits.

mod ask;
mod copy;
mod output;
mod pacing;
mod salted_random;
mod waiting;

pub use ask::{Ask, AskId};
pub use output::RegistrarOutput;
pub use waiting::ASKS_QUEUED;

use super::Registry;
use ask::Reading;
use copy::StoreCopy;
use countree_common::cluster::{ClusterView, Node};
use countree_common::time::{Now, SteadyClock, Time};
use countree_common::wire::rpc::Reply;
use pacing::Pacing;
use salted_random::SaltedRandom;
use std::collections::VecDeque;
use std::time::Duration;
use waiting::{Renewals, Waiting};

/// A registrar's first change of the view skips fewer epochs than this.
pub const LEAP: u64 = 1 << 20;

/// A leaf's incarnations are less than this apart: see [`Registry::join_on_log`].
pub const JUMP: u64 = 1 << 20;

/// The answer while nodes may be missing: what is read with all that they accepted, and resets, would miss theirs.
const INCOMPLETE: &str =
    "the registry went back in time, and nodes may be missing in it: repeat in a few seconds";

/// The store call that is under way.
#[derive(Debug)]
enum UnderWay {
    /// A load, and the questions that it answers by itself.
    Load { readers: Vec<(AskId, Reading)> },
    /// A save of this, with the answers to give once it is there.
    Save {
        revision: u64,
        registry: Box<Registry>,
        asks: Vec<(AskId, Ask)>,
        replies: Vec<Reply>,
        renewals: Renewals,
    },
}

/// Keeps the registry on one root. All roots keep it together.
#[derive(Debug)]
pub struct Registrar {
    lease: Duration,
    refresh: Duration,
    copy: StoreCopy,
    /// The reason why the store is left alone; `None` while it is used.
    fence: Option<String>,
    /// The registry's time, as it goes on here: no root's wall clock has a say in who lives and what is remembered.
    clock: SteadyClock,
    highest_epoch: u64,
    /// Epochs that the first change of the view skips, until it is made.
    leap: u64,
    /// The store was found to have an earlier registry. Until then, nodes that came since may be missing in it.
    incomplete_until: Option<Time>,
    /// The view that was last put out.
    shown: Option<ClusterView>,
    waiting: Waiting,
    under_way: Option<UnderWay>,
    pacing: Pacing,
    /// Makes revisions; see [`Registrar::next_revision`].
    random: SaltedRandom,
    outputs: VecDeque<RegistrarOutput>,
}

impl Registrar {
    /// A node is out of the view when `lease` has passed without a heartbeat. What other roots change is
    /// seen within `refresh`.
    ///
    /// `salt` is a random number. A store that fell back, with roots that know nothing of it, would give epochs a
    /// second time. A root that has just started therefore begins at a random distance from what it finds; a node that
    /// is further ahead says so with its heartbeat.
    pub fn new(lease: Duration, refresh: Duration, salt: u64) -> Self {
        Self {
            lease,
            refresh,
            copy: StoreCopy::default(),
            fence: None,
            clock: SteadyClock::default(),
            highest_epoch: 0,
            leap: salt % LEAP,
            incomplete_until: None,
            shown: None,
            waiting: Waiting::default(),
            under_way: None,
            pacing: Pacing::default(),
            random: SaltedRandom(salt),
            outputs: VecDeque::new(),
        }
    }

    /// The live nodes, as last known.
    pub fn view(&self) -> ClusterView {
        self.copy.registry.view()
    }

    /// The store is not this cluster's, for this reason, or is so again: meanwhile nothing is loaded or saved.
    pub fn handle_fence(&mut self, fence: Option<String>, now: Now) {
        self.fence = fence;
        if let Some(reason) = self.fence.clone() {
            let asks = self.waiting.take_all();
            self.fail(asks.into_iter(), &reason, now);
        }
        self.advance(now);
    }

    /// Answers a question, at once or later; every question gets one answer.
    pub fn handle_ask(&mut self, ask: AskId, question: Ask, now: Now) {
        if let Some(reason) = self.fence.clone() {
            return self.reply(ask, Reply::Failed(reason));
        }
        match question {
            Ask::Heartbeat { node, epoch, reached }
                if epoch <= self.highest_epoch && self.can_renew(&node) =>
            {
                if self.copy.registry.needs_heartbeat(&node, self.clock.read(now.mono), self.lease) {
                    self.waiting.renewals.insert(node.name.clone(), (node, reached));
                }
                self.reply(ask, Reply::View(self.copy.registry.view()));
            }
            _ if self.waiting.is_full() => {
                self.reply(ask, Reply::Failed("too many wait for the registry; repeat in a second".into()));
            }
            Ask::Ledgers => self.waiting.readers.push((ask, Reading::Ledgers)),
            Ask::Members => self.waiting.readers.push((ask, Reading::Members)),
            Ask::AuditRecords => self.waiting.readers.push((ask, Reading::AuditRecords)),
            question => self.waiting.asks.push((ask, question)),
        }
        self.advance(now);
    }

    /// Whether a heartbeat changes nothing but the lease, so that its answer need not wait for a write.
    fn can_renew(&self, node: &Node) -> bool {
        let listed = self.shown.as_ref().and_then(|view| view.node(&node.name));
        self.copy.fresh_at.is_some()
            && listed.is_some_and(|known| known == node || known.incarnation > node.incarnation)
    }

    /// Time goes by; call it every 50 ms or so.
    pub fn handle_tick(&mut self, now: Now) {
        self.advance(now);
    }

    /// Takes the store's registry with its revision; the error says why it could not be read.
    pub fn handle_loaded(&mut self, result: Result<Option<(u64, String)>, String>, now: Now) {
        let Some(UnderWay::Load { readers }) = self.under_way.take() else { return };
        let result = self.fence.clone().map_or(result, Err);
        match result.and_then(|found| self.copy.parse(found)) {
            Ok((revision, registry)) => {
                if let Some(older) = self.copy.compare(revision, &registry) {
                    self.outputs.push_back(RegistrarOutput::FellBack(older));
                }
                if registry.epoch() < self.highest_epoch {
                    self.incomplete_until = Some(now.mono + self.lease);
                }
                self.learn(revision, registry, now);
                let is_incomplete = self.incomplete_until.is_some_and(|until| now.mono < until);
                for (ask, reading) in readers {
                    let reply = match reading {
                        Reading::Members if is_incomplete => Reply::Failed(INCOMPLETE.into()),
                        reading => reading.of(&self.copy.registry),
                    };
                    self.reply(ask, reply);
                }
            }
            Err(reason) => {
                let asks = std::mem::take(&mut self.waiting.asks);
                let readers = readers.into_iter().map(|(ask, _)| ask);
                self.fail(readers.chain(asks.into_iter().map(|(ask, _)| ask)), &reason, now);
            }
        }
        self.advance(now);
    }

    /// Whether the save went in; `false` when another root was first. The error says why that is not known.
    pub fn handle_saved(&mut self, result: Result<bool, String>, now: Now) {
        let Some(UnderWay::Save { revision, registry, asks, replies, renewals }) = self.under_way.take()
        else {
            return;
        };
        match result {
            Ok(true) => {
                if registry.epoch() != self.copy.registry.epoch() {
                    self.leap = 0;
                }
                self.copy.note_saved(&registry);
                self.learn(revision, *registry, now);
                for ((ask, _), reply) in asks.into_iter().zip(replies) {
                    self.reply(ask, reply);
                }
            }
            Ok(false) => {
                self.copy.fresh_at = None;
                self.waiting.put_back(asks, renewals);
            }
            Err(reason) => self.fail(asks.into_iter().map(|(ask, _)| ask), &reason, now),
        }
        self.advance(now);
    }

    fn learn(&mut self, revision: u64, registry: Registry, now: Now) {
        self.copy.learn(revision, registry, self.lease, now);
        self.clock.catch_up(self.copy.registry.time(), now.mono);
        self.highest_epoch = self.highest_epoch.max(self.copy.registry.epoch());
        let view = self.copy.registry.view();
        if self.shown.as_ref() != Some(&view) {
            self.shown = Some(view.clone());
            self.outputs.push_back(RegistrarOutput::View(view));
        }
        self.outputs.push_back(RegistrarOutput::Confirmed(self.pacing.asked_at));
    }

    fn fail(&mut self, asks: impl Iterator<Item = AskId>, reason: &str, now: Now) {
        self.copy.note_silence();
        self.pacing.rest(now.mono);
        asks.for_each(|ask| self.reply(ask, Reply::Failed(reason.to_owned())));
    }

    fn reply(&mut self, ask: AskId, reply: Reply) {
        self.outputs.push_back(RegistrarOutput::Reply { ask, reply });
    }

    /// Begins the next load or save, if one is due and none is under way.
    fn advance(&mut self, now: Now) {
        if self.under_way.is_some() || self.fence.is_some() || now.mono < self.pacing.idle_until {
            return;
        }
        let is_fresh = self.copy.fresh_at.is_some_and(|at| now.mono.since(at) < self.refresh);
        if is_fresh && self.is_write_due(now) {
            self.write(now);
        }
        // A write that turned out to change nothing leaves the store free.
        if self.under_way.is_none() && (!is_fresh || !self.waiting.readers.is_empty()) {
            let readers = std::mem::take(&mut self.waiting.readers);
            self.under_way = Some(UnderWay::Load { readers });
            self.pacing.asked_at = now.mono;
            self.outputs.push_back(RegistrarOutput::Load);
        }
    }

    fn is_write_due(&self, now: Now) -> bool {
        let is_forgetful = self.copy.registry.epoch() < self.highest_epoch;
        let is_urgent = !self.waiting.asks.is_empty()
            || is_forgetful
            || self.copy.must_be_written()
            || self.must_expire(now);
        self.pacing.may_write(is_urgent, !self.waiting.renewals.is_empty(), now.mono)
    }

    /// A lease that ran out while the store was away says nothing about its node: everybody's did.
    fn must_expire(&self, now: Now) -> bool {
        let answered_throughout =
            self.copy.answering_since.is_some_and(|since| now.mono.since(since) >= self.lease);
        answered_throughout && self.copy.registry.has_expired(self.clock.read(now.mono))
    }

    fn write(&mut self, now: Now) {
        let (mut registry, time) = (self.copy.registry.clone(), self.clock.read(now.mono));
        let seen = self
            .waiting
            .asks
            .iter()
            .map(|(_, ask)| if let Ask::Heartbeat { epoch, .. } = ask { *epoch } else { 0 });
        registry.exceed(seen.fold(self.highest_epoch, u64::max));
        let renewals = std::mem::take(&mut self.waiting.renewals);
        for (node, reached) in renewals.values() {
            // Only nodes that are listed already are renewed, and the registry holds those.
            let _ = registry.heartbeat(node, time, self.lease);
            reached.iter().for_each(|reached| registry.reach(node, *reached, time));
        }
        let (asks, jump) = (std::mem::take(&mut self.waiting.asks), self.random.next() % JUMP);
        let results: Vec<_> =
            asks.iter().map(|(_, ask)| ask.apply(&mut registry, self.lease, jump, time)).collect();
        if self.must_expire(now) {
            registry.expire(time);
        }
        if registry.epoch() != self.copy.registry.epoch() {
            registry.leap(self.leap);
        }
        let view = registry.view();
        let replies = results.into_iter().map(|result| match result {
            Ok(Reply::View(_)) => Reply::View(view.clone()),
            Ok(reply) => reply,
            Err(reason) => Reply::Failed(reason),
        });
        self.pacing.written_at = now.mono;
        if registry == self.copy.registry && !self.copy.must_be_written() {
            asks.into_iter().zip(replies).for_each(|((ask, _), reply)| self.reply(ask, reply));
            return;
        }
        registry.note_time(time);
        match registry.to_text() {
            Ok(text) => {
                let replies = replies.collect();
                let (expected, next, registry) =
                    (self.copy.revision, self.next_revision(), Box::new(registry));
                self.under_way = Some(UnderWay::Save { revision: next, registry, asks, replies, renewals });
                self.pacing.asked_at = now.mono;
                self.outputs.push_back(RegistrarOutput::Save { expected, next, text });
            }
            Err(e) => self.fail(asks.into_iter().map(|(ask, _)| ask), &e.to_string(), now),
        }
    }

    /// A higher revision, and no other root's: a store that fell back and then came to a revision again would take a
    /// save that was meant for the earlier state, and is late.
    fn next_revision(&mut self) -> u64 {
        self.copy.revision + 1 + self.random.next() % LEAP
    }

    /// The next thing to do; drain it after every input.
    pub fn poll_output(&mut self) -> Option<RegistrarOutput> {
        self.outputs.pop_front()
    }
}

#[cfg(test)]
#[path = "registrar_tests.rs"]
mod tests;
