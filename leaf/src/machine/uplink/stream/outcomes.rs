//! Takes the store's answers to cuts.

use super::StreamUplink;
use super::topics::{InFlight, InLog, Position};
use crate::log::recut::Stretch;
use crate::machine::counters::names::{CounterId, Names, TopicId};
use crate::machine::counters::pending::{Pending, Sum};
use countree_common::cut::Outcome;
use countree_common::document::Version;
use countree_common::limits;
use countree_common::stream::Lsn;
use countree_common::time::Time;
use countree_common::wire::uplink::CutOutcome;
use std::time::Duration;

/// A cut that the root could not merge just now is sent again after this long.
const RETRY: Duration = Duration::from_millis(50);
/// A cut whose total does not fit is tried again after this long: a decrement may have made room.
pub(super) const OVERFLOW_RETRY: Duration = Duration::from_secs(1);

/// A total that came close to its limit, or may have moved away from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NearLimit {
    /// The counter.
    pub counter: CounterId,
    /// The total after a merge.
    pub total: i64,
}

/// Facts that an outcome shows, beyond the merge itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Totals close to their limit.
    pub near_limit: Vec<NearLimit>,
    /// The store stood before what it had confirmed.
    pub store_went_back: bool,
    /// The store's count of this stream's events is not the leaf's.
    pub imbalance: Option<String>,
    /// A total does not fit; the cut waits.
    pub overflow: bool,
}

impl StreamUplink {
    /// Takes the answer to a cut. Answers to anything but the cut under way are from the past and ignored.
    /// `are_totals_wanted` asks for all totals, those far from their limit too.
    pub fn handle_outcome(
        &mut self,
        now: Time,
        names: &Names,
        answer: &CutOutcome,
        are_totals_wanted: bool,
    ) -> Findings {
        let mut findings = Findings::default();
        let (from, to) = (answer.from, answer.to);
        let Some(topic) = names.topic_id(&answer.topic) else { return findings };
        let Some(state) = self.topics.get_mut(topic) else { return findings };
        let Some(in_flight) = state.in_flight.take_if(|f| f.from == from && f.sums.to == to) else {
            return findings;
        };
        self.sending.sums_sent -= in_flight.sums_sent();
        if let Some(version) = answer.outcome.as_ref().and_then(version_of_document) {
            (state.version, state.is_asked) = (version, false);
            self.note_answer(topic, version);
        }
        let Some(state) = self.topics.get_mut(topic) else { return findings };
        match answer.outcome {
            None => {
                state.in_flight = Some(in_flight);
                self.retry_after(topic, now, RETRY);
            }
            Some(Outcome::Overflow) => {
                findings.overflow = true;
                state.in_flight = Some(in_flight);
                self.retry_after(topic, now, OVERFLOW_RETRY);
            }
            Some(Outcome::Applied(ref applied)) => {
                state.era = applied.version.era;
                findings.near_limit = near_limit(&in_flight.sums.sums, &applied.totals, are_totals_wanted);
                findings.imbalance = self.confirm(topic, names, in_flight, applied.events);
                self.note_merged(now, topic, applied.durable);
            }
            Some(Outcome::Have { lsn, events, version }) if state.position == Position::Unknown => {
                state.era = version.era;
                self.learn_position(topic, lsn, events);
                self.note_merged(now, topic, lsn == 0);
            }
            Some(Outcome::Have { lsn, events, version }) if lsn == to => {
                state.era = version.era;
                if from == to {
                    findings.imbalance = self.compare(topic, names, events);
                    self.note_answered(now, topic);
                    self.make_ready(topic);
                } else {
                    findings.imbalance = self.confirm(topic, names, in_flight, events);
                    self.note_merged(now, topic, false);
                }
            }
            Some(Outcome::Have { lsn, events, version }) => {
                findings.store_went_back = lsn < from;
                // Another process, or another store, has begun an era by itself. Where the same process went back, all
                // leaves that notice it ask for the same era: the one after the last that they saw.
                let is_the_same = version.number == 0 || version.era == state.era;
                let next = if findings.store_went_back && is_the_same { state.era + 1 } else { 0 };
                state.era = version.era.max(next);
                self.read_back(topic, in_flight, lsn, events);
                self.note_merged(now, topic, lsn == 0);
            }
        }
        findings
    }

