//! Nodes' clocks, and what it is to step them: forward or back, for good or for a while.

use super::World;
use crate::clock;
use crate::faults::Heal;
use crate::flaws::Flaw;
use crate::host::Place;
use crate::world::event::Happening;
use countree_common::time::{Now, WallMs};
use std::collections::BTreeMap;
use std::time::Duration;

/// How far clocks were stepped.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// All in all, in milliseconds.
    off_ms: BTreeMap<Place, i64>,
    /// Forward alone.
    leaps: BTreeMap<Place, Duration>,
}

impl World {
    /// A node's clocks, as its machines are told.
    pub(super) fn clocks(&self, place: Place) -> Now {
        let now = clock::clocks(self.agenda.now(), Duration::from_millis(place.clock_skew_ms()));
        let off_ms = self.steps.off_ms.get(&place).copied().unwrap_or_default();
        Now { mono: now.mono + self.leap(place), wall: WallMs(now.wall.0.saturating_add_signed(off_ms)) }
    }

    /// How far a leaf's time is ahead that takes its wall clock's steps for time that has passed.
    pub(super) fn leap(&self, place: Place) -> Duration {
        let takes_steps =
            self.plan.flaw == Some(Flaw::LeafAgedByWallClock) && matches!(place, Place::Leaf(_));
        if takes_steps { self.leapt(place) } else { Duration::ZERO }
    }

    /// A root's clocks, as its registrar is told.
    pub(super) fn registrar_clocks(&self, place: Place) -> Now {
        let now = self.clocks(place);
        let takes_steps = self.plan.flaw == Some(Flaw::RegistryAgedByWallClock);
        if takes_steps { Now { mono: now.mono + self.leapt(place), ..now } } else { now }
    }

    /// A root's clocks, by which it stamps. It begins at a time that all agree on, so that what it claims can be checked.
    pub(super) fn stamp_clocks(&self, place: Place) -> Now {
        let now = clock::clocks(self.agenda.now(), Duration::ZERO);
        let takes_steps = self.plan.flaw == Some(Flaw::StampedByWallClock);
        if takes_steps { Now { mono: now.mono + self.leapt(place), ..now } } else { now }
    }

    fn leapt(&self, place: Place) -> Duration {
        self.steps.leaps.get(&place).copied().unwrap_or_default()
    }

    /// Steps the clock of one node, or of all, by minutes to hours; half of them go back soon.
    pub(super) fn step_clocks(&mut self) -> bool {
        let nodes = self.nodes();
        let one = self.random.pick(&nodes).copied();
        let places = if self.random.chance(30) { nodes } else { one.into_iter().collect() };
        let size = self.random.between(60_000, 3 * 3_600_000) as i64;
        let by_ms = if self.random.chance(50) { size } else { -size };
        let back = self.random.chance(50).then(|| self.random.millis(100, 3_000));
        for place in &places {
            self.step_clock(*place, by_ms);
            if let Some(wait) = back {
                self.agenda.after(wait, Happening::Heal(Heal::Clock(*place, -by_ms)));
            }
        }
        !places.is_empty()
    }

    pub(super) fn step_clock(&mut self, place: Place, by_ms: i64) {
        *self.steps.off_ms.entry(place).or_default() += by_ms;
        if let Ok(forward) = u64::try_from(by_ms) {
            *self.steps.leaps.entry(place).or_default() += Duration::from_millis(forward);
        }
    }
}
