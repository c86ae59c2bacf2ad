//! The root's shell: its leaves, its broadcast nodes, its way to the store, and its part of the registry.

mod store_calls;

use super::World;
use super::membership::{HEARTBEAT, LEASE};
use crate::flaws::Flaw;
use crate::host::{Life, Place};
use crate::model::Promise;
use crate::network::{LinkId, Message, Side};
use crate::store::Operation;
use crate::world::event::Happening;
use countree_common::cluster::{ClusterView, Tier};
use countree_common::store::{FolderAdmission, StoreMemory};
use countree_common::time::Time;
use countree_common::wire::publish::{self, FromRoot, snapshot_parts};
use countree_common::wire::rpc::{Reply, Request};
use countree_common::wire::uplink;
use countree_root::machine::identity::binding::{Claimant, claim};
use countree_root::machine::identity::standing::Standing;
use countree_root::machine::registry::registrar::{Ask, AskId, RegistrarOutput};
use countree_root::machine::{ConnectionId, Output, Registrar, RootMachine};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Between two ticks of the machines, as in the real shell.
const TICK: Duration = Duration::from_millis(50);
/// Between two looks at which process of the store serves.
const ERA_EVERY: Duration = Duration::from_secs(1);
/// What other roots change in the registry is seen within this, as in the real shell.
const REFRESH: Duration = Duration::from_millis(200);
/// Bytes of totals in one piece of a snapshot: few, so that snapshots have several.
const PART_BYTES: usize = 200;
/// The operator starts a root that was refused again after this long.
const REFUSED: Duration = Duration::from_millis(500);
/// No queue of cuts gets longer in clusters as small as these.
const CUTS_QUEUED_MAX: usize = 2_000;

/// A root's place.
#[derive(Debug)]
pub(super) struct RootNode {
    number: usize,
    lives: Life,
    /// Which store its folder belongs to.
    memory: Option<StoreMemory>,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    machine: RootMachine,
    standing: Standing,
    registrar: Registrar,
    view: ClusterView,
    incarnation: Option<u64>,
    leaves: BTreeSet<LinkId>,
    broadcasts: BTreeSet<LinkId>,
    /// Who waits for the registrar's answer: a conversation, or the root itself.
    asks: BTreeMap<AskId, Option<LinkId>>,
    /// What leaves that join were told of their folders.
    admitted: BTreeMap<LinkId, FolderAdmission>,
    next_ask: u64,
    /// When it asks the store again in which era it serves.
    asks_era_at: Time,
    /// When the root tells its own registrar again that it lives.
    beats_at: Time,
    /// The store is left alone.
    is_fenced: bool,
}

impl RootNode {
    pub(super) fn new(number: usize) -> Self {
        Self { number, lives: 0, memory: None, process: None }
    }

    pub(super) fn life(&self) -> Option<Life> {
        self.process.as_ref().map(|_| self.lives)
    }

    pub(super) fn is_up(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.incarnation.is_some())
    }

    pub(super) fn view(&self) -> Option<&ClusterView> {
        self.process.as_ref().map(|p| &p.view)
    }

    fn machine(&mut self) -> Option<&mut RootMachine> {
        self.process.as_mut().map(|p| &mut p.machine)
    }

    /// What it thinks of its store.
    pub(super) fn standing(&mut self) -> Option<&mut Standing> {
        self.process.as_mut().map(|p| &mut p.standing)
    }

    /// Its folder is another.
    pub(super) fn forget_store(&mut self) {
        self.memory = None;
    }

    fn place(&self) -> Place {
        Place::Root(self.number)
    }
}

impl World {
    pub(super) fn start_root(&mut self, i: usize) {
        let now = self.agenda.now();
        if self.roots[i].process.is_some() {
            return;
        }
        let Some(standing) = self.bind_root(i) else { return };
        let salt = self.random.bits();
        let stamps_from = self.stamp_clocks(Place::Root(i));
        let root = &mut self.roots[i];
        root.lives += 1;
        root.process = Some(Process {
            machine: RootMachine::new(stamps_from),
            standing,
            registrar: Registrar::new(LEASE, REFRESH, salt),
            view: ClusterView::default(),
            incarnation: None,
            leaves: BTreeSet::new(),
            broadcasts: BTreeSet::new(),
            asks: BTreeMap::new(),
            admitted: BTreeMap::new(),
            next_ask: 0,
            asks_era_at: now,
            beats_at: now,
            is_fenced: false,
        });
        self.follow_standing(i);
        self.tick_root(i);
    }

