//! The producer's shell: its events, its connections to the leaves, and the answers for its batches.

use super::World;
use crate::flaws::Flaw;
use crate::host::{Host, Life};
use crate::model::Promise;
use crate::model::{EventId, EventStatus};
use crate::network::{ConnectionId, Message, Side};
use crate::plan::Plan;
use crate::world::event::SimEvent;
use countree_client::machine::producer::{
    Fate, Intake, LinkId as AttemptId, NameId, Outgoing, Output, ProducerMachine, Resolved,
};
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::key::Counter;
use countree_common::time::Time;
use countree_common::wire::batch::{BatchView, Events};
use countree_common::wire::hello::Conversation;
use countree_common::wire::producer::FromLeaf;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Time between two requests for the cluster's view.
const DISCOVER: Duration = Duration::from_millis(500);

/// A producer.
#[derive(Debug)]
pub(super) struct ProducerClient {
    number: usize,
    life: Life,
    machine: ProducerMachine,
    epoch: u64,
    names: BTreeMap<Counter, NameId>,
    links: BTreeMap<NodeName, Open>,
    wakes_at: Option<Time>,
    /// Events that are still to be produced.
    to_produce: usize,
}

/// A connection to a leaf, or the attempt at one.
#[derive(Debug)]
struct Open {
    attempt: AttemptId,
    link: ConnectionId,
    /// The counters behind the ids of this connection, to tell which events a batch holds.
    dictionary: Vec<Counter>,
}

impl ProducerClient {
    pub(super) fn new(number: usize, plan: &Plan) -> Self {
        let share = plan.workload.events / plan.workload.producers;
        let is_last = number + 1 == plan.workload.producers;
        let to_produce = if is_last { plan.workload.events - share * number } else { share };
        Self {
            number,
            life: 1,
            machine: machine(number, 1, plan),
            epoch: 0,
            names: BTreeMap::new(),
            links: BTreeMap::new(),
            wakes_at: None,
            to_produce,
        }
    }

    /// Its present process.
    pub(super) fn life(&self) -> Life {
        self.life
    }

    /// Whether all of its events are produced and answered.
    pub(super) fn is_done(&self) -> bool {
        self.to_produce == 0 && self.machine.is_empty()
    }

    fn leaf_of(&self, link: ConnectionId) -> Option<(NodeName, AttemptId)> {
        let open = self.links.iter().find(|(_, open)| open.link == link);
        open.map(|(leaf, open)| (leaf.clone(), open.attempt))
    }
}

fn machine(number: usize, life: Life, plan: &Plan) -> ProducerMachine {
    ProducerMachine::new(plan.workload.rules, (number as u128 + 1) << 64 | u128::from(life) << 32)
}

impl World {
    /// Replaces a producer's process by another one; events of the first that are pending get no answer any more.
    pub(super) fn crash_producer(&mut self, i: usize) -> bool {
        self.model.note_death(i);
        let producer = &mut self.clients.producers[i];
        producer.life += 1;
        let (life, machine) = (producer.life, machine(producer.number, producer.life, &self.plan));
        let to_produce = producer.to_produce;
        *producer = ProducerClient {
            number: i,
            life,
            machine,
            epoch: 0,
            names: BTreeMap::new(),
            links: BTreeMap::new(),
            wakes_at: None,
            to_produce,
        };
        self.terminate(Host::Producer(i));
        let wait = self.random.millis(10, 500);
        self.queue.after(wait, SimEvent::Produce { producer: i, life });
        true
    }

    /// Gives the producer its next event.
    pub(super) fn produce(&mut self, i: usize) {
        let now = self.queue.now();
        let Some(producer) = self.clients.producers.get_mut(i).filter(|p| p.to_produce > 0) else { return };
        let Some(id) = self.model.next_event(&mut self.random, now) else { return };
        self.model.note_queued(id, i, now);
        let event = &self.model.events[id];
        let mut intake = Intake { first_queued: now, ..Intake::default() };
        let next = producer.names.len() as NameId;
        let name = *producer.names.entry(event.counter.clone()).or_insert_with(|| {
            intake.names.push(event.counter.clone());
            next
        });
        intake.events.push((name, event.delta));
        producer.machine.handle_intake(now, &mut intake);
        producer.to_produce -= 1;
        let mean = self.plan.faults.duration.as_micros() as u64 * self.plan.workload.producers as u64
            / self.plan.workload.events as u64;
        // In bursts: half of the events follow closely upon the one before.
        let wait =
            if self.random.chance(50) { self.random.micros(1, 500) } else { self.random.micros(1, 4 * mean) };
        let life = self.clients.producers[i].life;
        self.queue.after(wait, SimEvent::Produce { producer: i, life });
        self.drain_producer(i);
    }

