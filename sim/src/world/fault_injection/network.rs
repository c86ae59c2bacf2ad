//! Faults of the network: connections that break, partitions, and slow packets.

use super::World;
use crate::faults::{Fault, Heal};
use crate::host::Host;
use crate::network::{Delivery, NetworkConditions};
use crate::world::event::SimEvent;
use std::time::Duration;

impl World {
    /// Breaks, cuts or slows connections.
    pub(super) fn inject_into_network(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::BrokenConnection => {
                let links = self.network.open_links();
                let Some(link) = self.random.pick(&links).copied() else { return false };
                self.network.sever(&mut self.queue, &mut self.random, link);
                true
            }
            Fault::Partition => {
                let hosts = self.hosts();
                let a = self.random.pick(&hosts).copied();
                let b = self.random.pick(&hosts).copied();
                let (Some(a), Some(b)) = (a, b) else { return false };
                a != b && self.cut_for_a_while(a, &[b])
            }
            Fault::OneWayPartition => {
                let hosts = self.hosts();
                let from = self.random.pick(&hosts).copied();
                let to = self.random.pick(&hosts).copied();
                let (Some(from), Some(to)) = (from, to) else { return false };
                from != to && self.hold_up_for_a_while(from, to)
            }
            Fault::Isolation => {
                let (nodes, hosts) = (self.nodes(), self.hosts());
                let Some(node) = self.random.pick(&nodes).copied() else { return false };
                self.cut_for_a_while(node, &hosts)
            }
            Fault::SlowNetwork => {
                let slow = NetworkConditions {
                    most_us: 300_000,
                    spikes: 20,
                    spike_us: 2_500_000,
                    ..self.plan.network
                };
                self.network.conditions = slow;
                self.heal_in(100, 1_500, Heal::Conditions)
            }
            _ => false,
        }
    }

    /// Every host, clients included.
    fn hosts(&self) -> Vec<Host> {
        let clients = (0..self.clients.producers.len()).map(Host::Producer);
        let clients = clients.chain((0..self.clients.viewers.len()).map(Host::Viewer));
        let clients = clients.chain((0..self.clients.http.len()).map(Host::Client));
        self.nodes().into_iter().chain(clients).collect()
    }

    /// Lets nothing pass between a host and others for a while; says whether that changes anything.
    pub(super) fn cut_for_a_while(&mut self, host: Host, others: &[Host]) -> bool {
        let wait = self.random.millis(100, 2_500);
        let mut has_effect = false;
        for other in others.iter().copied().filter(|other| *other != host) {
            if self.network.cut(&mut self.queue, &mut self.random, host, other) {
                self.queue.after(wait, SimEvent::Heal(Heal::Cut(host, other)));
                has_effect = true;
            }
        }
        has_effect
    }

    /// Holds messages up in one direction. Some connections over it time out; the others wait.
    fn hold_up_for_a_while(&mut self, from: Host, to: Host) -> bool {
        let wait = self.random.millis(100, 2_500);
        self.queue.after(wait, SimEvent::Heal(Heal::Cut(from, to)));
        self.let_some_time_out(from, Some(to), wait);
        self.network.hold_up(from, to, self.queue.now() + wait)
    }

    /// Times some connections out within a period, as peers do that wait for a sign of life.
    pub(super) fn let_some_time_out(&mut self, host: Host, other: Option<Host>, within: Duration) {
        for link in self.network.links_of(host, other) {
            if self.random.chance(40) {
                let wait = self.random.micros(1, within.as_micros() as u64);
                self.queue.after(wait, Delivery::TimedOut(link).into());
            }
        }
    }
}
