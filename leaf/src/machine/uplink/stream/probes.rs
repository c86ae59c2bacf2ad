//! Asks about idle topics for as long as the store may forget their last merge (probe and trim).

use super::StreamUplink;
use crate::machine::counters::names::TopicId;
use crate::machine::uplink::unconfirmed::UnconfirmedMerge;
use countree_common::document::Version;
use countree_common::time::Time;
use std::collections::BTreeSet;
use std::time::Duration;

/// The topics of which the store may still forget something.
#[derive(Debug)]
pub(super) struct Probing {
    /// For how long the store may forget what it confirms without calling it durable.
    retention: Duration,
    /// Topics by the time to ask about them.
    due: BTreeSet<(Time, TopicId)>,
    /// Topics by the time when the store last answered for them.
    unconfirmed: BTreeSet<(Time, TopicId)>,
}

impl Probing {
    pub(super) fn new(retention: Duration) -> Self {
        Self { retention, due: BTreeSet::new(), unconfirmed: BTreeSet::new() }
    }

    /// Takes a topic whose time has come.
    pub(super) fn take_due(&mut self, now: Time) -> Option<TopicId> {
        self.due.first().filter(|(due, _)| *due <= now)?;
        self.due.pop_first().map(|(_, topic)| topic)
    }

    /// The time of the first.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.due.first().map(|(due, _)| *due)
    }
}

impl StreamUplink {
    /// Whether the store can't forget any of it either, so that its log can go.
    pub fn is_settled(&self) -> bool {
        self.is_drained() && self.probing.unconfirmed.is_empty()
    }

    /// Whether the store can't forget anything any more that was merged by `at`.
    pub fn is_proven(&self, at: Time) -> bool {
        self.is_answered_since(at + self.probing.retention)
    }

    /// Asks about every topic of which the store may still forget something.
    pub fn probe_all(&mut self) {
        let unconfirmed: Vec<TopicId> = self.probing.unconfirmed.iter().map(|(_, topic)| *topic).collect();
        for topic in unconfirmed {
            if let Some(state) = self.topics.get_mut(topic) {
                state.is_probe_due = true;
                self.make_ready(topic);
            }
        }
    }

    /// Asks about a topic, if what the store said of it last is not of the document that was `read` (0-0 for none).
    pub fn ask_if_not_in(&mut self, topic: TopicId, read: Version) {
        let Some(state) = self.topics.get(topic) else { return };
        let is_in_it = state.version.era == read.era && state.version <= read;
        if read != Version::default() && !is_in_it {
            self.ask_anew(topic);
        }
    }

    /// Asks about a topic, whatever the store has said of it.
    pub fn ask_anew(&mut self, topic: TopicId) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        if state.version != Version::default() {
            (state.is_asked, state.is_probe_due) = (true, true);
            self.make_ready(topic);
        }
    }

    /// The time of the last merge that the store may still forget; `None` if there is none.
    pub fn last_unconfirmed_merge(&self) -> Option<Time> {
        let merges =
            self.probing.unconfirmed.iter().filter_map(|(_, topic)| self.topics.get(*topic)?.unconfirmed);
        merges.map(UnconfirmedMerge::merged_at).max()
    }

    /// Whether the store has said since then, for each topic, that it stands where it should.
    pub fn is_answered_since(&self, at: Time) -> bool {
        self.probing.unconfirmed.first().is_none_or(|(answered, _)| *answered >= at)
    }

    /// Asks about a topic, unless the store has answered for it recently.
    pub(super) fn probe(&mut self, now: Time, topic: TopicId) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        state.has_probe = false;
        state.is_probe_due =
            state.unconfirmed.is_some_and(|merge| merge.next_probe(self.probing.retention) <= now);
        if state.is_probe_due {
            self.make_ready(topic);
        } else {
            self.plan_probe(topic);
        }
    }

    pub(super) fn plan_probe(&mut self, topic: TopicId) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        if let Some(unconfirmed) = state.unconfirmed
            && !state.has_probe
        {
            state.has_probe = true;
            self.probing.due.insert((unconfirmed.next_probe(self.probing.retention), topic));
        }
    }

    fn set_unconfirmed(
        &mut self,
        topic: TopicId,
        unconfirmed: impl FnOnce(Option<UnconfirmedMerge>) -> Option<UnconfirmedMerge>,
    ) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        let (old, new) = (state.unconfirmed, unconfirmed(state.unconfirmed));
        state.unconfirmed = new;
        if let Some(old) = old {
            self.probing.unconfirmed.remove(&(old.answered_at(), topic));
        }
        if let Some(new) = new {
            self.probing.unconfirmed.insert((new.answered_at(), topic));
            self.plan_probe(topic);
        }
    }

    /// The store stands where it should.
    pub(super) fn note_answered(&mut self, now: Time, topic: TopicId) {
        let retention = self.probing.retention;
        self.set_unconfirmed(topic, |unconfirmed| unconfirmed?.answered(now, retention));
    }

    /// Notes that the store has merged more. It may forget that unless it is durable; then all of the topic is.
    pub(super) fn note_merged(&mut self, now: Time, topic: TopicId, is_durable: bool) {
        let retention = self.probing.retention;
        let unconfirmed = UnconfirmedMerge::merged(now).answered(now, retention);
        self.set_unconfirmed(topic, |_| unconfirmed.filter(|_| !is_durable));
    }
}
