//! Injects faults, and ends them.

mod healing;
mod leaf;
mod network;
mod process;

use super::World;
use super::clocks::ClockSteps;
use crate::clock::EventQueue;
use crate::faults::{Fault, Heal, InjectedFault, Tally};
use crate::host::Host;
use crate::world::event::SimEvent;
use std::collections::BTreeMap;

/// The faults of a run so far, and the state that they left.
#[derive(Debug, Default)]
pub(super) struct ActiveFaults {
    /// The faults that had an effect, in order.
    pub(super) injected: Vec<InjectedFault>,
    /// Counts of all faults, background faults included.
    pub(super) tally: Tally,
    /// Paused processes, and the events that wait for them.
    pub(super) paused: BTreeMap<Host, Vec<SimEvent>>,
    pub(super) clock_steps: ClockSteps,
    /// No fault is injected any more.
    pub(super) are_over: bool,
}

impl World {
    /// Injects a planned fault. It draws from a seed of its own, so that other faults stay what they are
    /// when this one is left out.
    pub(super) fn fault(&mut self, number: usize) {
        let Some(planned) = self.plan.faults.schedule.get(number).filter(|_| !self.faults.are_over) else {
            return;
        };
        let fault = planned.fault;
        let of_the_world = std::mem::replace(&mut self.random, planned.random());
        let has_effect = self.inject(fault);
        self.random = of_the_world;
        if has_effect {
            self.faults.tally.note(fault);
            let after = self.queue.now().since(EventQueue::<SimEvent>::BEGINNING);
            self.faults.injected.push(InjectedFault { number, fault, after });
        }
    }

    /// Injects a fault; says whether it had an effect.
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
            | Fault::RootsOnOtherStore
            | Fault::RegistryRollback => self.inject_into_store(fault),
            Fault::ClockStepped => self.step_clocks(),
        }
    }

    /// Stops the store, or has it go back, be replaced or be exchanged.
    fn inject_into_store(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::StorePaused => {
                self.store.paused_until = self.queue.now() + self.random.millis(50, 2_500);
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
            Fault::RootsOnOtherStore => {
                self.start_roots_on_other_store() && self.heal_in(1_000, 6_000, Heal::RootsReturn)
            }
            Fault::RegistryRollback => self.store.roll_registry_back(&mut self.random),
            _ => false,
        }
    }
}
