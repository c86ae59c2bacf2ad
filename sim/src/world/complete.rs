//! Checks the promise of `complete_to`: the totals shown hold every event that a live leaf acked before it.

use super::World;
use crate::clock::wall;
use crate::host::Host;
use crate::model::EventStatus;
use crate::model::Promise;
use countree_common::cluster::ClusterView;
use countree_common::key::Topic;
use countree_common::time::{Time, WallMs};
use std::time::Duration;

impl World {
    /// Notes that a root takes up a new view: leaves that are not in both may be missing from its claims.
    pub(super) fn note_absences(&mut self, before: &ClusterView, after: &ClusterView) {
        let now = self.queue.now();
        for (i, absent_at) in self.cluster.absent_at.iter_mut().enumerate() {
            let name = Host::Leaf(i).name();
            if before.node(&name).is_none() || after.node(&name).is_none() {
                *absent_at = now;
            }
        }
    }

    /// The time when a leaf was last missing from any root's view.
    fn last_absence(&self, leaf: usize) -> Time {
        let name = Host::Leaf(leaf).name();
        let mut views = self.cluster.roots.iter().filter_map(|root| root.view());
        if views.any(|view| view.node(&name).is_none()) {
            self.queue.now()
        } else {
            self.cluster.absent_at[leaf]
        }
    }

    /// Checks the totals that a viewer shows as complete up to a time.
    pub(super) fn check_complete(&mut self, viewer: usize, topic: &Topic, complete_to: WallMs) {
        // While a ring of several roots changes, one may merge what another, which shows the topic, has not heard of.
        if self.plan.cluster.roots > 1 {
            return;
        }
        if let Some(missing) = self.missing(viewer, topic, complete_to) {
            return self.violate(Promise::Shown, missing);
        }
        // These need not be checked again, in this era.
        let is_past = |id: &usize| claims(complete_to, self.model.events[*id].answered_at);
        let verified = self.model.acked_in(topic).take_while(is_past).count();
        self.clients.viewers[viewer].note_verified(topic, verified);
    }

    /// An event that a viewer should see by that claim, and does not.
    fn missing(&self, viewer: usize, topic: &Topic, complete_to: WallMs) -> Option<String> {
        let shown = self.clients.viewers[viewer].shown_of(topic)?;
        for id in self.model.acked_in(topic).skip(shown.verified) {
            let event = &self.model.events[id];
            let Some(leaf) = event.leaf.filter(|_| event.status == EventStatus::Acked) else { continue };
            let is_claimed = claims(complete_to, event.answered_at);
            let is_excused = event.answered_at < self.last_absence(leaf)
                || self.model.resets.cover(&event.counter)
                || self.model.losses.may_include(event);
            if !is_claimed || is_excused {
                continue;
            }
            let total = shown.totals.get(&event.counter).copied().unwrap_or_default();
            if !self.model.holds(id, total) {
                let at = shown.version;
                let acked = wall(event.answered_at, Duration::ZERO);
                return Some(format!(
                    "viewer-{viewer} was shown {topic} at {at}, complete to {complete_to:?}, without event {id}, \
                     which leaf-{leaf} had acked by {acked:?}"
                ));
            }
        }
        None
    }
}

/// Whether totals complete to that time have everything acked at `acked`. Roots' stamps begin at a time that all agree
/// on.
fn claims(complete_to: WallMs, acked: Time) -> bool {
    wall(acked, Duration::ZERO) < complete_to
}
