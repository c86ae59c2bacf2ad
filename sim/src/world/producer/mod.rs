//! The producer's shell: its events, its connections to the leaves, and the answers for its batches.

mod outputs;

use super::World;
use crate::host::{Host, Life};
use crate::network::ConnectionId;
use crate::plan::Plan;
use crate::world::event::SimEvent;
use countree_client::machine::producer::{Intake, LinkId as AttemptId, NameId, ProducerMachine};
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::key::Counter;
use countree_common::time::Time;
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

    /// The producers that have unanswered events, or events to come.
    pub(super) fn unresolved(&self) -> BTreeSet<usize> {
        (0..self.clients.producers.len()).filter(|i| !self.clients.producers[*i].is_done()).collect()
    }
}
