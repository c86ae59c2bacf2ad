//! Checks: reads of the store that find out its present era, when the documents here can't tell.
//!
//! A root may lag behind another, and a viewer may come from a node that was ahead of this one. Then an era
//! other than the held one is either older or newer, and their numbers don't tell (see
//! [`countree_common::era`]). A read of the store tells, if it began after the question came up.

use super::document::Document;
use super::ids::{CheckId, TopicHandle};
use super::{BroadcastMachine, Output};
use countree_common::document::Snapshot;
use countree_common::era::{EraOrder, SourceEra};
use countree_common::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Most topics that are checked at the same time; the others wait.
pub(super) const CHECKS_UNDER_WAY: usize = 32;
/// A check that no root answered is repeated after this long.
pub(super) const CHECK_AGAIN: Duration = Duration::from_millis(500);

/// The progress of a topic's check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// It waits for a slot, or for a root.
    Waiting,
    /// The store was asked.
    UnderWay(CheckId, SourceEra),
}

/// All checks.
#[derive(Debug, Default)]
pub(super) struct Checks {
    begun: CheckId,
    /// Each topic once.
    waiting: VecDeque<TopicHandle>,
    under_way: BTreeMap<CheckId, TopicHandle>,
    /// Topics whose check was not answered, with the time of its repeat, earliest first.
    failed: VecDeque<(Time, TopicHandle)>,
}

impl Checks {
    /// The last check that was begun.
    pub(super) fn begun(&self) -> CheckId {
        self.begun
    }

    /// Drops the check of a topic that is no longer held.
    pub(super) fn give_up(&mut self, handle: TopicHandle) {
        self.waiting.retain(|waiting| *waiting != handle);
        self.failed.retain(|(_, failed)| *failed != handle);
    }
}

impl BroadcastMachine {
    /// Asks the store for the topic's present era.
    pub(super) fn check(&mut self, handle: TopicHandle) {
        let Some(topic) = self.topics.get_mut(handle) else { return };
        if topic.check.is_none() {
            topic.check = Some(Check::Waiting);
            self.checks.waiting.push_back(handle);
            self.begin_checks();
        }
    }

    fn begin_checks(&mut self) {
        while self.checks.under_way.len() < CHECKS_UNDER_WAY
            && let Some(handle) = self.checks.waiting.pop_front()
        {
            let Some(topic) = self.topics.get_mut(handle) else { continue };
            self.checks.begun.0 += 1;
            let check = self.checks.begun;
            topic.check = Some(Check::UnderWay(check, topic.eras.ask()));
            self.checks.under_way.insert(check, handle);
            self.outputs.push_back(Output::Check { check, topic: topic.name.clone() });
        }
    }

    /// Handles the store's answer to a check; `None` when no root could give one.
    pub fn handle_checked(&mut self, check: CheckId, snapshot: Option<Snapshot>, now: Time) {
        if let Some(handle) = self.checks.under_way.remove(&check) {
            self.take_check(handle, check, snapshot, now);
        }
        self.begin_checks();
    }

    fn take_check(&mut self, handle: TopicHandle, check: CheckId, snapshot: Option<Snapshot>, now: Time) {
        // The topic that has this handle now may be another.
        let Some(topic) = self.topics.get_mut(handle) else { return };
        let Some(Check::UnderWay(id, mut followed)) = topic.check else { return };
        if id != check {
            return;
        }
        let Some(snapshot) = snapshot else {
            topic.check = Some(Check::Waiting);
            self.checks.failed.push_back((now + CHECK_AGAIN, handle));
            return;
        };
        topic.check = None;
        let held = topic.document.as_ref().map(Document::version);
        match topic.eras.judge(&mut followed, held.map(|v| v.era), snapshot.version.era) {
            EraOrder::Same => {
                topic.confirmed = check;
                self.advance(handle, snapshot.version, snapshot.totals, now);
                self.serve_now_where(handle, |subscription| subscription.awaits_check());
            }
            EraOrder::Next => {
                topic.confirmed = check;
                self.begin_era(handle, snapshot, now);
            }
            // The era has changed since the store was asked.
            EraOrder::Unclear => self.check(handle),
        }
    }

    /// Repeats checks that were not answered.
    pub(super) fn tend_checks(&mut self, now: Time) {
        let is_due = |(at, _): &&(Time, TopicHandle)| *at <= now;
        while let Some((_, handle)) = self.checks.failed.front().filter(is_due).copied() {
            self.checks.failed.pop_front();
            self.checks.waiting.push_back(handle);
        }
        self.begin_checks();
    }
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
