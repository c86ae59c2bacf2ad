//! Asking about idle topics, for as long as the store may forget their last merge (probe and trim).

use super::StreamUplink;
use crate::machine::counters::names::TopicId;
use crate::machine::uplink::unconfirmed::Doubt;
use countree_common::document::Version;
use countree_common::time::Time;

impl StreamUplink {
    /// Whether the store can't forget any of it either, so that its log can go.
    pub fn is_settled(&self) -> bool {
        self.is_drained() && self.doubtful.is_empty()
    }

    /// Whether the store can't forget anything any more that was merged by `at`.
    pub fn is_proven(&self, at: Time) -> bool {
        self.is_answered_since(at + self.retention)
    }

    /// Asks about every topic of which the store may still forget something.
    pub fn probe_all(&mut self) {
        let doubtful: Vec<TopicId> = self.doubtful.iter().map(|(_, topic)| *topic).collect();
        for topic in doubtful {
            if let Some(state) = self.topics.get_mut(topic) {
                state.is_probe_due = true;
                self.make_ready(topic);
            }
        }
    }

    /// Asks about a topic, if what the store said of it last is not of the document that was `read` (0-0 for none).
    pub fn ask_if_not_in(&mut self, topic: TopicId, read: Version) {
        let Some(state) = self.topics.get(topic) else { return };
        let is_in_it = state.told.era == read.era && state.told <= read;
        if read != Version::default() && !is_in_it {
            self.ask_anew(topic);
        }
    }

    /// Asks about a topic, whatever the store has said of it.
    pub fn ask_anew(&mut self, topic: TopicId) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        if state.told != Version::default() {
            (state.is_asked, state.is_probe_due) = (true, true);
            self.make_ready(topic);
        }
    }

    /// When it last merged something that it may still forget, if there is such a thing.
    pub fn last_unconfirmed_merge(&self) -> Option<Time> {
        let doubts = self.doubtful.iter().filter_map(|(_, topic)| self.topics.get(*topic)?.doubt);
        doubts.map(Doubt::merged_at).max()
    }

    /// Whether it has said since then, for each topic, that it stands where it should.
    pub fn is_answered_since(&self, at: Time) -> bool {
        self.doubtful.first().is_none_or(|(answered, _)| *answered >= at)
    }

    /// Asks about a topic, unless the store has answered for it of late.
    pub(super) fn probe(&mut self, now: Time, topic: TopicId) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        state.has_probe = false;
        state.is_probe_due = state.doubt.is_some_and(|d| d.next_probe(self.retention) <= now);
        if state.is_probe_due {
            self.make_ready(topic);
        } else {
            self.plan_probe(topic);
        }
    }

    pub(super) fn plan_probe(&mut self, topic: TopicId) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        if let Some(doubt) = state.doubt
            && !state.has_probe
        {
            state.has_probe = true;
            self.probes.insert((doubt.next_probe(self.retention), topic));
        }
    }

    fn set_doubt(&mut self, topic: TopicId, doubt: impl FnOnce(Option<Doubt>) -> Option<Doubt>) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        let (old, new) = (state.doubt, doubt(state.doubt));
        state.doubt = new;
        if let Some(old) = old {
            self.doubtful.remove(&(old.answered_at(), topic));
        }
        if let Some(new) = new {
            self.doubtful.insert((new.answered_at(), topic));
            self.plan_probe(topic);
        }
    }

    /// The store stands where it should.
    pub(super) fn note_answered(&mut self, now: Time, topic: TopicId) {
        let retention = self.retention;
        self.set_doubt(topic, |doubt| doubt?.answered(now, retention));
    }

    /// The store has merged more, which it may forget unless it is durable. Durable is then all of the topic.
    pub(super) fn note_merged(&mut self, now: Time, topic: TopicId, is_durable: bool) {
        let retention = self.retention;
        let doubt = Doubt::merged(now).answered(now, retention);
        self.set_doubt(topic, |_| doubt.filter(|_| !is_durable));
    }
}