    /// The store was asked where it stands in a sealed stream.
    fn learn_position(&mut self, topic: TopicId, have: Lsn, events: u64) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        state.confirmed = Some(events);
        match state.in_log {
            Some(InLog { last, .. }) if last > have => {
                state.position = Position::Scanning;
                self.readings.wanted.insert(topic, Stretch { from: have, to: last });
            }
            settled => {
                state.position = Position::Known(have);
                if let Some(InLog { events, .. }) = settled {
                    state.in_log = None;
                    self.events.in_flight -= events;
                    self.events.merged += events;
                    self.progress.release(0);
                }
                self.make_ready(topic);
            }
        }
    }

    /// The cut is in the totals. Returns what is wrong with the store's count of events, if anything is.
    fn confirm(
        &mut self,
        topic: TopicId,
        names: &Names,
        in_flight: InFlight,
        store_events: u64,
    ) -> Option<String> {
        let state = self.topics.get_mut(topic)?;
        let Pending { to, events, volume, window, .. } = in_flight.sums;
        state.position = Position::Known(to);
        self.events.in_flight -= events;
        self.events.merged += events;
        self.events.volume = self.events.volume.saturating_sub(volume);
        state.confirmed = state.confirmed.map(|before| before + events);
        self.progress.release(window);
        self.make_ready(topic);
        self.compare(topic, names, store_events)
    }

    /// Compares what the store counts of a topic with what it is known to have merged; from now on its word holds.
    fn compare(&mut self, topic: TopicId, names: &Names, store_events: u64) -> Option<String> {
        let expected = self.topics.get_mut(topic)?.confirmed.replace(store_events)?;
        (expected != store_events).then(|| {
            let (topic, stream) = (names.topic(topic), &self.stream);
            format!(
                "topic '{topic}' of {stream}: the store counts {store_events} events, the leaf {expected}"
            )
        })
    }

    /// Drops a topic's sums, to read them back from the log from where the store stands.
    fn read_back(&mut self, topic: TopicId, in_flight: InFlight, have: Lsn, store_events: u64) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        let was_probe = in_flight.from == in_flight.sums.to;
        // A probe was never held.
        let dropped = Some(in_flight.sums).filter(|_| !was_probe).into_iter().chain(state.queue.drain(..));
        let mut events = 0;
        self.progress.hold(0);
        for pending in dropped {
            events += pending.events;
            self.events.volume = self.events.volume.saturating_sub(pending.volume);
            self.progress.release(pending.window);
        }
        let expected = state.confirmed.map(|before| (before + events).saturating_sub(store_events));
        let last = self.last_window_to.max(state.early_to);
        state.position = Position::Scanning;
        state.confirmed = Some(store_events);
        state.in_log = Some(InLog { events, last, expected });
        self.readings.wanted.insert(topic, Stretch { from: have, to: last });
    }
}

/// The document's version by an answer of the store.
fn version_of_document(outcome: &Outcome) -> Option<Version> {
    match outcome {
        Outcome::Applied(applied) => Some(applied.version),
        Outcome::Have { version, .. } => Some(*version),
        Outcome::Overflow => None,
    }
}

/// The totals of a merge that are near their limit, or all of them.
fn near_limit(sums: &[Sum], totals: &[i64], are_all_wanted: bool) -> Vec<NearLimit> {
    let near = |total: i64| total.unsigned_abs() >= limits::TOTAL_NEAR_LIMIT.unsigned_abs();
    let totals = sums.iter().zip(totals).filter(|(_, total)| are_all_wanted || near(**total));
    totals.map(|(sum, total)| NearLimit { counter: sum.counter, total: *total }).collect()
}
