//! Injects faults, and ends them.

use super::World;
use crate::clock::Agenda;
use crate::disk::Crash;
use crate::faults::Struck;
use crate::faults::{Fault, Heal};
use crate::host::Place;
use crate::network::{Arrival, Weather};
use crate::world::event::Happening;
use std::time::Duration;

impl World {
    /// A node starts, unless it runs.
    pub(super) fn start(&mut self, place: Place) {
        match place {
            Place::Leaf(i) => self.start_leaf(i),
            Place::Root(i) => self.start_root(i),
            Place::Broadcast(i) => self.start_broadcast(i),
            Place::Producer(_) | Place::Viewer(_) | Place::Client(_) => {}
        }
    }

    /// Something goes wrong. All chance in it is the fault's own, so that the others stay what they are
    /// when this one is left out.
    pub(super) fn fault(&mut self, number: usize) {
        let Some(planned) = self.plan.faults.schedule.get(number).filter(|_| !self.is_calm) else { return };
        let fault = planned.fault;
        let of_the_world = std::mem::replace(&mut self.random, planned.random());
        let strikes = self.inject(fault);
        self.random = of_the_world;
        if strikes {
            self.tally.note(fault);
            let after = self.agenda.now().since(Agenda::<Happening>::BEGINNING);
            self.struck.push(Struck { number, fault, after });
        }
    }

