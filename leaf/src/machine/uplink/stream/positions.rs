//! Tells how far a stream has come, for those who follow an event through the system.

use super::StreamUplink;
use super::topics::{Position, TopicState, Wait};
use crate::machine::counters::names::TopicId;
use countree_common::document::Version;
use countree_common::stream::Lsn;
use countree_common::wire::rpc::StreamPositions;

impl TopicState {
    fn merged(&self) -> Lsn {
        if let Position::Known(at) = self.position { at } else { 0 }
    }

    /// Every record of the topic up to here was sent to a root; `None` when all were.
    fn cut_short_at(&self) -> Option<Lsn> {
        let sent = self.in_flight.as_ref().filter(|f| f.wait != Wait::Turn).map(|f| f.sums.to);
        let is_short =
            !self.queue.is_empty() || self.in_log.is_some() || (self.is_behind() && sent.is_none());
        is_short.then_some(sent.unwrap_or_default().max(self.merged()))
    }

    fn is_behind(&self) -> bool {
        let is_sum_under_way = self.in_flight.as_ref().is_some_and(|f| f.from < f.sums.to);
        is_sum_under_way || !self.queue.is_empty() || self.in_log.is_some()
    }
}

impl StreamUplink {
    /// The last record of a stream that takes no more.
    pub fn sealed_at(&self) -> Option<Lsn> {
        self.sealed_at
    }

    /// Whether the topic's records up to `to` are merged, and the store has answered what it was asked about it.
    pub fn is_merged(&self, topic: TopicId, to: Lsn) -> bool {
        self.topics.get(topic).is_none_or(|state| {
            let is_past =
                state.position != Position::Unknown && state.in_log.is_none() && state.merged() >= to;
            !state.is_asked && (is_past || !state.is_behind())
        })
    }

    /// The version that the store named last; `None` where it holds nothing of this stream.
    pub fn version_of(&self, topic: TopicId) -> Option<Version> {
        let state = self.topics.get(topic)?;
        (state.merged() > 0).then_some(state.version)
    }

    /// The positions that the stream has reached, given those that its log has.
    pub fn positions(&self, accepted: Lsn, durable: Lsn) -> StreamPositions {
        let offered = self.last_window_to;
        let short = self.topics.values().filter_map(TopicState::cut_short_at).min();
        // Topics may be further than their windows.
        let cut = short.unwrap_or(offered).min(offered);
        let behind = || self.topics.values().filter(|state| state.is_behind());
        let merged = behind().map(TopicState::merged).min().unwrap_or(offered);
        let stream = self.stream.clone();
        StreamPositions {
            stream,
            accepted,
            durable,
            cut,
            merged: merged.min(cut),
            topics_behind: behind().count() as u64,
        }
    }
}

#[cfg(test)]
#[path = "positions_tests.rs"]
mod tests;
