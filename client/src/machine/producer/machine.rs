//! The producer's machine: routes events to leaves and keeps one connection per leaf.
//!
//! The shell feeds it with the `handle_…` functions and then does what [`ProducerMachine::poll_output`]
//! returns, until that returns nothing. It calls [`ProducerMachine::handle_time`] at
//! [`ProducerMachine::next_deadline`] at the latest.

mod departed_leaves;
mod rerouting;

use super::backlog::Backlog;
use super::batch::{Batch, FillingBatch};
use super::ids::{FlushId, LinkId, NameId};
use super::intake::Intake;
use super::leaf_connection::{Context, LeafConnection};
use super::names::{Names, PREFETCHED_NAMES};
use super::options::ProducerOptions;
use super::output::{Fate, Output, Resolved};
use super::routing::Routing;
use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::delta::Delta;

use countree_common::time::Time;
use countree_common::wire::producer::FromLeaf;
use std::collections::VecDeque;

/// A producer's state: its events, and a connection for each leaf that it sends to or that owes it an answer.
#[derive(Debug)]
pub struct ProducerMachine {
    options: ProducerOptions,
    routing: Routing,
    /// Sorted by the leaf's name.
    connections: Vec<LeafConnection>,
    /// Events for which no leaf is known.
    unrouted: Backlog,
    names: Names,
    next_stamp: u32,
    next_session: u128,
    next_link: LinkId,
    /// The flush that will wait for the events queued now.
    flush: FlushId,
    flushing: VecDeque<FlushId>,
    outputs: VecDeque<Output>,
}