    /// Injects a fault; says whether it found something to hit.
    fn inject(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::BrokenConnection
            | Fault::Partition
            | Fault::OneWayPartition
            | Fault::Isolation
            | Fault::SlowNetwork => self.inject_into_network(fault),
            Fault::LeafKilled
            | Fault::LeafPowerCut
            | Fault::LeafFolderLost
            | Fault::LeafFolderRestored
            | Fault::LeafDrained
            | Fault::LeafJoined
            | Fault::LeafPaused
            | Fault::DiskFull
            | Fault::FsyncFailed => self.inject_into_leaf(fault),
            Fault::RootCrash
            | Fault::BroadcastCrash
            | Fault::RootPaused
            | Fault::BroadcastPaused
            | Fault::ProducerCrash
            | Fault::ProducerPaused
            | Fault::ViewerCrash
            | Fault::ViewerPaused
            | Fault::ViewerMoved => self.inject_into_process(fault),
            Fault::StorePaused
            | Fault::StoreDown
            | Fault::StoreRollback
            | Fault::StoreReplaced
            | Fault::StoreEmptied
            | Fault::StoreExchanged
            | Fault::RootsMisled
            | Fault::RegistryRollback => self.inject_into_store(fault),
            Fault::ClockStepped => self.step_clocks(),
        }
    }

    /// Breaks, cuts or slows connections.
    fn inject_into_network(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::BrokenConnection => {
                let links = self.network.open_links();
                let Some(link) = self.random.pick(&links).copied() else { return false };
                self.network.sever(&mut self.agenda, &mut self.random, link);
                true
            }
            Fault::Partition => {
                let places = self.places();
                let a = self.random.pick(&places).copied();
                let b = self.random.pick(&places).copied();
                let (Some(a), Some(b)) = (a, b) else { return false };
                a != b && self.cut_for_a_while(a, &[b])
            }
            Fault::OneWayPartition => {
                let places = self.places();
                let from = self.random.pick(&places).copied();
                let to = self.random.pick(&places).copied();
                let (Some(from), Some(to)) = (from, to) else { return false };
                from != to && self.hold_up_for_a_while(from, to)
            }
            Fault::Isolation => {
                let (nodes, places) = (self.nodes(), self.places());
                let Some(node) = self.random.pick(&nodes).copied() else { return false };
                self.cut_for_a_while(node, &places)
            }
            Fault::SlowNetwork => {
                let slow = Weather { most_us: 300_000, spikes: 20, spike_us: 2_500_000, ..self.plan.network };
                self.network.weather = slow;
                self.heal_in(100, 1_500, Heal::Weather)
            }
            _ => false,
        }
    }

    /// Kills, drains or pauses a leaf, or fails its disk.
    fn inject_into_leaf(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::LeafKilled => self.crash_some_leaf(Crash::Process),
            Fault::LeafPowerCut => self.crash_some_leaf(Crash::Power),
            Fault::LeafFolderLost => self.lose_some_folder(false),
            Fault::LeafFolderRestored => self.lose_some_folder(true),
            Fault::LeafDrained => {
                let leaf = self.random.place(self.leaves.len()).unwrap_or_default();
                let producer = Place::Producer(self.random.place(self.producers.len()).unwrap_or_default());
                // Some producers do not hear from the leaf itself how their sessions ended.
                if self.random.chance(40) {
                    self.cut_for_a_while(Place::Leaf(leaf), &[producer]);
                }
                self.drain_and_leave(leaf)
            }
            Fault::LeafJoined => {
                let leaf = self.plan.cluster.leaves;
                let is_new = !self.leaves[leaf].has_lived();
                self.start_leaf(leaf);
                is_new
            }
            Fault::LeafPaused => {
                let leaf = self.random.place(self.leaves.len()).unwrap_or_default();
                self.pause(Place::Leaf(leaf))
            }
            Fault::DiskFull => {
                let until = self.agenda.now() + self.random.millis(100, 1_500);
                let Some(leaf) = self.random.place(self.leaves.len()) else { return false };
                self.leaves[leaf].disk.full_until = until;
                true
            }
            Fault::FsyncFailed => {
                let Some(leaf) = self.random.place(self.leaves.len()) else { return false };
                self.leaves[leaf].disk.fails_next = true;
                true
            }
            _ => false,
        }
    }

    /// Crashes or pauses a root, a broadcast node, a producer or a viewer.
    fn inject_into_process(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::RootCrash => {
                let root = self.random.place(self.roots.len()).unwrap_or_default();
                self.crash_root(root) && self.restart_soon(Place::Root(root))
            }
            Fault::BroadcastCrash => {
                let node = self.random.place(self.broadcasts.len()).unwrap_or_default();
                self.crash_broadcast(node) && self.restart_soon(Place::Broadcast(node))
            }
            Fault::RootPaused => {
                let root = self.random.place(self.roots.len()).unwrap_or_default();
                self.pause(Place::Root(root))
            }
            Fault::BroadcastPaused => {
                let node = self.random.place(self.broadcasts.len()).unwrap_or_default();
                self.pause(Place::Broadcast(node))
            }
            Fault::ProducerCrash => {
                let producer = self.random.place(self.producers.len()).unwrap_or_default();
                self.crash_producer(producer)
            }
            Fault::ProducerPaused => {
                let producer = self.random.place(self.producers.len()).unwrap_or_default();
                self.pause(Place::Producer(producer))
            }
            Fault::ViewerCrash => {
                let viewer = self.random.place(self.viewers.len()).unwrap_or_default();
                self.crash_viewer(viewer)
            }
            Fault::ViewerPaused => {
                let viewer = self.random.place(self.viewers.len()).unwrap_or_default();
                self.pause(Place::Viewer(viewer))
            }
            Fault::ViewerMoved => {
                let viewer = self.random.place(self.viewers.len()).unwrap_or_default();
                self.move_viewer(viewer)
            }
            _ => false,
        }
    }

    /// Stops the store, or has it go back, be replaced or be exchanged.
    fn inject_into_store(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::StorePaused => {
                self.store.paused_until = self.agenda.now() + self.random.millis(50, 2_500);
                true
            }
            Fault::StoreDown => {
                self.store.is_down = true;
                self.heal_in(100, 2_500, Heal::Store)
            }
            Fault::StoreRollback => self.store.roll_back(&mut self.random),
            Fault::StoreReplaced => self.store.replace(&mut self.random),
            Fault::StoreEmptied => self.empty_store(),
            Fault::StoreExchanged => self.exchange_store() && self.heal_in(500, 4_000, Heal::Exchange),
            Fault::RootsMisled => self.mislead_roots() && self.heal_in(1_000, 6_000, Heal::Mislead),
            Fault::RegistryRollback => self.store.roll_registry_back(&mut self.random),
            _ => false,
        }
    }

    fn places(&self) -> Vec<Place> {
        let clients = (0..self.producers.len()).map(Place::Producer);
        let clients = clients.chain((0..self.viewers.len()).map(Place::Viewer));
        let clients = clients.chain((0..self.clients.len()).map(Place::Client));
        self.nodes().into_iter().chain(clients).collect()
    }

    fn cut_for_a_while(&mut self, place: Place, others: &[Place]) -> bool {
        let wait = self.random.millis(100, 2_500);
        let mut strikes = false;
        for other in others.iter().copied().filter(|other| *other != place) {
            if self.network.cut(&mut self.agenda, &mut self.random, place, other) {
                self.agenda.after(wait, Happening::Heal(Heal::Cut(place, other)));
                strikes = true;
            }
        }
        strikes
    }

    /// One way is silent. Some connections over it give up; the others wait.
    fn hold_up_for_a_while(&mut self, from: Place, to: Place) -> bool {
        let wait = self.random.millis(100, 2_500);
        self.agenda.after(wait, Happening::Heal(Heal::Cut(from, to)));
        self.let_some_time_out(from, Some(to), wait);
        self.network.hold_up(from, to, self.agenda.now() + wait)
    }

    fn let_some_time_out(&mut self, place: Place, other: Option<Place>, within: Duration) {
        for link in self.network.links_of(place, other) {
            if self.random.chance(40) {
                let wait = self.random.micros(1, within.as_micros() as u64);
                self.agenda.after(wait, Arrival::TimedOut(link).into());
            }
        }
    }

    /// A process stands still, some beyond the end of their lease.
    fn pause(&mut self, place: Place) -> bool {
        if self.life(place).is_none() || self.is_paused(place) {
            return false;
        }
        let wait = if self.random.chance(80) {
            self.random.millis(20, 2_000)
        } else {
            self.random.millis(4_000, 7_000)
        };
        self.paused.insert(place, Vec::new());
        self.let_some_time_out(place, None, wait);
        self.agenda.after(wait, Happening::Heal(Heal::Pause(place)));
        true
    }

    fn heal_in(&mut self, least_ms: u64, most_ms: u64, heal: Heal) -> bool {
        let wait = self.random.millis(least_ms, most_ms);
        self.agenda.after(wait, Happening::Heal(heal));
        true
    }

    fn crash_some_leaf(&mut self, crash: Crash) -> bool {
        let leaf = self.random.place(self.leaves.len()).unwrap_or_default();
        self.crash_leaf(leaf, crash) && self.restart_soon(Place::Leaf(leaf))
    }

    /// A leaf dies and its folder is not what it was: acked events that were not merged may be lost.
    fn lose_some_folder(&mut self, is_restored: bool) -> bool {
        let leaf = self.random.place(self.leaves.len()).unwrap_or_default();
        let was_up = self.crash_leaf(leaf, Crash::Process);
        if !self.leaves[leaf].has_lived() || !self.leaves[leaf].lose_folder(is_restored) {
            return false;
        }
        self.truth.note_folder_lost(leaf, self.agenda.now());
        !was_up || self.restart_soon(Place::Leaf(leaf))
    }

    fn restart_soon(&mut self, place: Place) -> bool {
        // Some restart before anybody has noticed, some after their lease has run out.
        let wait = if self.random.chance(80) {
            self.random.millis(1, 1_000)
        } else {
            self.random.millis(3_000, 7_000)
        };
        self.agenda.after(wait, Happening::Restart(place));
        true
    }

    /// The operator notices a leaf whose disk has failed.
    pub(super) fn replace_failed_leaf(&mut self, leaf: usize) {
        self.heal_in(200, 1_500, Heal::Replace(leaf));
    }

    pub(super) fn heal(&mut self, heal: Heal) {
        match heal {
            Heal::Clock(place, by_ms) => self.step_clock(place, by_ms),
            Heal::Cut(a, b) => self.network.mend(a, b),
            Heal::Pause(place) => self.resume(place),
            Heal::Weather if !self.is_calm => self.network.weather = self.plan.network,
            Heal::Weather => {}
            Heal::Store => {
                self.store.is_down = false;
                if self.random.chance(50) {
                    self.store.change_process();
                }
            }
            Heal::Exchange => self.bring_store_back(),
            Heal::Mislead => self.lead_roots_back(),
            Heal::Replace(leaf) => {
                if self.leaves[leaf].disk.has_failed() {
                    self.crash_leaf(leaf, Crash::Process);
                    self.start_leaf(leaf);
                }
            }
        }
    }

    /// The end of all faults. What is down starts by itself, if later.
    pub(super) fn calm(&mut self) {
        self.lead_roots_back();
        self.is_calm = true;
        self.network.heal();
        self.store.is_down = false;
        self.store.paused_until = self.agenda.now();
        let paused: Vec<Place> = self.paused.keys().copied().collect();
        paused.into_iter().for_each(|place| self.resume(place));
        for leaf in &mut self.leaves {
            leaf.disk.full_until = self.agenda.now();
            leaf.disk.fails_next = false;
        }
        for place in self.nodes() {
            if self.life(place).is_none() {
                self.agenda.after(Duration::from_millis(1), Happening::Restart(place));
            }
        }
    }
}