    /// The store and the root's folder are bound to each other; a root that is refused is started again.
    fn bind_root(&mut self, i: usize) -> Option<Standing> {
        let memory = self.roots[i].memory.clone();
        let place = Place::Root(i);
        let authorities = ["ours".to_owned()].into();
        let claimant = Claimant { memory, authorities, adopts: false, place: place.to_string() };
        let chance = self.store.chance();
        let found = self.store.found();
        // One that runs has more to say of an emptied store than an operator.
        let is_adopted = self.is_calm && self.roots.iter().all(|root| root.process.is_none());
        let record = claim(&found, &claimant, chance).or_else(|refused| {
            if !is_adopted {
                return Err(refused);
            }
            self.truth.note_acknowledged();
            claim(&found, &Claimant { adopts: true, ..claimant }, chance)
        });
        let Ok(record) = record else {
            self.agenda.after(REFUSED, Happening::Restart(place));
            return None;
        };
        self.store.put_identity(record.clone());
        self.roots[i].memory = record.last_start().map(|start| StoreMemory::of(record.id, start));
        // As if it had served for long.
        Standing::of(&record, Time::default())
    }

    /// A root looks whose store it is.
    fn look_at_store(&mut self, i: usize) {
        if self.store.is_down || self.agenda.now() < self.store.paused_until {
            return;
        }
        let now = self.clocks(Place::Root(i)).mono;
        let Some(process) = &mut self.roots[i].process else { return };
        process.standing.handle_found(&self.store.found(), now);
        if let Some(mut record) = process.standing.poll_write() {
            if self.plan.flaw == Some(Flaw::UnmarkedLosses) {
                record.unacknowledged = None;
            }
            self.store.put_identity(record);
            process.standing.handle_found(&self.store.found(), now);
        }
        self.follow_standing(i);
    }

    /// The root's machines are told what it thinks of its store.
    pub(super) fn follow_standing(&mut self, i: usize) {
        let now = self.registrar_clocks(Place::Root(i));
        let Some(process) = &mut self.roots[i].process else { return };
        process.machine.handle_stores(process.standing.stores());
        let is_fenced = process.standing.is_fenced() && self.plan.flaw != Some(Flaw::UnfencedRoots);
        let fence = process.standing.words().filter(|_| is_fenced);
        if fence.is_some() != process.is_fenced {
            process.is_fenced = fence.is_some();
            process.machine.handle_fence(fence.is_some());
            process.registrar.handle_fence(fence, now);
        }
    }

    /// A process is gone; says whether there was one.
    pub(super) fn crash_root(&mut self, i: usize) -> bool {
        let place = self.roots[i].place();
        // What is missing in its view was so until now.
        if let Some(view) = self.roots[i].view().cloned() {
            self.note_absences(&view, &view);
        }
        let was_up = self.roots[i].process.take().is_some();
        if was_up {
            self.bury(place);
        }
        was_up
    }

    pub(super) fn tick_root(&mut self, i: usize) {
        let (place, now) = (Place::Root(i), self.clocks(Place::Root(i)));
        let (registrar_now, stamp_now) = (self.registrar_clocks(place), self.stamp_clocks(place));
        let Some(life) = self.roots[i].life() else { return };
        let Some(process) = &mut self.roots[i].process else { return };
        process.machine.handle_tick(stamp_now.mono);
        process.registrar.handle_tick(registrar_now);
        let asks_era = now.mono >= process.asks_era_at;
        if asks_era {
            process.asks_era_at = now.mono + ERA_EVERY;
        }
        if now.mono >= process.beats_at {
            process.beats_at = now.mono + HEARTBEAT;
            let question = match process.incarnation {
                None => Some(Ask::Join { name: place.name(), tier: Tier::Root, at_least: 0 }),
                Some(incarnation) => {
                    let epoch = process.view.epoch;
                    self.listed(place, incarnation).map(|node| Ask::Heartbeat { node, epoch, reached: None })
                }
            };
            if let Some(question) = question {
                self.ask_registrar(i, None, question);
            }
        }
        if asks_era {
            self.look_at_store(i);
            self.ask_store(i, Operation::Era);
        }
        self.drain_root(i);
        let at = now.mono + TICK;
        self.agenda.at(at, Happening::Wake { place, life, at });
    }

