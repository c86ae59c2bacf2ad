//! Runs a world: takes one event after another until all faults are over and the cluster has settled.

use super::World;
use super::event::SimEvent;
use crate::host::Host;
use crate::model::{Broken, Promise};
use countree_common::time::Time;
use std::time::Duration;

/// Once all faults are over, the cluster has this long to settle.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(180);
/// Settled, it has to stay so for this long: messages that are still on their way must change nothing.
const STABILITY_PERIOD: Duration = Duration::from_secs(8);
/// Time between two checks whether it has settled.
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// More events queued at a time mean that something multiplies.
const QUEUED_MAX: usize = 20_000;
/// More messages on one connection mean that a shell would have cut its peer off.
const IN_FLIGHT_MAX: usize = 4_096;

impl World {
    /// Runs to the end. Returns the simulated time that it took.
    ///
    /// # Errors
    /// The first broken promise.
    pub(crate) fn run(&mut self) -> Result<Duration, Broken> {
        let start = self.queue.now();
        while !self.faults.are_over {
            self.step()?;
        }
        self.settle_standing()?;
        let deadline = self.queue.now() + SETTLE_TIMEOUT;
        while let Err(missing) = self.converged() {
            if self.queue.now() > deadline {
                let Broken { promise, what } = missing;
                let waited = SETTLE_TIMEOUT.as_secs();
                return Err(promise.broken(format!("{what}, still {waited} s after the last fault")));
            }
            self.run_for(CHECK_EVERY)?;
        }
        self.run_for(STABILITY_PERIOD)?;
        self.converged()?;
        self.faults.tally.absorb(&self.network.tally);
        Ok(self.queue.now().since(start))
    }

    pub(super) fn run_for(&mut self, time: Duration) -> Result<(), Broken> {
        let until = self.queue.now() + time;
        while self.queue.now() < until {
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Broken> {
        let Some(event) = self.queue.advance() else {
            return Err(Promise::Settled.broken("no event is left"));
        };
        self.trace.note(self.queue.now(), &event);
        self.handle_event(event);
        self.check_bounds();
        self.violation.take().map_or(Ok(()), Err)
    }

    pub(super) fn handle_event(&mut self, event: SimEvent) {
        if let Some(waiting) = event.host(&self.network).and_then(|host| self.faults.paused.get_mut(&host)) {
            return waiting.push(event);
        }
        match event {
            SimEvent::Network(delivery) => self.handle_delivery(delivery),
            SimEvent::Wake { host, life, at } if self.lives(host, life) => self.wake(host, at),
            SimEvent::Restart(host) => self.start(host),
            SimEvent::Heartbeat { host, life } if self.lives(host, life) => self.heartbeat(host),
            SimEvent::Reconnect { host, life, root } if self.lives(host, life) => {
                self.connect_to_root(host, &root);
            }
            SimEvent::Disk { leaf, life } if self.lives(Host::Leaf(leaf), life) => self.disk_done(leaf),
            SimEvent::Scanned { leaf, life, stream, recut } if self.lives(Host::Leaf(leaf), life) => {
                self.scanned(leaf, &stream, *recut);
            }
            SimEvent::StoreAsked { root, life, bound, operation, is_heard } => {
                self.store_asked((root, life), bound, *operation, is_heard);
            }
            SimEvent::StoreAnswered { root, life, answer } if self.lives(Host::Root(root), life) => {
                self.store_answered(root, *answer);
            }
            SimEvent::StoreSaves => {
                self.store.save();
                let wait = self.random.millis(1, self.plan.store.save_gap_ms);
                self.queue.after(wait, SimEvent::StoreSaves);
            }
            SimEvent::Produce { producer, life } if self.lives(Host::Producer(producer), life) => {
                self.produce(producer);
            }
            SimEvent::Discover(host) => self.discover(host),
            SimEvent::FindBroadcast { viewer } => self.find_broadcast(viewer),
            SimEvent::Unanswered(link) => {
                self.is_replied(link, None);
            }
            SimEvent::Submit { client } => self.submit(client),
            SimEvent::ReadComplete => self.read_complete(),
            SimEvent::ReadOn(id) => self.read_on(id),
            SimEvent::Fault(number) => self.fault(number),
            SimEvent::Heal(heal) => self.heal(heal),
            SimEvent::EndFaults => self.end_faults(),
            // Meant for a process that is dead.
            SimEvent::Wake { .. }
            | SimEvent::Heartbeat { .. }
            | SimEvent::Reconnect { .. }
            | SimEvent::Disk { .. }
            | SimEvent::Scanned { .. }
            | SimEvent::Produce { .. }
            | SimEvent::StoreAnswered { .. } => {}
        }
    }

    fn wake(&mut self, host: Host, at: Time) {
        match host {
            Host::Leaf(i) => self.wake_leaf(i, at),
            Host::Root(i) => self.tick_root(i),
            Host::Broadcast(i) => self.tick_broadcast(i),
            Host::Producer(i) => self.wake_producer(i, at),
            Host::Viewer(_) | Host::Client(_) => {}
        }
    }

    fn check_bounds(&mut self) {
        if self.queue.len() > QUEUED_MAX {
            self.violate(Promise::Bounded, format!("{} events are queued", self.queue.len()));
        }
        if self.network.most_in_flight > IN_FLIGHT_MAX {
            self.violate(
                Promise::Bounded,
                format!("{} messages on one connection", self.network.most_in_flight),
            );
        }
    }
}
