//! A whole cluster in one thread: the machines of every tier, and simulated shells around them.
//!
//! One happening after another is taken off the agenda; whatever a machine puts out in answer is planned
//! at once. Each tier's shell is in a file of its own and does what the tier's real shell does.

mod broadcast;
mod client;
mod clocks;
mod complete;
mod convergence;
mod delivery;
pub(crate) mod event;
mod fault_injection;
mod leaf;
mod membership;
mod producer;
mod questions;
mod reading;
mod requests;
mod root;
mod standing;
mod viewer;

use crate::clock::Agenda;
use crate::faults::Struck;
use crate::faults::Tally;
use crate::host::{Life, Place};
use crate::model::Truth;
use crate::model::{Broken, Promise};
use crate::network::{LinkId, Message, Network, Side};
use crate::plan::Plan;
use crate::random::Random;
use crate::store::Store;
use crate::trace::Trace;
use crate::world::event::Happening;
use countree_common::cluster::ClusterView;
use countree_common::time::Time;
use countree_common::wire::hello::Conversation;
use std::collections::BTreeMap;
use std::time::Duration;

/// Once everything works, the cluster has this long to settle.
const PATIENCE: Duration = Duration::from_secs(180);
/// Settled, it has to stay so for this long: whatever still travels must change nothing.
const AFTERGLOW: Duration = Duration::from_secs(8);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(250);
/// More planned at a time means that something multiplies.
const AGENDA_MAX: usize = 20_000;
/// More messages on one connection mean that a shell would have cut its peer off.
const IN_FLIGHT_MAX: usize = 4_096;

/// The cluster, its clients, and all that lies between them.
#[derive(Debug)]
pub(crate) struct World {
    plan: Plan,
    agenda: Agenda<Happening>,
    random: Random,
    network: Network,
    store: Store,
    /// The right store, while another one stands in its place.
    aside: Option<Store>,
    /// Whether roots were ever started on another store.
    was_misled: bool,
    leaves: Vec<leaf::LeafNode>,
    roots: Vec<root::RootNode>,
    broadcasts: Vec<broadcast::BroadcastNode>,
    producers: Vec<producer::ProducerClient>,
    viewers: Vec<viewer::ViewerClient>,
    clients: Vec<client::HttpClient>,
    /// What clients have sent under ids and keys, for others to send again.
    sent: requests::Sent,
    /// By the connection that they are asked on.
    questions: BTreeMap<LinkId, questions::Question>,
    truth: Truth,
    /// Processes that stand still, and what waits for them.
    paused: BTreeMap<Place, Vec<Happening>>,
    /// The faults that found something to strike at.
    struck: Vec<Struck>,
    tally: Tally,
    trace: Trace,
    /// What readers wait for.
    readings: BTreeMap<u64, reading::Reading>,
    readings_begun: u64,
    steps: clocks::Steps,
    /// When each leaf was last not in the view that a root took up.
    absent_at: Vec<Time>,
    /// The first broken promise.
    violation: Option<Broken>,
    /// Nothing goes wrong any more.
    is_calm: bool,
}