    fn ask_registrar(&mut self, i: usize, asker: Option<LinkId>, question: Ask) {
        let now = self.registrar_clocks(Place::Root(i));
        let Some(process) = &mut self.roots[i].process else { return };
        let ask = AskId(process.next_ask);
        process.next_ask += 1;
        process.asks.insert(ask, asker);
        process.registrar.handle_ask(ask, question, now);
    }

    pub(super) fn root_is_asked(&mut self, i: usize, link: LinkId, request: Request) {
        let question = match request {
            Request::Join { name, tier, at_least } => Ask::Join { name, tier, at_least },
            Request::JoinOnLog { leaf, log, store } => {
                let Some(process) = &mut self.roots[i].process else { return };
                match process.standing.admit(&store) {
                    Ok(admission) => drop(process.admitted.insert(link, admission)),
                    Err(e) => {
                        return self.send(
                            link,
                            Side::Acceptor,
                            Message::Reply(Reply::Refused(e.to_string())),
                        );
                    }
                }
                Ask::JoinOnLog { leaf, log }
            }
            Request::Heartbeat { node, epoch, .. } => Ask::Heartbeat { node, epoch, reached: None },
            Request::LeafHeartbeat { node, epoch, progress, .. } => {
                Ask::Heartbeat { node, epoch, reached: Some(progress) }
            }
            Request::Leave(name) => Ask::Leave(name),
            Request::Retire(ledgers) => Ask::Retire(ledgers),
            Request::Drained { stream, handover } => Ask::Settled { stream, handover },
            Request::Members => Ask::Members,
            Request::Ledgers => Ask::Ledgers,
            Request::Read(topic) => return self.ask_store(i, Operation::Show(link, topic)),
            Request::ForgetAt { topic, at } => return self.ask_store(i, Operation::Forget(link, topic, at)),
            Request::Publish(table) => return self.ask_store(i, Operation::Publish(link, table)),
            Request::SessionEnd { leaf, session } => {
                return self.ask_store(i, Operation::Ended(link, leaf, session));
            }
            other => return self.violate(Promise::Orderly, format!("nobody asks {other:?} here")),
        };
        self.ask_registrar(i, Some(link), question);
        self.drain_root(i);
    }

    pub(super) fn leaf_came(&mut self, i: usize, link: LinkId, leaf: Place) {
        let store = match leaf {
            Place::Leaf(of) if self.plan.flaw != Some(Flaw::UnboundFolders) => self.leaves[of].store(),
            _ => None,
        };
        if let Some(process) = &mut self.roots[i].process {
            process.machine.handle_leaf_opened(ConnectionId(link), leaf.name());
            // The first that it says.
            let said =
                store.map(|id| process.machine.handle_leaf(ConnectionId(link), uplink::ToRoot::Store(id)));
            if said.is_some_and(|said| said.is_err()) {
                process.machine.handle_leaf_closed(ConnectionId(link));
                self.leave(link, Side::Acceptor);
                // Once all is calm, the operator starts it again, to be adopted.
                if let (Place::Leaf(of), true) = (leaf, self.is_calm) {
                    self.leaf_is_refused(of);
                }
                return;
            }
            process.leaves.insert(link);
        }
        self.drain_root(i);
    }

    pub(super) fn broadcast_came(&mut self, i: usize, link: LinkId) {
        if let Some(process) = &mut self.roots[i].process {
            process.broadcasts.insert(link);
            if let Err(e) = process.machine.handle_broadcast_opened(ConnectionId(link)) {
                self.violate(Promise::Orderly, format!("a root turned a broadcast node away: {e}"));
            }
        }
        self.drain_root(i);
    }

    pub(super) fn root_hears_leaf(&mut self, i: usize, link: LinkId, message: uplink::ToRoot) {
        if let Some(machine) = self.roots[i].machine()
            && let Err(e) = machine.handle_leaf(ConnectionId(link), message)
        {
            self.violate(Promise::Orderly, format!("a leaf sent an unsound cut: {e}"));
        }
        self.drain_root(i);
    }

