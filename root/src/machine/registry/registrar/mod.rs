//! Keeps a copy of the registry and changes it in the store: few writes, each with everything that waits.

mod ask;

pub use ask::{Ask, AskId};

use super::Registry;
use ask::Reading;
use countree_common::cluster::{ClusterView, Node, NodeName};
use countree_common::time::{Now, SteadyClock, Time, WallMs};
use countree_common::wire::rpc::{Reply, StreamProgress};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Between two writes of the registry.
const WRITE_GAP: Duration = Duration::from_millis(100);
/// Between two writes that only renew leases.
const RENEWAL_GAP: Duration = Duration::from_millis(500);
/// After the store has failed it is asked again this much later.
const RETRY: Duration = Duration::from_millis(200);
/// Questions that wait for the store, above which they are refused; and those on their way to the registrar,
/// above which the askers wait.
pub const ASKS_QUEUED: usize = 4_096;

/// A registrar's first change of the view skips fewer epochs than this.
pub const LEAP: u64 = 1 << 20;

/// What the shell is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum RegistrarOutput {
    /// Load the registry; then [`Registrar::handle_loaded`].
    Load,
    /// Save it if its revision is still `expected`; then [`Registrar::handle_saved`].
    Save {
        /// The revision that it replaces; 0 for none.
        expected: u64,
        /// Its own revision.
        next: u64,
        /// The document.
        text: String,
    },
    /// Answer a question.
    Reply {
        /// Which.
        ask: AskId,
        /// The answer.
        reply: Reply,
    },
    /// The live nodes have changed.
    View(ClusterView),
    /// The view that was put out last was in the store when that was asked, at this time.
    Confirmed(Time),
    /// The store holds a registry that is older by so much than it was known to hold.
    FellBack(Duration),
}

/// A leaf's incarnations are up to so far apart: see [`Registry::join_on_log`].
pub const JUMP: u64 = 1 << 20;

/// Leases to be renewed, with what leaves say of their streams.
type Renewals = BTreeMap<NodeName, (Node, Option<StreamProgress>)>;

/// What is under way in the store.
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

/// The keeper of the registry on one root. All roots keep it together.
#[derive(Debug)]
pub struct Registrar {
    lease: Duration,
    refresh: Duration,
    revision: u64,
    /// Makes revisions; see [`Registrar::next_revision`].
    chance: u64,
    registry: Registry,
    /// The store holds a registry that has no clock yet: until it is written with one, no lease in it runs out.
    lacks_time: bool,
    /// The time of the registry that the store was last known to hold.
    held_time: WallMs,
    /// The store held a registry, and holds none any more: what is known of it goes back there.
    is_gone: bool,
    /// Why the store is left alone, if it is.
    fence: Option<String>,
    /// The registry's time, as it goes on here: no root's wall clock has a say in who lives and what is remembered.
    clock: SteadyClock,
    /// When the copy was last known to be what the store holds; `None` when it may not be.
    fresh_at: Option<Time>,
    /// Since when the store has answered every time.
    answering_since: Option<Time>,
    highest_epoch: u64,
    /// Epochs that the first change of the view skips, until it is made.
    leap: u64,
    /// The view that was last put out.
    shown: Option<ClusterView>,
    asks: Vec<(AskId, Ask)>,
    readers: Vec<(AskId, Reading)>,
    renewals: Renewals,
    under_way: Option<UnderWay>,
    /// When what is under way was asked of the store.
    asked_at: Time,
    idle_until: Time,
    written_at: Time,
    outputs: VecDeque<RegistrarOutput>,
}

impl Registrar {
    /// A node is out of the view when `lease` has passed without a heartbeat. What other roots change is
    /// seen within `refresh`.
    ///
    /// `salt` is a random number. A store that fell back, with roots that know nothing of it, would give epochs a
    /// second time. A root that has just started therefore begins at a random distance from what it finds; whoever
    /// is further ahead says so with its heartbeat.
    pub fn new(lease: Duration, refresh: Duration, salt: u64) -> Self {
        Self {
            leap: salt % LEAP,
            chance: salt,
            lease,
            refresh,
            revision: 0,
            registry: Registry::default(),
            lacks_time: false,
            held_time: WallMs(0),
            is_gone: false,
            fence: None,
            clock: SteadyClock::default(),
            fresh_at: None,
            answering_since: None,
            highest_epoch: 0,
            shown: None,
            asks: Vec::new(),
            readers: Vec::new(),
            renewals: BTreeMap::new(),
            under_way: None,
            asked_at: Time(0),
            idle_until: Time::default(),
            written_at: Time::default(),
            outputs: VecDeque::new(),
        }
    }

    /// The live nodes, as last known.
    pub fn view(&self) -> ClusterView {
        self.registry.view()
    }

