//! Steps nodes' clocks: forward or back, for good or for a while.

use super::World;
use crate::clock;
use crate::faults::Heal;
use crate::flaws::Flaw;
use crate::host::Host;
use crate::world::event::SimEvent;
use countree_common::time::{Now, WallMs};
use std::collections::BTreeMap;
use std::time::Duration;

/// The steps of clocks so far.
#[derive(Debug, Default)]
pub(super) struct ClockSteps {
    /// The sum of all steps, in milliseconds.
    off_ms: BTreeMap<Host, i64>,
    /// The sum of the steps forward.
    leaps: BTreeMap<Host, Duration>,
}

impl World {
    /// A node's clocks, as its machines see them.
    pub(super) fn clocks(&self, host: Host) -> Now {
        let now = clock::clocks(self.queue.now(), Duration::from_millis(host.clock_skew_ms()));
        let off_ms = self.faults.clock_steps.off_ms.get(&host).copied().unwrap_or_default();
        Now { mono: now.mono + self.leap(host), wall: WallMs(now.wall.0.saturating_add_signed(off_ms)) }
    }

    /// The lead of a leaf's time that takes its wall clock's steps for time that has passed.
    pub(super) fn leap(&self, host: Host) -> Duration {
        let takes_steps = self.plan.flaw == Some(Flaw::LeafAgedByWallClock) && matches!(host, Host::Leaf(_));
        if takes_steps { self.leapt(host) } else { Duration::ZERO }
    }

    /// A root's clocks, as its registrar sees them.
    pub(super) fn registrar_clocks(&self, host: Host) -> Now {
        let now = self.clocks(host);
        let takes_steps = self.plan.flaw == Some(Flaw::RegistryAgedByWallClock);
        if takes_steps { Now { mono: now.mono + self.leapt(host), ..now } } else { now }
    }

    /// A root's clocks, by which it stamps. It begins at a time that all agree on, so that what it claims can be
    /// checked.
    pub(super) fn stamp_clocks(&self, host: Host) -> Now {
        let now = clock::clocks(self.queue.now(), Duration::ZERO);
        let takes_steps = self.plan.flaw == Some(Flaw::StampedByWallClock);
        if takes_steps { Now { mono: now.mono + self.leapt(host), ..now } } else { now }
    }

    fn leapt(&self, host: Host) -> Duration {
        self.faults.clock_steps.leaps.get(&host).copied().unwrap_or_default()
    }

    /// Steps the clock of one node, or of all, by minutes to hours; half of them go back soon.
    pub(super) fn step_clocks(&mut self) -> bool {
        let nodes = self.nodes();
        let one = self.random.pick(&nodes).copied();
        let hosts = if self.random.chance(30) { nodes } else { one.into_iter().collect() };
        let size = self.random.between(60_000, 3 * 3_600_000) as i64;
        let by_ms = if self.random.chance(50) { size } else { -size };
        let back = self.random.chance(50).then(|| self.random.millis(100, 3_000));
        for host in &hosts {
            self.step_clock(*host, by_ms);
            if let Some(wait) = back {
                self.queue.after(wait, SimEvent::Heal(Heal::Clock(*host, -by_ms)));
            }
        }
        !hosts.is_empty()
    }

    pub(super) fn step_clock(&mut self, host: Host, by_ms: i64) {
        *self.faults.clock_steps.off_ms.entry(host).or_default() += by_ms;
        if let Ok(forward) = u64::try_from(by_ms) {
            *self.faults.clock_steps.leaps.entry(host).or_default() += Duration::from_millis(forward);
        }
    }
}
