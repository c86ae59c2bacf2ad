//! Whether the store has answered for what it merged in the process that serves. What another process answered, this one
//! may have forgotten.

use super::StreamUplink;
use crate::machine::counters::names::TopicId;
use countree_common::document::Version;
use countree_common::era;

impl StreamUplink {
    /// This process serves. What is merged has to be confirmed by it.
    pub fn begin_era(&mut self, era: u64) {
        self.era = era;
        let told = self.topics.iter().map(|(topic, state)| (topic, state.told));
        self.unconfirmed = told.filter(|(_, told)| !confirms(era, *told)).map(|(topic, _)| topic).collect();
    }

    /// Whether all that is merged is known to be in the store that serves.
    pub fn is_confirmed(&self) -> bool {
        self.unconfirmed.is_empty()
    }

    /// Asks about topics that are not confirmed, `most` of them at most.
    pub fn ask_unconfirmed(&mut self, most: usize) {
        let topics: Vec<TopicId> = self.unconfirmed.iter().take(most).copied().collect();
        topics.into_iter().for_each(|topic| self.ask_about(topic));
    }

    /// The store has answered for a topic.
    pub(super) fn note_told(&mut self, topic: TopicId, told: Version) {
        if confirms(self.era, told) {
            self.unconfirmed.remove(&topic);
        } else {
            self.unconfirmed.insert(topic);
        }
    }
}

/// Whether that version can be in this process. Where the store holds nothing, there is nothing that it may have forgotten
/// since.
fn confirms(era: u64, told: Version) -> bool {
    told.number == 0 || era == 0 || era::is_of(era, told.era)
}