    /// Has a client ask any node in reach for the cluster's view, as over HTTP.
    pub(super) fn discover(&mut self, host: Host) {
        let now = self.queue.now();
        let answers = |node: &Host| !self.is_paused(*node) && self.view_at(*node).is_some();
        let reachable = |node: &Host| !self.network.is_cut(host, *node) && answers(node);
        let nodes: Vec<Host> = self.nodes().into_iter().filter(reachable).collect();
        let view = self.random.pick(&nodes).and_then(|node| self.view_at(*node)).cloned();
        match (host, view) {
            (Host::Producer(i), Some(view)) => self.producer_takes_view(i, now, &view),
            (Host::Viewer(i), Some(view)) => self.viewer_takes_view(i, view),
            (Host::Client(i), Some(view)) => self.client_takes_view(i, view),
            _ => {}
        }
        self.queue.after(DISCOVER, SimEvent::Discover(host));
    }

    fn producer_takes_view(&mut self, i: usize, now: Time, view: &ClusterView) {
        let producer = &mut self.clients.producers[i];
        // A registry that has fallen back may have lower epochs.
        if view.epoch > producer.epoch || view.epoch != producer.epoch && producer.machine.is_cut_off(now) {
            producer.epoch = view.epoch;
            producer.machine.handle_view(now, view);
            self.drain_producer(i);
        }
    }

    pub(super) fn producer_has_leaf(&mut self, i: usize, link: ConnectionId) {
        let now = self.queue.now();
        if let Some((leaf, attempt)) = self.clients.producers[i].leaf_of(link) {
            self.clients.producers[i].machine.handle_connected(now, &leaf, attempt);
        }
        self.drain_producer(i);
    }

    pub(super) fn producer_loses_connection(&mut self, i: usize, link: ConnectionId) {
        let now = self.queue.now();
        if let Some((leaf, attempt)) = self.clients.producers[i].leaf_of(link) {
            self.clients.producers[i].links.remove(&leaf);
            self.clients.producers[i].machine.handle_lost(
                now,
                &leaf,
                attempt,
                "the connection is lost".into(),
            );
        }
        self.drain_producer(i);
    }

    pub(super) fn producer_receives(&mut self, i: usize, link: ConnectionId, message: FromLeaf) {
        let now = self.queue.now();
        let producer = &mut self.clients.producers[i];
        if let Some((leaf, attempt)) = producer.leaf_of(link) {
            if let FromLeaf::View(view) = &message {
                producer.epoch = producer.epoch.max(view.epoch);
            }
            producer.machine.handle_message(now, &leaf, attempt, message);
        }
        self.drain_producer(i);
    }

    pub(super) fn wake_producer(&mut self, i: usize, at: Time) {
        let producer = &mut self.clients.producers[i];
        if producer.wakes_at == Some(at) {
            producer.wakes_at = None;
            producer.machine.handle_time(at);
            self.drain_producer(i);
        }
    }

    /// Carries out the machine's outputs.
    fn drain_producer(&mut self, i: usize) {
        while let Some(output) = self.clients.producers[i].machine.poll_output() {
            self.perform_producer_output(i, output);
        }
        let now = self.queue.now();
        let producer = &mut self.clients.producers[i];
        let Some(at) = producer.machine.next_deadline().map(|due| due.max(now + Duration::from_micros(100)))
        else {
            return;
        };
        if producer.wakes_at.is_none_or(|wakes_at| wakes_at > at) {
            producer.wakes_at = Some(at);
            let life = producer.life;
            self.queue.at(at, SimEvent::Wake { host: Host::Producer(i), life, at });
        }
    }