    pub(super) fn root_hears_broadcast(&mut self, i: usize, link: LinkId, message: publish::ToRoot) {
        if let Some(machine) = self.roots[i].machine()
            && let Err(e) = machine.handle_broadcast(ConnectionId(link), message)
        {
            self.violate(Promise::Orderly, format!("a broadcast node wants too much: {e}"));
        }
        self.drain_root(i);
    }

    pub(super) fn root_loses(&mut self, i: usize, link: LinkId) {
        let Some(process) = &mut self.roots[i].process else { return };
        if process.leaves.remove(&link) {
            process.machine.handle_leaf_closed(ConnectionId(link));
        }
        if process.broadcasts.remove(&link) {
            process.machine.handle_broadcast_closed(ConnectionId(link));
        }
        self.drain_root(i);
    }

    /// Does what the machines have decided.
    fn drain_root(&mut self, i: usize) {
        while let Some(output) = self.roots[i].machine().and_then(RootMachine::poll_output) {
            self.root_does(i, output);
        }
        while let Some(output) = self.roots[i].process.as_mut().and_then(|p| p.registrar.poll_output()) {
            self.registrar_does(i, output);
        }
        // The registrar may have shown the machine a new view.
        while let Some(output) = self.roots[i].machine().and_then(RootMachine::poll_output) {
            self.root_does(i, output);
        }
        let queued = self.roots[i].machine().map_or(0, |machine| machine.queued_cuts());
        if queued > CUTS_QUEUED_MAX {
            self.violate(Promise::Bounded, format!("{queued} cuts wait in root-{i}"));
        }
    }

    fn root_does(&mut self, i: usize, output: Output) {
        match output {
            Output::Merge { batch, cuts } => self.ask_store(i, Operation::Merge(batch, cuts)),
            Output::Read { read, topic } => self.ask_store(i, Operation::Read(read, topic)),
            Output::Answer { connection, message } => {
                self.send(connection.0, Side::Acceptor, Message::Outcomes(message));
            }
            Output::Publish { connections, message } => {
                for connection in connections {
                    self.send(connection.0, Side::Acceptor, Message::Totals(message.clone()));
                }
            }
            Output::Snapshot { connection, snapshot } => {
                for part in snapshot_parts(&snapshot.topic, snapshot.version, snapshot.totals, PART_BYTES) {
                    self.send(connection.0, Side::Acceptor, Message::Totals(FromRoot::Snapshot(part)));
                }
                if let Some(machine) = self.roots[i].machine() {
                    machine.handle_snapshot_sent(connection);
                }
            }
        }
    }

    fn registrar_does(&mut self, i: usize, output: RegistrarOutput) {
        match output {
            RegistrarOutput::Load => self.ask_store(i, Operation::Load),
            RegistrarOutput::Save { expected, next, text } => {
                self.ask_store(i, Operation::Save { expected, next, text });
            }
            RegistrarOutput::View(view) => {
                if let Some(process) = &mut self.roots[i].process {
                    process.machine.handle_view(&view);
                    let before = std::mem::replace(&mut process.view, view.clone());
                    self.note_absences(&before, &view);
                }
            }
            RegistrarOutput::FellBack(by) => {
                if let Some(standing) = self.roots[i].standing() {
                    standing.handle_fell_back(by);
                }
            }
            RegistrarOutput::Confirmed(asked) => {
                if let Some(machine) = self.roots[i].machine() {
                    machine.handle_confirmation(asked);
                }
            }
            RegistrarOutput::Reply { ask, reply } => {
                let Some(process) = &mut self.roots[i].process else { return };
                let asker = process.asks.remove(&ask);
                let admitted = asker.flatten().and_then(|link| process.admitted.remove(&link));
                let reply = match reply {
                    Reply::JoinedOnLog { incarnation, missing, .. } => {
                        Reply::JoinedOnLog { incarnation, missing, store: admitted }
                    }
                    other => other,
                };
                match asker {
                    Some(Some(link)) => self.send(link, Side::Acceptor, Message::Reply(reply)),
                    Some(None) => {
                        if let Reply::Joined { incarnation } = reply {
                            process.incarnation.get_or_insert(incarnation);
                            process.beats_at = Time::default();
                        }
                    }
                    None => self.violate(Promise::Orderly, "the registrar answered a question twice"),
                }
            }
        }
    }
}
