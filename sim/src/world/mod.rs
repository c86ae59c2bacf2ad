//! A whole cluster in one thread: the machines of every tier, and simulated shells around them.
//!
//! The event queue hands out one event after another; whatever a machine puts out in answer is queued at once. Each
//! tier's shell is in a file of its own and does what the tier's real shell does.

mod broadcast;
mod clients;
mod clocks;
mod cluster;
mod complete;
mod convergence;
mod delivery;
pub(crate) mod event;
mod fault_injection;
mod hosts;
mod http_client;
mod leaf;
mod membership;
mod operator;
mod producer;
mod questions;
mod reading;
mod requests;
mod root;
mod run;
mod standing;
mod viewer;

use crate::clock::EventQueue;
use crate::faults::{InjectedFault, Tally};
use crate::host::Host;
use crate::model::{Broken, Promise, ReferenceModel};
use crate::network::{ConnectionId, Message, Network, Side};
use crate::plan::Plan;
use crate::random::Random;
use crate::store::Store;
use crate::trace::Trace;
use crate::world::event::SimEvent;
use clients::Clients;
use cluster::Cluster;
use countree_common::wire::hello::Conversation;
use fault_injection::ActiveFaults;
use operator::Operator;
use std::collections::BTreeMap;
use std::time::Duration;

/// The cluster, its clients, and all that lies between them.
#[derive(Debug)]
pub(crate) struct World {
    plan: Plan,
    queue: EventQueue<SimEvent>,
    random: Random,
    network: Network,
    /// The store that roots reach.
    store: Store,
    cluster: Cluster,
    clients: Clients,
    operator: Operator,
    /// Open requests between processes, by the connection that they are asked on.
    questions: BTreeMap<ConnectionId, questions::Question>,
    model: ReferenceModel,
    faults: ActiveFaults,
    trace: Trace,
    /// The first broken promise.
    violation: Option<Broken>,
}

impl World {
    /// The world of a plan, about to begin.
    pub(crate) fn new(plan: Plan, mut random: Random) -> Self {
        let model = ReferenceModel::new(
            &mut random,
            plan.workload.topics,
            plan.workload.events + requests::EVENTS_MAX * plan.workload.requests * plan.workload.clients,
        );
        let clients = Clients::new(&plan, &model.topics(), &mut random);
        let mut world = Self {
            queue: EventQueue::default(),
            network: Network::new(plan.network),
            store: Store::new(plan.store.is_durable, plan.flaw),
            cluster: Cluster::new(&plan),
            clients,
            operator: Operator::default(),
            questions: BTreeMap::new(),
            model,
            faults: ActiveFaults::default(),
            trace: Trace::new(plan.is_digested, plan.is_printed),
            violation: None,
            random,
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for host in self.nodes().into_iter().filter(|host| *host != Host::Leaf(self.plan.cluster.leaves)) {
            let wait = self.random.millis(0, 500);
            self.queue.after(wait, SimEvent::Restart(host));
        }
        for i in 0..self.clients.producers.len() {
            self.queue.after(Duration::from_millis(10), SimEvent::Discover(Host::Producer(i)));
            self.queue.after(Duration::from_millis(20), SimEvent::Produce { producer: i, life: 1 });
        }
        for i in 0..self.clients.viewers.len() {
            self.queue.after(Duration::from_millis(10), SimEvent::Discover(Host::Viewer(i)));
            self.queue.after(Duration::from_millis(20), SimEvent::FindBroadcast { viewer: i });
        }
        for client in 0..self.clients.http.len() {
            self.queue.after(Duration::from_millis(10), SimEvent::Discover(Host::Client(client)));
            self.queue.after(Duration::from_millis(20), SimEvent::Submit { client });
        }
        if self.plan.faults.has_clock_steps {
            self.queue.after(Duration::from_millis(500), SimEvent::ReadComplete);
        }
        self.queue.after(Duration::from_millis(self.plan.store.save_gap_ms), SimEvent::StoreSaves);
        for planned in self.plan.faults.schedule.iter().filter(|p| self.plan.faults.only.includes(p.number)) {
            self.queue.after(planned.after, SimEvent::Fault(planned.number));
        }
        self.queue.after(self.plan.faults.duration, SimEvent::EndFaults);
    }

    fn send(&mut self, link: ConnectionId, from: Side, message: Message) {
        self.network.send(&mut self.queue, &mut self.random, link, from, message);
    }

    fn leave(&mut self, link: ConnectionId, side: Side) {
        self.network.leave(&mut self.queue, &mut self.random, link, side);
    }

    fn open(&mut self, opener: Host, acceptor: Host, port: u16, conversation: Conversation) -> ConnectionId {
        self.network.open(&mut self.queue, &mut self.random, opener, (acceptor, port), conversation)
    }

    /// Notes a broken promise; the first one counts.
    fn violate(&mut self, promise: Promise, what: impl Into<String>) {
        self.violation.get_or_insert_with(|| promise.broken(what));
    }

    /// Counts of all faults so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.faults.tally
    }

    /// The faults that had an effect, in order.
    pub(crate) fn injected(&self) -> &[InjectedFault] {
        &self.faults.injected
    }

    /// The events, and the answers that clients got.
    pub(crate) fn model(&self) -> &ReferenceModel {
        &self.model
    }

    /// A digest of all events so far.
    pub(crate) fn trace(&self) -> u64 {
        self.trace.digest()
    }

    /// The number of events so far.
    pub(crate) fn steps(&self) -> u64 {
        self.trace.count()
    }
}