impl ProducerMachine {
    /// `origin` is a random number: the producer's sessions are numbered from it.
    pub fn new(options: ProducerOptions, origin: u128) -> Self {
        Self {
            options: options.clamped(),
            routing: Routing::new([], ClusterView::default(), 0),
            connections: Vec::new(),
            unrouted: Backlog::default(),
            names: Names::default(),
            next_stamp: 1,
            next_session: origin,
            next_link: LinkId(1),
            flush: FlushId(1),
            flushing: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Returns the next instruction to the shell.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Counts events that were never sent yet; the producer's queue is bounded by them.
    pub fn queued_events(&self) -> usize {
        self.connections.iter().map(|l| l.backlog.events()).sum::<usize>() + self.unrouted.events()
    }

    /// Whether every event is resolved.
    pub fn is_empty(&self) -> bool {
        self.unrouted.is_empty() && self.connections.iter().all(LeafConnection::is_empty)
    }

    /// Whether events wait for a leaf that can't be reached, so that a newer view may help.
    pub fn is_cut_off(&self, now: Time) -> bool {
        !self.unrouted.is_empty() || self.connections.iter().any(|connection| connection.is_cut_off(now))
    }

    /// Returns when to call [`ProducerMachine::handle_time`], if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Time> {
        let connections = self.connections.iter().filter_map(|l| l.deadline(&self.options));
        connections.chain(self.unrouted.next_since().map(|since| since + self.options.give_up)).min()
    }

    /// Takes events over. Leaves the intake empty, to be filled again.
    pub fn handle_intake(&mut self, now: Time, intake: &mut Intake) {
        if std::mem::take(&mut intake.restarts_names) {
            self.restart_names();
        }
        intake.names.drain(..).for_each(|counter| self.names.define(counter));
        for events in intake.events.chunks(PREFETCHED_NAMES) {
            self.names.prefetch(events.iter().map(|(name, _)| *name));
            events.iter().for_each(|(name, delta)| self.add(*name, *delta, intake.first_queued));
        }
        intake.events.clear();
        self.pump(now);
    }

    /// Takes up the cluster's nodes. Connects anew to leaves that have moved.
    pub fn handle_view(&mut self, now: Time, view: &ClusterView) {
        let mut leaves: Vec<&Node> = view.tier(Tier::Leaf).collect();
        leaves.sort_by(|a, b| a.name.cmp(&b.name));
        for node in &leaves {
            match self.index(&node.name) {
                Ok(at) => self.with_connection(now, at, |connection, ctx| connection.listed(node, ctx)),
                Err(at) => self.connections.insert(at, LeafConnection::new(node)),
            }
        }
        for at in 0..self.connections.len() {
            let connection = &mut self.connections[at];
            if leaves.binary_search_by(|n| n.name.cmp(connection.leaf())).is_err() {
                connection.unlisted();
            }
        }
        self.reroute(now, view.clone());
        self.pump(now);
    }

    /// Handles a successful attempt to connect.
    pub fn handle_connected(&mut self, now: Time, leaf: &NodeName, link: LinkId) {
        self.at_connection(now, leaf, |connection, ctx| connection.connected(link, ctx));
    }

    /// Handles a failed attempt, or a lost connection; the reason is for people.
    pub fn handle_lost(&mut self, now: Time, leaf: &NodeName, link: LinkId, reason: String) {
        self.at_connection(now, leaf, |connection, ctx| connection.lost(link, reason, ctx));
    }

    /// Handles a message from a leaf.
    pub fn handle_message(&mut self, now: Time, leaf: &NodeName, link: LinkId, message: FromLeaf) {
        if let FromLeaf::View(view) = &message {
            if view.epoch > self.routing.view().epoch {
                self.handle_view(now, view);
            }
            return;
        }
        if let FromLeaf::SessionEnd { session, last } = message {
            return self.session_ended(now, session, last);
        }
        let is_draining = message == FromLeaf::Draining;
        self.at_connection(now, leaf, |connection, ctx| connection.message(link, message, ctx));
        if is_draining {
            self.reroute(now, self.routing.view().clone());
            self.pump(now);
        }
    }

    /// Sends everything that was queued before, without lingering. `Output::Flushed` follows once all of it
    /// is resolved.
    pub fn handle_flush(&mut self, now: Time) -> FlushId {
        let flush = self.flush;
        self.flush = self.flush.next();
        self.flushing.push_back(flush);
        self.pump(now);
        flush
    }

    /// Abandons every event: those that were sent are in doubt, the others are rejected.
    pub fn handle_abandon(&mut self, now: Time, reason: &str) {
        for at in 0..self.connections.len() {
            self.with_connection(now, at, |connection, ctx| connection.abandon(reason, ctx));
        }
        self.unrouted.take().iter().for_each(|batch| self.reject(batch, reason));
        self.pump(now);
    }

    /// Does all work that is due.
    pub fn handle_time(&mut self, now: Time) {
        self.pump(now);
    }

    fn index(&self, leaf: &NodeName) -> Result<usize, usize> {
        self.connections.binary_search_by(|connection| connection.leaf().cmp(leaf))
    }

    fn with_connection(
        &mut self,
        now: Time,
        at: usize,
        act: impl FnOnce(&mut LeafConnection, &mut Context<'_>),
    ) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        let mut ctx = Context {
            now,
            options: &self.options,
            names: &self.names,
            flush: self.flush,
            next_session: &mut self.next_session,
            next_link: &mut self.next_link,
            outputs: &mut self.outputs,
        };
        act(connection, &mut ctx);
    }

    fn at_connection(
        &mut self,
        now: Time,
        leaf: &NodeName,
        act: impl FnOnce(&mut LeafConnection, &mut Context<'_>),
    ) {
        if let Ok(at) = self.index(leaf) {
            self.with_connection(now, at, act);
            self.displace_backlog(at);
            self.pump(now);
        }
    }

    /// Adds an event to the batch that is filling for its owner.
    #[inline]
    fn add(&mut self, name: NameId, delta: Delta, queued: Time) {
        let Self { routing, connections, names, unrouted, next_stamp, flush, options, .. } = self;
        let Some(at) = names.route(name, |counter| routing.route(counter, index(connections))) else {
            return;
        };
        let backlog = connections.get_mut(at).map_or(unrouted, |connection| &mut connection.backlog);
        let generation = names.generation();
        let filling = backlog.filling(|| {
            let stamp = *next_stamp;
            *next_stamp = stamp.checked_add(1).unwrap_or(1);
            if stamp == 1 {
                names.forget_stamps();
            }
            FillingBatch::new(stamp, generation, queued, *flush)
        });
        filling.queued(queued);
        names.add(name, delta, filling);
        if filling.is_full(options) {
            backlog.close_filling();
        }
    }

    /// Batches of different generations can't share a dictionary's names.
    fn restart_names(&mut self) {
        let backlogs = self.connections.iter_mut().map(|l| &mut l.backlog).chain([&mut self.unrouted]);
        backlogs.for_each(Backlog::close_filling);
        self.names.restart();
        let backlogs = self.connections.iter().map(|l| &l.backlog).chain([&self.unrouted]);
        let unacked =
            self.connections.iter().filter_map(LeafConnection::unacked).flatten().map(|b| b.generation);
        let oldest = backlogs.filter_map(Backlog::oldest_generation).chain(unacked).min();
        self.names.forget_before(oldest.unwrap_or(self.names.generation()));
    }

    fn reject(&mut self, batch: &Batch, reason: &str) {
        let fate = Fate::Rejected(reason.to_owned());
        let resolved = Resolved { events: batch.events.into(), first_queued: batch.first_queued, fate };
        self.outputs.push_back(Output::Resolved(resolved));
    }

    fn pump(&mut self, now: Time) {
        self.ask_about_orphans(now);
        for at in 0..self.connections.len() {
            self.with_connection(now, at, LeafConnection::pump);
        }
        let give_up = self.options.give_up;
        while let Some(batch) = self.unrouted.pop_if(|since| now >= since + give_up) {
            self.reject(&batch, "no leaf was in the cluster to take it");
        }
        self.settle_flushes();
    }

    fn settle_flushes(&mut self) {
        if self.flushing.is_empty() {
            return;
        }
        let backlogs = self.connections.iter().map(|l| &l.backlog).chain([&self.unrouted]);
        let unacked = self.connections.iter().filter_map(LeafConnection::unacked).flatten().map(|b| b.flush);
        let first = backlogs.filter_map(Backlog::first_flush).chain(unacked).min();
        while let Some(&flush) = self.flushing.front()
            && first.is_none_or(|first| first > flush)
        {
            self.flushing.pop_front();
            self.outputs.push_back(Output::Flushed(flush));
        }
    }
}

/// Finds a leaf's index among the connections; past the last one when there is no such leaf.
fn index(connections: &[LeafConnection]) -> impl Fn(Option<&NodeName>) -> usize {
    move |leaf| {
        let found = leaf.map(|leaf| connections.binary_search_by(|connection| connection.leaf().cmp(leaf)));
        found.and_then(Result::ok).unwrap_or(connections.len())
    }
}
