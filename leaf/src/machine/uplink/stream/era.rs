//! Tells whether the store has answered for each topic in the process that serves. What another process answered, this
//! one may have forgotten.

use super::StreamUplink;
use crate::machine::counters::names::TopicId;
use countree_common::document::Version;
use countree_common::era;
use std::collections::BTreeSet;

/// The store's answers in the process that serves.
#[derive(Debug, Default)]
pub(super) struct EraAnswers {
    /// The era with which the store's present process began; 0 as long as it is not known.
    era: u64,
    /// Topics of which something is merged, and for which the store has not answered in that process.
    missing: BTreeSet<TopicId>,
}

impl StreamUplink {
    /// Notes that the process of this era serves: it has to confirm all that is merged.
    pub fn begin_era(&mut self, era: u64) {
        self.answers.era = era;
        let versions = self.topics.iter().map(|(topic, state)| (topic, state.version));
        self.answers.missing =
            versions.filter(|(_, version)| !is_of_era(era, *version)).map(|(topic, _)| topic).collect();
    }

    /// Whether all that is merged is known to be in the store that serves.
    pub fn is_answered_in_era(&self) -> bool {
        self.answers.missing.is_empty()
    }

    /// Asks about topics without an answer, `most` of them at most.
    pub fn ask_unanswered(&mut self, most: usize) {
        let topics: Vec<TopicId> = self.answers.missing.iter().take(most).copied().collect();
        topics.into_iter().for_each(|topic| self.ask_about(topic));
    }

    /// The store has answered for a topic.
    pub(super) fn note_answer(&mut self, topic: TopicId, version: Version) {
        if is_of_era(self.answers.era, version) {
            self.answers.missing.remove(&topic);
        } else {
            self.answers.missing.insert(topic);
        }
    }
}

/// Whether that version can be in this process. Where the store holds nothing, there is nothing that it may have
/// forgotten since.
fn is_of_era(era: u64, version: Version) -> bool {
    version.number == 0 || era == 0 || era::is_of(era, version.era)
}