    /// The store is not this cluster's, for this reason, or is so again: meanwhile nothing is loaded or saved.
    pub fn handle_fence(&mut self, fence: Option<String>, now: Now) {
        self.fence = fence;
        if let Some(reason) = self.fence.clone() {
            let asks = std::mem::take(&mut self.asks).into_iter().map(|(ask, _)| ask);
            let readers = std::mem::take(&mut self.readers).into_iter().map(|(ask, _)| ask);
            self.fail(asks.chain(readers), &reason, now);
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
                if self.registry.needs_heartbeat(&node, self.clock.read(now.mono), self.lease) {
                    self.renewals.insert(node.name.clone(), (node, reached));
                }
                self.reply(ask, Reply::View(self.registry.view()));
            }
            _ if self.asks.len() + self.readers.len() >= ASKS_QUEUED => {
                self.reply(ask, Reply::Failed("too many wait for the registry; repeat in a second".into()));
            }
            Ask::Ledgers => self.readers.push((ask, Reading::Ledgers)),
            Ask::Members => self.readers.push((ask, Reading::Members)),
            Ask::Books => self.readers.push((ask, Reading::Books)),
            question => self.asks.push((ask, question)),
        }
        self.advance(now);
    }

    /// Whether a heartbeat changes nothing but the lease, so that its answer need not wait for a write.
    fn can_renew(&self, node: &Node) -> bool {
        let listed = self.shown.as_ref().and_then(|view| view.node(&node.name));
        self.fresh_at.is_some()
            && listed.is_some_and(|known| known == node || known.incarnation > node.incarnation)
    }

    /// Time goes by; call it every 50 ms or so.
    pub fn handle_tick(&mut self, now: Now) {
        self.advance(now);
    }

    /// What the store holds, with its revision; the error says why it could not be asked.
    pub fn handle_loaded(&mut self, result: Result<Option<(u64, String)>, String>, now: Now) {
        let Some(UnderWay::Load { readers }) = self.under_way.take() else { return };
        let result = self.fence.clone().map_or(result, Err);
        let parsed = result.and_then(|found| match found {
            None if self.revision > 0 || self.is_gone => Ok((0, self.registry.clone())),
            None => Ok((0, Registry::default())),
            Some((revision, text)) => Registry::from_text(&text)
                .map(|registry| (revision, registry))
                .map_err(|e| format!("the registry in the store can't be used: {e}")),
        });
        match parsed {
            Ok((revision, registry)) => {
                self.is_gone = revision == 0 && (self.revision > 0 || self.is_gone);
                let older = self.held_time.0.saturating_sub(registry.time().0);
                if revision > 0 && older > 0 {
                    self.outputs.push_back(RegistrarOutput::FellBack(Duration::from_millis(older)));
                }
                if revision > 0 {
                    self.held_time = registry.time();
                }
                self.learn(revision, registry, now);
                for (ask, reading) in readers {
                    let reply = reading.of(&self.registry);
                    self.reply(ask, reply);
                }
            }
            Err(reason) => {
                let asks = std::mem::take(&mut self.asks);
                let readers = readers.into_iter().map(|(ask, _)| ask);
                self.fail(readers.chain(asks.into_iter().map(|(ask, _)| ask)), &reason, now);
            }
        }
        self.advance(now);
    }

    /// Whether the save went in; `false` when another root was first. The error says why that is not known.
    pub fn handle_saved(&mut self, result: Result<bool, String>, now: Now) {
        let Some(UnderWay::Save { revision, registry, mut asks, replies, renewals }) = self.under_way.take()
        else {
            return;
        };
        match result {
            Ok(true) => {
                if registry.epoch() != self.registry.epoch() {
                    self.leap = 0;
                }
                self.is_gone = false;
                self.held_time = registry.time();
                self.learn(revision, *registry, now);
                for ((ask, _), reply) in asks.into_iter().zip(replies) {
                    self.reply(ask, reply);
                }
            }
            Ok(false) => {
                self.fresh_at = None;
                asks.append(&mut self.asks);
                self.asks = asks;
                for (name, node) in renewals {
                    self.renewals.entry(name).or_insert(node);
                }
            }
            Err(reason) => self.fail(asks.into_iter().map(|(ask, _)| ask), &reason, now),
        }
        self.advance(now);
    }

    fn learn(&mut self, revision: u64, registry: Registry, now: Now) {
        (self.revision, self.registry) = (revision, registry);
        self.lacks_time = revision > 0 && self.registry.time() == WallMs(0);
        self.registry.begin_time(now.wall, self.lease);
        self.clock.catch_up(self.registry.time(), now.mono);
        self.fresh_at = Some(now.mono);
        self.answering_since.get_or_insert(now.mono);
        self.highest_epoch = self.highest_epoch.max(self.registry.epoch());
        let view = self.registry.view();
        if self.shown.as_ref() != Some(&view) {
            self.shown = Some(view.clone());
            self.outputs.push_back(RegistrarOutput::View(view));
        }
        self.outputs.push_back(RegistrarOutput::Confirmed(self.asked_at));
    }

    fn fail(&mut self, asks: impl Iterator<Item = AskId>, reason: &str, now: Now) {
        self.fresh_at = None;
        self.answering_since = None;
        self.idle_until = now.mono + RETRY;
        asks.for_each(|ask| self.reply(ask, Reply::Failed(reason.to_owned())));
    }

    fn reply(&mut self, ask: AskId, reply: Reply) {
        self.outputs.push_back(RegistrarOutput::Reply { ask, reply });
    }

    /// Begins the next load or save, if one is due and none is under way.
    fn advance(&mut self, now: Now) {
        if self.under_way.is_some() || self.fence.is_some() || now.mono < self.idle_until {
            return;
        }
        let is_fresh = self.fresh_at.is_some_and(|at| now.mono.since(at) < self.refresh);
        if is_fresh && self.is_write_due(now) {
            self.write(now);
        }
        // A write that turned out to change nothing leaves the store free.
        if self.under_way.is_none() && (!is_fresh || !self.readers.is_empty()) {
            let readers = std::mem::take(&mut self.readers);
            self.under_way = Some(UnderWay::Load { readers });
            self.asked_at = now.mono;
            self.outputs.push_back(RegistrarOutput::Load);
        }
    }

    fn is_write_due(&self, now: Now) -> bool {
        let gap = now.mono.since(self.written_at);
        let is_forgetful = self.registry.epoch() < self.highest_epoch;
        let lacks = self.lacks_time || self.is_gone;
        let is_urgent = !self.asks.is_empty() || is_forgetful || lacks || self.must_expire(now);
        (is_urgent && gap >= WRITE_GAP) || (!self.renewals.is_empty() && gap >= RENEWAL_GAP)
    }

    /// A lease that ran out while the store was away says nothing about its node: everybody's did.
    fn must_expire(&self, now: Now) -> bool {
        let answered_throughout =
            self.answering_since.is_some_and(|since| now.mono.since(since) >= self.lease);
        answered_throughout && self.registry.has_expired(self.clock.read(now.mono))
    }

    fn write(&mut self, now: Now) {
        let (mut registry, time) = (self.registry.clone(), self.clock.read(now.mono));
        let seen =
            self.asks.iter().map(|(_, ask)| if let Ask::Heartbeat { epoch, .. } = ask { *epoch } else { 0 });
        registry.exceed(seen.fold(self.highest_epoch, u64::max));
        let renewals = std::mem::take(&mut self.renewals);
        for (node, reached) in renewals.values() {
            // Only nodes that are listed already are renewed, and the registry holds those.
            let _ = registry.heartbeat(node, time, self.lease);
            reached.iter().for_each(|reached| registry.reach(node, *reached, time));
        }
        let (asks, jump) = (std::mem::take(&mut self.asks), self.chance() % JUMP);
        let results: Vec<_> =
            asks.iter().map(|(_, ask)| ask.apply(&mut registry, self.lease, jump, time)).collect();
        if self.must_expire(now) {
            registry.expire(time);
        }
        if registry.epoch() != self.registry.epoch() {
            registry.leap(self.leap);
        }
        let view = registry.view();
        let replies = results.into_iter().map(|result| match result {
            Ok(Reply::View(_)) => Reply::View(view.clone()),
            Ok(reply) => reply,
            Err(reason) => Reply::Failed(reason),
        });
        self.written_at = now.mono;
        if registry == self.registry && !self.lacks_time && !self.is_gone {
            asks.into_iter().zip(replies).for_each(|((ask, _), reply)| self.reply(ask, reply));
            return;
        }
        registry.note_time(time);
        match registry.to_text() {
            Ok(text) => {
                let replies = replies.collect();
                let (expected, next, registry) = (self.revision, self.next_revision(), Box::new(registry));
                self.under_way = Some(UnderWay::Save { revision: next, registry, asks, replies, renewals });
                self.asked_at = now.mono;
                self.outputs.push_back(RegistrarOutput::Save { expected, next, text });
            }
            Err(e) => self.fail(asks.into_iter().map(|(ask, _)| ask), &e.to_string(), now),
        }
    }

    /// A higher revision, and no other root's: a store that fell back and then came to a revision again would take a
    /// save that was meant for the earlier state, and is late.
    fn next_revision(&mut self) -> u64 {
        self.revision + 1 + self.chance() % LEAP
    }

    /// SplitMix64.
    fn chance(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.chance ^ (self.chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next thing to do; drain it after every input.
    pub fn poll_output(&mut self) -> Option<RegistrarOutput> {
        self.outputs.pop_front()
    }
}

#[cfg(test)]
#[path = "registrar_tests.rs"]
mod tests;
