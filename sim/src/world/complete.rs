//! What `complete_to` promises viewers: whatever a live leaf acked before it is in the numbers shown with it.

use super::World;
use crate::clock::wall;
use crate::place::Place;
use crate::promise::Promise;
use crate::truth::Told;
use countree_common::cluster::ClusterView;
use countree_common::key::Topic;
use countree_common::time::{Time, WallMs};
use std::time::Duration;

/// What was claimed while a leaf was not in the view holds for a while after it has come back: the time is that of
/// other leaves' clocks, which may be ahead.
const AFTER_ABSENCE: Duration = Duration::from_secs(1);
/// No two wall clocks differ by more.
const CLOCK_SKEW_MAX: Duration = Duration::from_millis(300);

impl World {
    /// A root takes up a new view: leaves that are not in both may be missing from what it claims.
    pub(super) fn note_absences(&mut self, before: &ClusterView, after: &ClusterView) {
        let now = self.agenda.now();
        for (i, absent_at) in self.absent_at.iter_mut().enumerate() {
            let name = Place::Leaf(i).name();
            if before.node(&name).is_none() || after.node(&name).is_none() {
                *absent_at = now;
            }
        }
    }

    /// When a leaf was last missing from any root's view.
    fn last_absence(&self, leaf: usize) -> Time {
        let name = Place::Leaf(leaf).name();
        let mut views = self.roots.iter().filter_map(|root| root.view());
        if views.any(|view| view.node(&name).is_none()) { self.agenda.now() } else { self.absent_at[leaf] }
    }

    /// A viewer is shown a topic that is said to be complete up to a time.
    pub(super) fn check_complete(&mut self, viewer: usize, topic: &Topic, complete_to: WallMs) {
        // While a ring of several roots changes, one may merge what another, which shows the topic, has not heard of.
        // It goes by the nodes' wall clocks.
        let is_claimed = !self.has_stepped() && self.plan.roots == 1;
        if !is_claimed || self.store.forgetful.contains(topic) {
            return;
        }
        if let Some(missing) = self.missing(viewer, topic, complete_to) {
            return self.violate(Promise::Shown, missing);
        }
        // Every clock is past these: they need not be looked at again.
        let is_past = |id: &usize| wall(self.truth.events[*id].told_at, CLOCK_SKEW_MAX) < complete_to;
        let verified = self.truth.acked_in(topic).take_while(is_past).count();
        self.viewers[viewer].note_verified(topic, verified);
    }

    /// What a viewer should see by that claim, and does not.
    fn missing(&self, viewer: usize, topic: &Topic, complete_to: WallMs) -> Option<String> {
        let shown = self.viewers[viewer].shown_of(topic)?;
        for id in self.truth.acked_in(topic).skip(shown.verified) {
            let event = &self.truth.events[id];
            let Some(leaf) = event.leaf.filter(|_| event.told == Told::Acked) else { continue };
            let skew = Duration::from_millis(Place::Leaf(leaf).clock_skew_ms());
            let is_claimed = wall(event.told_at, skew) < complete_to;
            let is_excused = event.told_at < self.last_absence(leaf) + AFTER_ABSENCE
                || self.truth.resets.cover(&event.counter)
                || self.truth.may_be_lost(event);
            if !is_claimed || is_excused {
                continue;
            }
            let total = shown.totals.get(&event.counter).copied().unwrap_or_default();
            if !self.truth.holds(id, total) {
                let at = shown.version;
                let acked = wall(event.told_at, skew);
                return Some(format!(
                    "viewer-{viewer} was shown {topic} at {at}, complete to {complete_to:?}, without event {id}, \
                     which leaf-{leaf} had acked by {acked:?}"
                ));
            }
        }
        None
    }
}
