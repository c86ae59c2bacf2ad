//! Sends cuts to roots, repeats them when no answer comes, and makes them ready again when the root is lost.

use super::StreamUplink;
use super::topics::{InFlight, Wait};
use crate::machine::counters::names::{Names, PREFETCHED, TopicId};
use crate::machine::counters::pending::Sum;
use countree_common::cluster::NodeName;
use countree_common::cut::Cut;
use countree_common::limits;
use countree_common::time::Time;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A cut without an answer is sent again after this long.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The most sums that roots have not answered for. The others wait, where later windows join them: what is sent early
/// to a root that is behind would only be sent again.
pub(super) const SUMS_SENT: usize = 256 << 10;

/// The cuts that can be sent, or wait for an answer or another try.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// Topics that have a cut to send.
    ready: VecDeque<TopicId>,
    /// Topics by the time of their next try, each for one attempt.
    timers: BTreeMap<(Time, u64), TopicId>,
    attempts: u64,
    /// Sums of cuts that a root was sent and has not answered.
    pub(super) sums_sent: usize,
}

/// Sums that are written as [`countree_common::cut::CounterSum`]s.
#[derive(Debug, Clone, Copy)]
pub struct NamedSums<'a> {
    sums: &'a [Sum],
    names: &'a Names,
}

impl NamedSums<'_> {
    /// The most bytes that they may take.
    pub fn bytes_at_most(&self) -> usize {
        self.sums.len() * (limits::ITEM_BYTES + limits::KIND_BYTES + 12)
    }
}

impl Serialize for NamedSums<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// A sum in the form of a `CounterSum`.
        #[derive(Serialize)]
        struct Named<'a> {
            item: &'a str,
            kind: &'a str,
            delta: i64,
        }
        let mut named = serializer.serialize_seq(Some(self.sums.len()))?;
        for sums in self.sums.chunks(PREFETCHED) {
            self.names.prefetch(sums.iter().map(|sum| sum.counter));
            for Sum { counter, delta } in sums {
                // What has a sum has a name: it is kept for as long.
                let (item, kind) = self.names.item_and_kind(*counter).unwrap_or_default();
                named.serialize_element(&Named { item, kind, delta: *delta })?;
            }
        }
        named.end()
    }
}

impl StreamUplink {
    pub(super) fn make_ready(&mut self, topic: TopicId) {
        if let Some(state) = self.topics.get_mut(topic)
            && !state.is_ready
        {
            state.is_ready = true;
            self.sending.ready.push_back(topic);
        }
    }

    /// Takes the topics whose cut can be sent now, each with the root that it goes to. Those whose root is not
    /// connected stay where they are.
    pub fn ready_cuts(
        &mut self,
        now: Time,
        root_of: impl Fn(TopicId) -> Option<NodeName>,
    ) -> Vec<(NodeName, TopicId)> {
        let mut cuts = Vec::new();
        for _ in 0..self.sending.ready.len() {
            if self.sending.sums_sent >= SUMS_SENT {
                break;
            }
            let Some(topic) = self.sending.ready.pop_front() else { break };
            let Some(state) = self.topics.get_mut(topic) else { continue };
            let Some(root) = root_of(topic) else {
                self.sending.ready.push_back(topic);
                continue;
            };
            state.is_ready = false;
            let Some(in_flight) = state.next_cut() else { continue };
            if in_flight.wait != Wait::Turn {
                continue;
            }
            self.sending.attempts += 1;
            in_flight.attempt = self.sending.attempts;
            in_flight.wait = Wait::Answer(root.clone());
            self.sending.sums_sent += in_flight.sums_sent();
            cuts.push((root, topic));
            self.sending.timers.insert((now + ANSWER_TIMEOUT, self.sending.attempts), topic);
        }
        cuts
    }

    /// The topic's cut that is under way.
    pub fn cut<'a>(&'a self, topic: TopicId, names: &'a Names) -> Option<Cut<NamedSums<'a>>> {
        let InFlight { from, sums, era, .. } = self.topics.get(topic)?.in_flight.as_ref()?;
        Some(Cut {
            stream: self.stream.clone(),
            topic: names.topic(topic).clone(),
            from: *from,
            to: sums.to,
            sums: NamedSums { sums: &sums.sums, names },
            events: sums.events,
            era: *era,
        })
    }

    /// Makes ready what a root was asked for and will not answer: its connection is gone.
    pub fn root_lost(&mut self, root: &NodeName) {
        let asked = self.topics.iter().filter(|(_, state)| {
            state.in_flight.as_ref().is_some_and(|f| matches!(&f.wait, Wait::Answer(asked) if asked == root))
        });
        let lost: Vec<TopicId> = asked.map(|(topic, _)| topic).collect();
        lost.into_iter().for_each(|topic| self.send_again(topic));
    }

    fn send_again(&mut self, topic: TopicId) {
        if let Some(in_flight) = self.topics.get_mut(topic).and_then(|s| s.in_flight.as_mut()) {
            self.sending.sums_sent -= in_flight.sums_sent();
            in_flight.wait = Wait::Turn;
            self.make_ready(topic);
        }
    }

    /// Makes ready what has waited long enough.
    pub fn handle_time(&mut self, now: Time) {
        while let Some(entry) = self.sending.timers.first_entry() {
            let (due, attempt) = *entry.key();
            if due > now {
                break;
            }
            let topic = entry.remove();
            let in_flight = self.topics.get(topic).and_then(|s| s.in_flight.as_ref());
            if in_flight.is_some_and(|f| f.attempt == attempt) {
                self.send_again(topic);
            }
        }
        while let Some(topic) = self.probing.take_due(now) {
            self.probe(now, topic);
        }
    }

    /// The time at which [`StreamUplink::handle_time`] has something to do.
    pub fn next_timeout(&self) -> Option<Time> {
        let timer = self.sending.timers.keys().next().map(|(due, _)| *due);
        timer.into_iter().chain(self.probing.next_due()).min()
    }

    pub(super) fn retry_after(&mut self, topic: TopicId, now: Time, wait: Duration) {
        let Some(in_flight) = self.topics.get_mut(topic).and_then(|s| s.in_flight.as_mut()) else { return };
        self.sending.attempts += 1;
        in_flight.attempt = self.sending.attempts;
        in_flight.wait = Wait::Retry;
        self.sending.timers.insert((now + wait, self.sending.attempts), topic);
    }
}
