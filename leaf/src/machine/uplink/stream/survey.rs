//! Asks about every topic, over and over, whatever the store has said: other hands may have changed it since. What it
//! does not hold any more is read back from the log, or declared lost.

use super::StreamUplink;
use super::topics::Position;
use crate::machine::counters::names::TopicId;
use countree_common::time::Time;
use std::time::Duration;

/// The time between the beginnings of two surveys; with many topics they take longer.
const SURVEY_GAP: Duration = Duration::from_secs(10);

/// The progress of a survey.
#[derive(Debug, Default)]
pub(super) struct Survey {
    next: TopicId,
    began: Time,
}

impl StreamUplink {
    /// Asks about the next topics, `most` at most; returns how many it looked at.
    pub fn survey(&mut self, now: Time, most: usize) -> usize {
        let Survey { next, began } = self.survey;
        if next == 0 && now < began + SURVEY_GAP {
            return 0;
        }
        if next == 0 {
            self.survey.began = now;
        }
        let to = (next as usize).saturating_add(most).min(self.topics.len());
        (next..to as TopicId).for_each(|topic| self.ask_about(topic));
        self.survey.next = if to < self.topics.len() { to as TopicId } else { 0 };
        to.saturating_sub(next as usize)
    }

    /// Asks about all topics now.
    pub fn ask_again(&mut self) {
        (0..self.topics.len() as TopicId).for_each(|topic| self.ask_about(topic));
    }

    /// Asks about a topic, unless a cut that waits or is under way does so by itself.
    pub(super) fn ask_about(&mut self, topic: TopicId) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        let is_idle = state.queue.is_empty() && state.in_flight.is_none();
        if is_idle && matches!(state.position, Position::Known(_)) {
            state.is_probe_due = true;
            self.make_ready(topic);
        }
    }
}

#[cfg(test)]
#[path = "survey_tests.rs"]
mod tests;
