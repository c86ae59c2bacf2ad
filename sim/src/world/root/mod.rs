//! The root's shell: its process from start to end, and its tick.

mod identity;
mod messages;
mod outputs;
mod store_calls;

use super::World;
use super::membership::{HEARTBEAT, LEASE};
use crate::host::{Host, Life};
use crate::network::ConnectionId;
use crate::store::Operation;
use crate::world::event::SimEvent;
use countree_common::cluster::{ClusterView, Tier};
use countree_common::store::{FolderAdmission, StoreMemory};
use countree_common::time::Time;
use countree_root::machine::identity::standing::Standing;
use countree_root::machine::registry::registrar::{Ask, AskId};
use countree_root::machine::{Registrar, RootMachine};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Time between two ticks of the machines, as in the real shell.
const TICK: Duration = Duration::from_millis(50);
/// Time between two questions which process of the store serves.
const ERA_EVERY: Duration = Duration::from_secs(1);
/// Changes of the registry by other roots are seen within this, as in the real shell.
const REFRESH: Duration = Duration::from_millis(200);
/// The operator starts a root that was refused again after this long.
const REFUSED: Duration = Duration::from_millis(500);

/// A root: its folder outlives its processes.
#[derive(Debug)]
pub(super) struct RootNode {
    number: usize,
    lives: Life,
    /// The store that its folder belongs to.
    memory: Option<StoreMemory>,
    process: Option<RootProcess>,
}

#[derive(Debug)]
struct RootProcess {
    machine: RootMachine,
    standing: Standing,
    registrar: Registrar,
    view: ClusterView,
    incarnation: Option<u64>,
    leaves: BTreeSet<ConnectionId>,
    broadcasts: BTreeSet<ConnectionId>,
    /// The askers of open questions to the registrar: a conversation, or the root itself (`None`).
    asks: BTreeMap<AskId, Option<ConnectionId>>,
    /// The admission of the folder of each leaf that is joining.
    admitted: BTreeMap<ConnectionId, FolderAdmission>,
    next_ask: u64,
    /// The next time at which it asks the store for its era.
    asks_era_at: Time,
    /// The next time at which the root renews its lease with its own registrar.
    heartbeat_at: Time,
    /// The store is fenced: it is not this cluster's.
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

    /// Its judgement of its store.
    pub(super) fn standing(&mut self) -> Option<&mut Standing> {
        self.process.as_mut().map(|p| &mut p.standing)
    }

    /// Replaces its folder by a new one.
    pub(super) fn forget_store(&mut self) {
        self.memory = None;
    }

    fn host(&self) -> Host {
        Host::Root(self.number)
    }
}

impl World {
    pub(super) fn start_root(&mut self, i: usize) {
        let now = self.queue.now();
        if self.cluster.roots[i].process.is_some() {
            return;
        }
        let Some(standing) = self.bind_root(i) else { return };
        let salt = self.random.bits();
        let stamps_from = self.stamp_clocks(Host::Root(i));
        let root = &mut self.cluster.roots[i];
        root.lives += 1;
        root.process = Some(RootProcess {
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
            heartbeat_at: now,
            is_fenced: false,
        });
        self.follow_standing(i);
        self.tick_root(i);
    }

    /// Ends the process; says whether there was one.
    pub(super) fn crash_root(&mut self, i: usize) -> bool {
        let host = self.cluster.roots[i].host();
        // Leaves missing in its view were so until now.
        if let Some(view) = self.cluster.roots[i].view().cloned() {
            self.note_absences(&view, &view);
        }
        let was_up = self.cluster.roots[i].process.take().is_some();
        if was_up {
            self.terminate(host);
        }
        was_up
    }

    pub(super) fn tick_root(&mut self, i: usize) {
        let (host, now) = (Host::Root(i), self.clocks(Host::Root(i)));
        let (registrar_now, stamp_now) = (self.registrar_clocks(host), self.stamp_clocks(host));
        let Some(life) = self.cluster.roots[i].life() else { return };
        let Some(process) = &mut self.cluster.roots[i].process else { return };
        process.machine.handle_tick(stamp_now.mono);
        process.registrar.handle_tick(registrar_now);
        let asks_era = now.mono >= process.asks_era_at;
        if asks_era {
            process.asks_era_at = now.mono + ERA_EVERY;
        }
        if now.mono >= process.heartbeat_at {
            process.heartbeat_at = now.mono + HEARTBEAT;
            let question = match process.incarnation {
                None => Some(Ask::Join { name: host.name(), tier: Tier::Root, at_least: 0 }),
                Some(incarnation) => {
                    let epoch = process.view.epoch;
                    self.listed(host, incarnation).map(|node| Ask::Heartbeat { node, epoch, reached: None })
                }
            };
            if let Some(question) = question {
                self.ask_registrar(i, None, question);
            }
        }
        if asks_era {
            self.check_store_identity(i);
            self.ask_store(i, Operation::Era);
        }
        self.drain_root(i);
        let at = now.mono + TICK;
        self.queue.at(at, SimEvent::Wake { host, life, at });
    }
}