    fn perform_producer_output(&mut self, i: usize, output: Output) {
        match output {
            Output::Connect { leaf, link: attempt, address } => {
                self.producer_disconnects(i, &leaf);
                let Some(acceptor) = Host::of(&leaf) else { return };
                let link = self.open(Host::Producer(i), acceptor, address.port(), Conversation::Produce);
                let open = Open { attempt, link, dictionary: Vec::new() };
                self.clients.producers[i].links.insert(leaf, open);
            }
            Output::Disconnect { leaf, link: attempt } => {
                if self.clients.producers[i].links.get(&leaf).is_some_and(|open| open.attempt == attempt) {
                    self.producer_disconnects(i, &leaf);
                }
            }
            Output::Send { leaf, link: attempt, frame } => {
                let open =
                    self.clients.producers[i].links.get_mut(&leaf).filter(|open| open.attempt == attempt);
                let Some(open) = open else { return };
                let link = open.link;
                if let Outgoing::Batch(body) = &frame {
                    match read_along(&mut open.dictionary, body) {
                        Some(events) => self.note_batch(&leaf, &events),
                        None => self.violate(
                            Promise::Orderly,
                            format!("producer-{i} sent a batch that can't be read"),
                        ),
                    }
                }
                self.send(link, Side::Opener, Message::Produce(frame));
            }
            Output::Resolved(Resolved { events, first_queued, fate }) => {
                let status = match fate {
                    Fate::Acked => EventStatus::Acked,
                    Fate::Rejected(_) => EventStatus::Rejected,
                    Fate::InDoubt(_) => EventStatus::InDoubt,
                };
                // Leaves come back, and sessions outlive every run: only a producer that gives up has doubts.
                if status != EventStatus::Acked
                    && self.plan.workload.never_gives_up
                    && !self.model.losses.has_folders()
                {
                    self.violate(
                        Promise::Truthful,
                        format!("producer-{i} was told {status:?} and had not given up"),
                    );
                }
                if let Err(e) =
                    self.model.note_batch_answer(i, first_queued, events, status, self.queue.now())
                {
                    self.violate(Promise::Truthful, e);
                }
            }
            Output::Flushed(_) => {}
        }
    }

    fn note_batch(&mut self, leaf: &NodeName, events: &[(Counter, i64)]) {
        let ids: Option<Vec<EventId>> = events.iter().map(|(c, delta)| self.model.find(c, *delta)).collect();
        match ids {
            Some(ids) => {
                self.count_repeats(leaf, events, &ids);
                let host = Host::of(leaf).and_then(Host::leaf);
                self.model.note_batch(ids, host);
            }
            None => self.violate(Promise::Orderly, "a batch holds an event that nobody produced"),
        }
        if self.plan.flaw == Some(Flaw::MovedInDoubt) && !self.faults.are_over && self.random.chance(5) {
            self.hand_to_another(leaf, events);
        }
    }

    /// Counts a repeat again, as a flawed leaf would.
    fn count_repeats(&mut self, leaf: &NodeName, events: &[(Counter, i64)], ids: &[EventId]) {
        let leaf = Host::of(leaf).and_then(Host::leaf);
        let is_repeat = ids.iter().all(|id| leaf.is_some() && self.model.events[*id].leaf == leaf);
        if let Some(leaf) = leaf.filter(|_| is_repeat && self.plan.flaw == Some(Flaw::CountedRepeats)) {
            self.leaf_is_submitted(leaf, events);
        }
    }

    /// Hands a batch to another leaf as well, as a flawed producer would whose answer is late.
    fn hand_to_another(&mut self, leaf: &NodeName, events: &[(Counter, i64)]) {
        let others = (0..self.cluster.leaves.len())
            .filter(|i| Host::Leaf(*i).name() != *leaf && self.cluster.leaves[*i].is_up());
        let others: Vec<usize> = others.collect();
        if let Some(other) = self.random.pick(&others) {
            self.leaf_is_submitted(*other, events);
        }
    }

    fn producer_disconnects(&mut self, i: usize, leaf: &NodeName) {
        if let Some(open) = self.clients.producers[i].links.remove(leaf) {
            self.leave(open.link, Side::Opener);
        }
    }

    /// The producers that have unanswered events, or events to come.
    pub(super) fn unresolved(&self) -> BTreeSet<usize> {
        (0..self.clients.producers.len()).filter(|i| !self.clients.producers[*i].is_done()).collect()
    }
}

/// Reads the events of a batch by its connection's dictionary; adds the names that the batch defines.
fn read_along(dictionary: &mut Vec<Counter>, body: &[u8]) -> Option<Vec<(Counter, i64)>> {
    let batch = BatchView::parse(body).ok()?;
    if batch.reset_names {
        dictionary.clear();
    }
    dictionary.extend(batch.counters().ok()?);
    Events::new(batch.words).map(|(id, delta)| Some((dictionary.get(id as usize)?.clone(), delta))).collect()
}
