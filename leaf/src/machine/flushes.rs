//! Flushes a topic: cuts at once what the open window holds of it, and says when all is merged that had been accepted.
//!
//! It goes by LSNs alone, so clocks have no say in it. A store that goes back in time may forget what was merged
//! before the asker reads it; so the answer names the version that holds it all, and an asker who then reads another
//! asks again.

use super::LeafMachine;
use super::counters::Counters;
use super::counters::names::TopicId;
use super::ids::FlushId;
use super::output::Output;
use super::output::Outputs;
use super::uplink::Uplink;
use super::uplink::stream::StreamUplink;
use countree_common::document::Version;
use countree_common::key::Topic;
use countree_common::limits;
use countree_common::stream::Lsn;
use countree_common::time::Now;
use std::collections::{BTreeSet, VecDeque};

/// A request to say when a topic is merged.
#[derive(Debug, Clone, Copy)]
struct Flush {
    id: FlushId,
    topic: TopicId,
    /// The last record when the request came.
    accepted: Lsn,
    /// The last record of the windows that had ended when the request came.
    frozen: Lsn,
}

impl Flush {
    fn is_done(self, counters: &Counters, uplink: &Uplink) -> bool {
        let is_offered = counters.is_taken(self.frozen);
        let mut old = uplink.old().values();
        is_offered
            && uplink.live().is_merged(self.topic, self.accepted)
            && old.all(|uplink| uplink.is_merged(self.topic, Lsn::MAX))
    }
}

/// The flushes that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Flushes(VecDeque<Flush>);

impl Flushes {
    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has_room(&self) -> bool {
        self.0.len() < limits::FLUSHES_PER_LEAF
    }

    /// Answers the flushes whose records are merged. Where the store named different eras to the streams, it may have
    /// forgotten what one of them had merged, and nobody can tell which: both are asked about.
    pub(super) fn settle(&mut self, counters: &Counters, uplink: &mut Uplink, outputs: &mut Outputs) {
        let done = self.0.iter().filter(|flush| flush.is_done(counters, uplink)).copied().collect::<Vec<_>>();
        for flush in done {
            let versions = uplink.streams().filter_map(|uplink| uplink.version_of(flush.topic));
            let eras: BTreeSet<u64> = versions.map(|version| version.era).collect();
            if eras.len() > 1 {
                uplink.streams_mut().for_each(|uplink| uplink.ask_anew(flush.topic));
            }
        }
        let flushes = std::mem::take(&mut self.0);
        let (done, open) = flushes.into_iter().partition(|flush| flush.is_done(counters, uplink));
        self.0 = open;
        for Flush { id, topic, .. } in done {
            outputs.push(Output::Flushed { flush: id, version: version_of(topic, uplink) });
        }
    }
}

/// The version that holds what every stream has merged; the store named one era to all.
fn version_of(topic: TopicId, uplink: &Uplink) -> Version {
    let versions = uplink.streams().filter_map(|uplink: &StreamUplink| uplink.version_of(topic));
    versions.max().unwrap_or_default()
}

impl LeafMachine {
    /// Begins a flush for an asker who has read `read` of the topic: [`Output::Flushed`] says when everything of it
    /// that is accepted by now is merged. `false` when too many flushes wait already.
    pub fn handle_topic_flush(&mut self, now: Now, id: FlushId, topic: &Topic, read: Version) -> bool {
        if !self.flushes.has_room() {
            return false;
        }
        let Some(topic) = self.counters.names().topic_id(topic) else {
            self.context.outputs.push(Output::Flushed { flush: id, version: Version::default() });
            return true;
        };
        self.end_window_of(topic);
        self.uplink.streams_mut().for_each(|uplink| uplink.ask_if_not_in(topic, read));
        let (accepted, frozen) = (self.context.log.appended(), self.counters.last_frozen());
        self.flushes.0.push_back(Flush { id, topic, accepted, frozen });
        self.settle_flushes();
        self.send_up(now);
        true
    }

    /// Answers the flushes whose records are merged.
    pub(super) fn settle_flushes(&mut self) {
        self.flushes.settle(&self.counters, &mut self.uplink, &mut self.context.outputs);
    }
}

#[cfg(test)]
#[path = "flushes_tests.rs"]
mod tests;