impl World {
    /// The world of a plan, about to begin.
    pub(crate) fn new(plan: Plan, mut random: Random) -> Self {
        let truth = Truth::new(
            &mut random,
            plan.workload.topics,
            plan.workload.events + requests::EVENTS_MAX * plan.workload.requests * plan.workload.clients,
        );
        let topics = truth.topics();
        let mut world = Self {
            agenda: Agenda::default(),
            network: Network::new(plan.network),
            store: Store::new(plan.store.is_durable, plan.flaw),
            aside: None,
            was_misled: false,
            // The last one joins later, or never.
            leaves: (0..=plan.cluster.leaves).map(|i| leaf::LeafNode::new(i, plan.flaw)).collect(),
            roots: (0..plan.cluster.roots).map(root::RootNode::new).collect(),
            broadcasts: (0..plan.cluster.broadcasts).map(broadcast::BroadcastNode::new).collect(),
            producers: (0..plan.workload.producers)
                .map(|i| producer::ProducerClient::new(i, &plan))
                .collect(),
            viewers: (0..plan.workload.viewers)
                .map(|_| viewer::ViewerClient::new(&topics, &mut random))
                .collect(),
            clients: (0..plan.workload.clients).map(|i| client::HttpClient::new(i, &plan)).collect(),
            sent: requests::Sent::default(),
            questions: BTreeMap::new(),
            truth,
            paused: BTreeMap::new(),
            struck: Vec::new(),
            tally: Tally::default(),
            trace: Trace::new(plan.is_digested, plan.is_told),
            readings: BTreeMap::new(),
            readings_begun: 0,
            steps: clocks::Steps::default(),
            absent_at: vec![Time::default(); plan.cluster.leaves + 1],
            violation: None,
            is_calm: false,
            random,
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for place in self.nodes().into_iter().filter(|place| *place != Place::Leaf(self.plan.cluster.leaves))
        {
            let wait = self.random.millis(0, 500);
            self.agenda.after(wait, Happening::Restart(place));
        }
        for i in 0..self.producers.len() {
            self.agenda.after(Duration::from_millis(10), Happening::Discover(Place::Producer(i)));
            self.agenda.after(Duration::from_millis(20), Happening::Produce { producer: i, life: 1 });
        }
        for i in 0..self.viewers.len() {
            self.agenda.after(Duration::from_millis(10), Happening::Discover(Place::Viewer(i)));
            self.agenda.after(Duration::from_millis(20), Happening::Tune { viewer: i });
        }
        for client in 0..self.clients.len() {
            self.agenda.after(Duration::from_millis(10), Happening::Discover(Place::Client(client)));
            self.agenda.after(Duration::from_millis(20), Happening::Submit { client });
        }
        if self.plan.faults.has_clock_steps {
            self.agenda.after(Duration::from_millis(500), Happening::ReadComplete);
        }
        self.agenda.after(Duration::from_millis(self.plan.store.save_gap_ms), Happening::StoreSaves);
        for planned in self.plan.faults.schedule.iter().filter(|p| self.plan.faults.only.includes(p.number)) {
            self.agenda.after(planned.after, Happening::Fault(planned.number));
        }
        self.agenda.after(self.plan.faults.duration, Happening::Calm);
    }

    /// Runs to the end. Returns the simulated time that it took.
    ///
    /// # Errors
    /// The first broken promise.
    pub(crate) fn run(&mut self) -> Result<Duration, Broken> {
        let start = self.agenda.now();
        while !self.is_calm {
            self.step()?;
        }
        self.settle_standing()?;
        let deadline = self.agenda.now() + PATIENCE;
        while let Err(missing) = self.converged() {
            if self.agenda.now() > deadline {
                let Broken { promise, what } = missing;
                let waited = PATIENCE.as_secs();
                return Err(promise.broken(format!("{what}, still {waited} s after the last fault")));
            }
            self.run_for(LOOK)?;
        }
        self.run_for(AFTERGLOW)?;
        self.converged()?;
        self.tally.absorb(&self.network.tally);
        Ok(self.agenda.now().since(start))
    }

    fn run_for(&mut self, time: Duration) -> Result<(), Broken> {
        let until = self.agenda.now() + time;
        while self.agenda.now() < until {
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Broken> {
        let Some(happening) = self.agenda.advance() else {
            return Err(Promise::Settled.broken("nothing is left to happen"));
        };
        self.trace.note(self.agenda.now(), &happening);
        self.happen(happening);
        self.check_bounds();
        self.violation.take().map_or(Ok(()), Err)
    }

    fn happen(&mut self, happening: Happening) {
        if let Some(waiting) = happening.place(&self.network).and_then(|place| self.paused.get_mut(&place)) {
            return waiting.push(happening);
        }
        match happening {
            Happening::Network(arrival) => self.arrive(arrival),
            Happening::Wake { place, life, at } if self.lives(place, life) => self.wake(place, at),
            Happening::Restart(place) => self.start(place),
            Happening::Beat { place, life } if self.lives(place, life) => self.beat(place),
            Happening::Reconnect { place, life, root } if self.lives(place, life) => {
                self.connect_to_root(place, &root);
            }
            Happening::Disk { leaf, life } if self.lives(Place::Leaf(leaf), life) => self.disk_done(leaf),
            Happening::Scanned { leaf, life, stream, recut } if self.lives(Place::Leaf(leaf), life) => {
                self.scanned(leaf, &stream, *recut);
            }
            Happening::StoreAsked { root, life, bound, operation, is_heard } => {
                self.store_asked((root, life), bound, *operation, is_heard);
            }
            Happening::StoreAnswered { root, life, answer } if self.lives(Place::Root(root), life) => {
                self.store_answered(root, *answer);
            }
            Happening::StoreSaves => {
                self.store.save();
                let wait = self.random.millis(1, self.plan.store.save_gap_ms);
                self.agenda.after(wait, Happening::StoreSaves);
            }
            Happening::Produce { producer, life } if self.lives(Place::Producer(producer), life) => {
                self.produce(producer);
            }
            Happening::Discover(place) => self.discover(place),
            Happening::Tune { viewer } => self.tune(viewer),
            Happening::Unanswered(link) => {
                self.is_replied(link, None);
            }
            Happening::Submit { client } => self.submit(client),
            Happening::ReadComplete => self.read_complete(),
            Happening::ReadOn(id) => self.read_on(id),
            Happening::Fault(number) => self.fault(number),
            Happening::Heal(heal) => self.heal(heal),
            Happening::Calm => self.calm(),
            // Meant for a process that is dead.
            Happening::Wake { .. }
            | Happening::Beat { .. }
            | Happening::Reconnect { .. }
            | Happening::Disk { .. }
            | Happening::Scanned { .. }
            | Happening::Produce { .. }
            | Happening::StoreAnswered { .. } => {}
        }
    }

    fn wake(&mut self, place: Place, at: Time) {
        match place {
            Place::Leaf(i) => self.wake_leaf(i, at),
            Place::Root(i) => self.tick_root(i),
            Place::Broadcast(i) => self.tick_broadcast(i),
            Place::Producer(i) => self.wake_producer(i, at),
            Place::Viewer(_) | Place::Client(_) => {}
        }
    }

    /// Every node of the cluster.
    fn nodes(&self) -> Vec<Place> {
        let leaves = (0..self.leaves.len()).map(Place::Leaf);
        let roots = (0..self.plan.cluster.roots).map(Place::Root);
        roots.chain(leaves).chain((0..self.plan.cluster.broadcasts).map(Place::Broadcast)).collect()
    }

    /// The present process at a place, if there is one. A client's place is never empty.
    fn life(&self, place: Place) -> Option<Life> {
        match place {
            Place::Leaf(i) => self.leaves.get(i)?.life(),
            Place::Root(i) => self.roots.get(i)?.life(),
            Place::Broadcast(i) => self.broadcasts.get(i)?.life(),
            Place::Producer(i) => self.producers.get(i).map(|p| p.life()),
            Place::Viewer(_) | Place::Client(_) => Some(1),
        }
    }

    /// Whether a process stands still.
    fn is_paused(&self, place: Place) -> bool {
        self.paused.contains_key(&place)
    }

    /// A process that stood still goes on, with all that has come for it meanwhile.
    fn resume(&mut self, place: Place) {
        for happening in self.paused.remove(&place).unwrap_or_default() {
            self.happen(happening);
        }
    }

    /// A process is dead: its connections go with it, and what waited for it.
    fn bury(&mut self, place: Place) {
        self.forget_questions(place);
        self.network.bury(&mut self.agenda, &mut self.random, place);
        self.resume(place);
    }

    fn lives(&self, place: Place, life: Life) -> bool {
        self.life(place) == Some(life)
    }

    /// The view that a process has; `None` before it has one.
    fn view_at(&self, place: Place) -> Option<&ClusterView> {
        let view = match place {
            Place::Leaf(i) => self.leaves.get(i)?.view(),
            Place::Root(i) => self.roots.get(i)?.view(),
            Place::Broadcast(i) => self.broadcasts.get(i)?.view(),
            Place::Producer(_) | Place::Viewer(_) | Place::Client(_) => None,
        };
        view.filter(|view| view.epoch > 0)
    }

    /// The port that a process listens on in its life.
    fn port(&self, life: Life) -> u16 {
        if self.plan.cluster.moves_ports { 4_000 + life as u16 } else { 4_000 }
    }

    fn send(&mut self, link: LinkId, from: Side, message: Message) {
        self.network.send(&mut self.agenda, &mut self.random, link, from, message);
    }

    fn leave(&mut self, link: LinkId, side: Side) {
        self.network.leave(&mut self.agenda, &mut self.random, link, side);
    }

    fn open(&mut self, opener: Place, acceptor: Place, port: u16, conversation: Conversation) -> LinkId {
        self.network.open(&mut self.agenda, &mut self.random, opener, (acceptor, port), conversation)
    }

    /// Notes a broken promise; the first one counts.
    fn violate(&mut self, promise: Promise, what: impl Into<String>) {
        self.violation.get_or_insert_with(|| promise.broken(what));
    }

    fn check_bounds(&mut self) {
        if self.agenda.len() > AGENDA_MAX {
            self.violate(Promise::Bounded, format!("{} things are planned at once", self.agenda.len()));
        }
        if self.network.most_in_flight > IN_FLIGHT_MAX {
            self.violate(
                Promise::Bounded,
                format!("{} messages on one connection", self.network.most_in_flight),
            );
        }
    }

    /// What went wrong so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The faults that found something to strike at, in the order of their striking.
    pub(crate) fn struck(&self) -> &[Struck] {
        &self.struck
    }

    /// What producers were told.
    pub(crate) fn truth(&self) -> &Truth {
        &self.truth
    }

    /// A digest of everything that happened so far.
    pub(crate) fn trace(&self) -> u64 {
        self.trace.digest()
    }

    /// How much happened so far.
    pub(crate) fn happenings(&self) -> u64 {
        self.trace.count()
    }
}
