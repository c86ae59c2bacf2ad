//! All lanes of a producer, and which of them an event takes.

use super::backlog::Backlog;
use super::batch::{Batch, Filling};
use super::lane::{Context, Lane};
use super::names::{NEAR, NameId, Names};
use super::placing::Placing;
use super::{Fate, FlushId, LinkId, Output, Resolved, Rules};
use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::delta::Delta;
use countree_common::key::Counter;
use countree_common::session::{Seq, SessionId};
use countree_common::time::Time;
use countree_common::wire::producer::{FromLeaf, ToLeaf};
use std::collections::VecDeque;

/// Events as they are handed over: names by number, each number defined before it is used.
#[derive(Debug, Default)]
pub struct Intake {
    /// Numbers start again from 0 with the first of `names`.
    pub restarts_names: bool,
    /// The next numbers.
    pub names: Vec<Counter>,
    /// The events.
    pub events: Vec<(NameId, Delta)>,
    /// When the first of them was queued.
    pub first_queued: Time,
}

/// A producer's lanes, one for each leaf that it has something to do with.
#[derive(Debug)]
pub struct Lanes {
    rules: Rules,
    placing: Placing,
    /// By the leaf's name.
    lanes: Vec<Lane>,
    /// Events for which no leaf is known.
    homeless: Backlog,
    names: Names,
    next_stamp: u32,
    next_session: u128,
    next_link: LinkId,
    /// The flush that will wait for what is queued now.
    flush: FlushId,
    flushing: VecDeque<FlushId>,
    outputs: VecDeque<Output>,
}

