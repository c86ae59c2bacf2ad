//! Asking about idle topics, for as long as the store may forget their last merge (probe and trim).

use super::{Doubt, TopicState, Uplink};
use countree_common::key::Topic;
use countree_common::time::Time;

impl Uplink {
    /// Whether the store can't forget any of it either, so that its log can go.
    pub fn is_settled(&self) -> bool {
        self.is_drained() && self.doubtful == 0
    }

    /// Whether the store can't forget anything any more that was merged by `at`.
    pub fn is_proven(&self, now: Time, at: Time) -> bool {
        let spares = |s: &TopicState| s.doubt.is_none_or(|d| d.spares(at, self.retention));
        self.doubtful == 0 || (now >= at + self.retention && self.topics.values().all(spares))
    }

    /// Asks about a topic, unless the store has answered for it of late.
    pub(super) fn probe(&mut self, now: Time, topic: &Topic) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        state.has_probe = false;
        state.is_probe_due = state.doubt.is_some_and(|d| d.next_probe(self.retention) <= now);
        if state.is_probe_due {
            self.make_ready(topic);
        } else {
            self.plan_probe(topic);
        }
    }

    pub(super) fn plan_probe(&mut self, topic: &Topic) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        if let Some(doubt) = state.doubt
            && !state.has_probe
        {
            state.has_probe = true;
            self.probes.insert((doubt.next_probe(self.retention), topic.clone()));
        }
    }

    fn set_doubt(&mut self, topic: &Topic, doubt: impl FnOnce(Option<Doubt>) -> Option<Doubt>) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        self.doubtful -= usize::from(state.doubt.is_some());
        state.doubt = doubt(state.doubt);
        self.doubtful += usize::from(state.doubt.is_some());
        self.plan_probe(topic);
    }

    /// The store stands where it should.
    pub(super) fn note_answered(&mut self, now: Time, topic: &Topic) {
        let retention = self.retention;
        self.set_doubt(topic, |doubt| doubt?.answered(now, retention));
    }

    /// The store has merged more, which it may forget unless it is durable. Durable is then all of the topic.
    pub(super) fn note_merged(&mut self, now: Time, topic: &Topic, is_durable: bool) {
        self.set_doubt(topic, |_| (!is_durable).then_some(Doubt::merged(now)));
        self.note_answered(now, topic);
    }
}
