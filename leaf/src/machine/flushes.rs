//! Flushing a topic: cut at once what the open window holds of it, and say when all is merged that had been accepted.
//!
//! It goes by LSNs alone, so clocks have no say in it. A store that goes back in time may forget what was merged
//! before the asker reads it; so the answer names the version that holds it all, and an asker who then reads another
//! asks again.

use super::counters::names::TopicId;
use super::uplink::stream::StreamUplink;
use super::{LeafMachine, Output};
use countree_common::document::Version;
use countree_common::key::Topic;
use countree_common::limits;
use countree_common::stream::Lsn;
use countree_common::time::Now;
use std::collections::BTreeSet;

/// Somebody waits for a topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flush {
    id: u64,
    topic: TopicId,
    /// The last record by then.
    accepted: Lsn,
    /// The last record of the windows that had ended by then.
    frozen: Lsn,
}

impl LeafMachine {
    /// Somebody who has read `read` of the topic wants to read all that was accepted of it by now:
    /// [`Output::Flushed`] is to say when that is merged. `false` when too many wait already.
    pub fn handle_topic_flush(&mut self, now: Now, id: u64, topic: &Topic, read: Version) -> bool {
        if self.flushes.len() >= limits::FLUSHES_PER_LEAF {
            return false;
        }
        let Some(topic) = self.counters.names().topic_id(topic) else {
            self.context.outputs.push(Output::Flushed { flush: id, version: Version::default() });
            return true;
        };
        self.end_window_of(topic);
        self.uplink.streams_mut().for_each(|uplink| uplink.ask_if_not_in(topic, read));
        let frozen = self.counters.last_frozen();
        self.flushes.push_back(Flush { id, topic, accepted: self.context.log.appended(), frozen });
        self.settle_flushes();
        self.send_up(now);
        true
    }

    /// Answers the flushes whose records are merged. Where streams were told of different eras, the store may have forgotten
    /// what one of them had merged, and nobody can tell which: both are asked about.
    pub(super) fn settle_flushes(&mut self) {
        let flushes = std::mem::take(&mut self.flushes);
        for flush in flushes.iter().filter(|flush| self.is_done(**flush)).copied().collect::<Vec<_>>() {
            let told = self.uplink.streams().filter_map(|uplink| uplink.version_of(flush.topic));
            let eras: BTreeSet<u64> = told.map(|version| version.era).collect();
            if eras.len() > 1 {
                self.uplink.streams_mut().for_each(|uplink| uplink.ask_anew(flush.topic));
            }
        }
        let (done, open) = flushes.into_iter().partition(|flush| self.is_done(*flush));
        self.flushes = open;
        for Flush { id, topic, .. } in done {
            let version = self.version_of(topic);
            self.context.outputs.push(Output::Flushed { flush: id, version });
        }
    }

    fn is_done(&self, flush: Flush) -> bool {
        let Flush { topic, accepted, frozen, .. } = flush;
        let is_offered = self.counters.is_taken(frozen);
        let mut old = self.uplink.old().values();
        is_offered
            && self.uplink.live().is_merged(topic, accepted)
            && old.all(|uplink| uplink.is_merged(topic, Lsn::MAX))
    }

    /// The version that holds what every stream has merged; all were told of the same era.
    fn version_of(&self, topic: TopicId) -> Version {
        let told = self.uplink.streams().filter_map(|uplink: &StreamUplink| uplink.version_of(topic));
        told.max().unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "flushes_tests.rs"]
mod tests;