impl Lanes {
    /// `origin` is random: the producer's sessions are numbered from it.
    pub fn new(rules: Rules, origin: u128) -> Self {
        Self {
            rules: rules.clamped(),
            placing: Placing::new([], ClusterView::default(), 0),
            lanes: Vec::new(),
            homeless: Backlog::default(),
            names: Names::default(),
            next_stamp: 1,
            next_session: origin,
            next_link: 1,
            flush: 1,
            flushing: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// What the shell is to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Events that were never sent yet: what bounds the producer's queue.
    pub fn queued_events(&self) -> usize {
        self.lanes.iter().map(|l| l.backlog.events()).sum::<usize>() + self.homeless.events()
    }

    /// Whether every event is resolved.
    pub fn is_empty(&self) -> bool {
        self.homeless.is_empty() && self.lanes.iter().all(Lane::is_empty)
    }

    /// Whether events wait for a leaf that can't be reached, so that a newer view may help.
    pub fn is_cut_off(&self, now: Time) -> bool {
        !self.homeless.is_empty() || self.lanes.iter().any(|lane| lane.is_cut_off(now))
    }

    /// When to call [`Lanes::handle_time`], if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Time> {
        let lanes = self.lanes.iter().filter_map(|l| l.deadline(&self.rules));
        lanes.chain(self.homeless.next_since().map(|since| since + self.rules.give_up)).min()
    }

    /// Takes events over; leaves the intake empty, to be filled again.
    pub fn handle_intake(&mut self, now: Time, intake: &mut Intake) {
        if std::mem::take(&mut intake.restarts_names) {
            self.restart_names();
        }
        intake.names.drain(..).for_each(|counter| self.names.define(counter));
        for events in intake.events.chunks(NEAR) {
            self.names.prefetch(events.iter().map(|(name, _)| *name));
            events.iter().for_each(|(name, delta)| self.place(*name, *delta, intake.first_queued));
        }
        intake.events.clear();
        self.pump(now);
    }

    /// The cluster's nodes, as heard outside of lanes. Leaves in it that have moved are connected to anew.
    pub fn handle_view(&mut self, now: Time, view: &ClusterView) {
        let mut leaves: Vec<&Node> = view.tier(Tier::Leaf).collect();
        leaves.sort_by(|a, b| a.name.cmp(&b.name));
        for node in &leaves {
            match self.index(&node.name) {
                Ok(at) => self.with_lane(now, at, |lane, ctx| lane.listed(node, ctx)),
                Err(at) => self.lanes.insert(at, Lane::new(node)),
            }
        }
        for at in 0..self.lanes.len() {
            let lane = &mut self.lanes[at];
            if leaves.binary_search_by(|n| n.name.cmp(lane.leaf())).is_err() {
                lane.unlisted();
            }
        }
        self.rearrange(now, view.clone());
        self.pump(now);
    }

    /// An attempt succeeded.
    pub fn handle_connected(&mut self, now: Time, leaf: &NodeName, link: LinkId) {
        self.at_lane(now, leaf, |lane, ctx| lane.connected(link, ctx));
    }

    /// An attempt failed, or a connection is lost; the reason is for people.
    pub fn handle_lost(&mut self, now: Time, leaf: &NodeName, link: LinkId, reason: String) {
        self.at_lane(now, leaf, |lane, ctx| lane.lost(link, reason, ctx));
    }

    /// A leaf says something.
    pub fn handle_message(&mut self, now: Time, leaf: &NodeName, link: LinkId, message: FromLeaf) {
        if let FromLeaf::View(view) = &message {
            if view.epoch > self.placing.view().epoch {
                self.handle_view(now, view);
            }
            return;
        }
        if let FromLeaf::SessionEnd { session, last } = message {
            return self.told(now, session, last);
        }
        let is_draining = message == FromLeaf::Draining;
        self.at_lane(now, leaf, |lane, ctx| lane.message(link, message, ctx));
        if is_draining {
            self.rearrange(now, self.placing.view().clone());
            self.pump(now);
        }
    }

    fn told(&mut self, now: Time, session: SessionId, last: Option<Seq>) {
        let asker = self.lanes.iter().position(|lane| lane.session() == Some(session));
        let (Some(at), Some(last)) = (asker, last) else { return };
        self.with_lane(now, at, |lane, ctx| lane.told(last, ctx));
        self.displace_backlog(at);
        self.pump(now);
    }

    /// Asks leaves that answer about sessions with leaves that have left.
    fn ask_around(&mut self, now: Time) {
        for at in 0..self.lanes.len() {
            let leaf = self.lanes[at].leaf().clone();
            let Some(session) = self.lanes[at].ask(now) else { continue };
            let live = |lane: &Lane| lane.takes_new();
            if let Some(ready) = self.lanes.iter().position(|lane| live(lane) && lane.is_ready()) {
                self.with_lane(now, ready, |lane, ctx| {
                    lane.send_message(ToLeaf::FindSessionEnd { leaf, session }, ctx)
                });
            } else if let Some(lane) = self.lanes.iter_mut().find(|lane| live(lane)) {
                lane.want();
            }
        }
    }

    /// Sends without waiting for company what was queued before; `Output::Flushed` follows once all of it
    /// is resolved.
    pub fn handle_flush(&mut self, now: Time) -> FlushId {
        let flush = self.flush;
        self.flush += 1;
        self.flushing.push_back(flush);
        self.pump(now);
        flush
    }

    /// Gives everything up: what was sent is in doubt, what was not is rejected.
    pub fn handle_abandon(&mut self, now: Time, reason: &str) {
        for at in 0..self.lanes.len() {
            self.with_lane(now, at, |lane, ctx| lane.abandon(reason, ctx));
        }
        self.homeless.take().iter().for_each(|batch| self.reject(batch, reason));
        self.pump(now);
    }

    /// Does what is due.
    pub fn handle_time(&mut self, now: Time) {
        self.pump(now);
    }

    fn index(&self, leaf: &NodeName) -> Result<usize, usize> {
        self.lanes.binary_search_by(|lane| lane.leaf().cmp(leaf))
    }

    fn with_lane(&mut self, now: Time, at: usize, act: impl FnOnce(&mut Lane, &mut Context<'_>)) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let mut ctx = Context {
            now,
            rules: &self.rules,
            names: &self.names,
            flush: self.flush,
            next_session: &mut self.next_session,
            next_link: &mut self.next_link,
            outputs: &mut self.outputs,
        };
        act(lane, &mut ctx);
    }

    fn at_lane(&mut self, now: Time, leaf: &NodeName, act: impl FnOnce(&mut Lane, &mut Context<'_>)) {
        if let Ok(at) = self.index(leaf) {
            self.with_lane(now, at, act);
            self.displace_backlog(at);
            self.pump(now);
        }
    }

    /// Puts an event into the batch that is filling for its owner.
    #[inline]
    fn place(&mut self, name: NameId, delta: Delta, queued: Time) {
        let Self { placing, lanes, names, homeless, next_stamp, flush, rules, .. } = self;
        let Some(at) = names.lane(name, |counter| placing.place(lanes, counter)) else { return };
        let backlog = lanes.get_mut(at).map_or(homeless, |lane| &mut lane.backlog);
        let generation = names.generation();
        let filling = backlog.filling(|| {
            let stamp = *next_stamp;
            *next_stamp = stamp.checked_add(1).unwrap_or(1);
            if stamp == 1 {
                names.forget_stamps();
            }
            Filling::new(stamp, generation, queued, *flush)
        });
        filling.queued(queued);
        names.add(name, delta, filling);
        if filling.is_full(rules) {
            backlog.close_filling();
        }
    }

    /// Batches of different generations can't share a dictionary's names.
    fn restart_names(&mut self) {
        let backlogs = self.lanes.iter_mut().map(|l| &mut l.backlog).chain([&mut self.homeless]);
        backlogs.for_each(Backlog::close_filling);
        self.names.restart();
        let backlogs = self.lanes.iter().map(|l| &l.backlog).chain([&self.homeless]);
        let unacked = self.lanes.iter().filter_map(Lane::unacked).flatten().map(|b| b.generation);
        let oldest = backlogs.filter_map(Backlog::oldest_generation).chain(unacked).min();
        self.names.forget_before(oldest.unwrap_or(self.names.generation()));
    }

    /// Follows a changed set of leaves: lanes without a purpose go, and what was never sent moves on.
    fn rearrange(&mut self, now: Time, view: ClusterView) {
        let owners = self.lanes.iter().filter(|lane| lane.takes_new()).map(|lane| lane.leaf().clone());
        self.placing = Placing::new(owners, view, self.next_session as usize);
        let homeless = std::mem::take(&mut self.homeless).take();
        let mut displaced: Vec<Batch> = homeless.into();
        for lane in self.lanes.iter_mut().filter(|lane| !lane.takes_new()) {
            displaced.extend(lane.backlog.take());
        }
        for at in 0..self.lanes.len() {
            self.with_lane(now, at, |lane, ctx| {
                if lane.is_useless() {
                    lane.disconnect(ctx);
                }
            });
        }
        self.lanes.retain(|lane| !lane.is_useless());
        self.names.displace();
        displaced.into_iter().for_each(|batch| self.place_batch(batch));
    }

    /// Moves what a lane must not send any more to others.
    fn displace_backlog(&mut self, at: usize) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        if !lane.takes_new() && !lane.backlog.is_empty() {
            let displaced = lane.backlog.take();
            displaced.into_iter().for_each(|batch| self.place_batch(batch));
        }
    }

    /// A batch goes to the owner of its first event, whole: where events are counted is a matter of
    /// efficiency, and this happens rarely.
    fn place_batch(&mut self, batch: Batch) {
        let names = self.names.of(batch.generation);
        let first = batch.iter().next().and_then(|(name, _)| names.get(name as usize));
        let at = first.map_or(self.lanes.len(), |counter| self.placing.owner(&self.lanes, counter));
        self.lanes.get_mut(at).map_or(&mut self.homeless, |lane| &mut lane.backlog).push_back(batch);
    }

    fn reject(&mut self, batch: &Batch, reason: &str) {
        let fate = Fate::Rejected(reason.to_owned());
        let resolved = Resolved { events: batch.events.into(), first_queued: batch.first_queued, fate };
        self.outputs.push_back(Output::Resolved(resolved));
    }

    fn pump(&mut self, now: Time) {
        self.ask_around(now);
        for at in 0..self.lanes.len() {
            self.with_lane(now, at, Lane::pump);
        }
        let give_up = self.rules.give_up;
        while let Some(batch) = self.homeless.pop_if(|since| now >= since + give_up) {
            self.reject(&batch, "no leaf was in the cluster to take it");
        }
        self.settle_flushes();
    }

    fn settle_flushes(&mut self) {
        if self.flushing.is_empty() {
            return;
        }
        let backlogs = self.lanes.iter().map(|l| &l.backlog).chain([&self.homeless]);
        let unacked = self.lanes.iter().filter_map(Lane::unacked).flatten().map(|b| b.flush);
        let first = backlogs.filter_map(Backlog::first_flush).chain(unacked).min();
        while let Some(&flush) = self.flushing.front()
            && first.is_none_or(|first| first > flush)
        {
            self.flushing.pop_front();
            self.outputs.push_back(Output::Flushed(flush));
        }
    }
}
