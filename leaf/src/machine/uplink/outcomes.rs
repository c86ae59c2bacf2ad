//! What the store answers to cuts, and what follows from it.

use super::{Findings, InFlight, InLog, NearLimit, OVERFLOW_RETRY, Position, RETRY, Stretch, Uplink};
use countree_common::cut::{CounterSum, Cut, Outcome};
use countree_common::key::Topic;
use countree_common::limits;
use countree_common::stream::Lsn;
use countree_common::time::Time;
use countree_common::wire::uplink::CutOutcome;

impl Uplink {
    /// Takes the answer to a cut. Answers to anything but the cut under way are from the past and ignored.
    /// `are_totals_wanted` asks for all totals, those far from their limit too.
    pub fn handle_outcome(&mut self, now: Time, answer: CutOutcome, are_totals_wanted: bool) -> Findings {
        let mut findings = Findings::default();
        let CutOutcome { topic, from, to, outcome, .. } = answer;
        let Some(state) = self.topics.get_mut(&topic) else { return findings };
        let Some(in_flight) = state.in_flight.take_if(|f| f.cut.from == from && f.cut.to == to) else {
            return findings;
        };
        match outcome {
            None => {
                state.in_flight = Some(in_flight);
                self.retry_after(&topic, now, RETRY);
            }
            Some(Outcome::Overflow) => {
                findings.overflow = true;
                state.in_flight = Some(in_flight);
                self.retry_after(&topic, now, OVERFLOW_RETRY);
            }
            Some(Outcome::Applied(applied)) => {
                state.era = applied.version.era;
                findings.near_limit = near_limit(&in_flight.cut, &applied.totals, are_totals_wanted);
                self.confirm(&topic, in_flight, applied.events, &mut findings);
                self.note_merged(now, &topic, applied.durable);
            }
            Some(Outcome::Have { lsn, events, version }) if state.position == Position::Unknown => {
                state.era = version.era;
                self.learn_position(&topic, lsn, events);
                self.note_merged(now, &topic, lsn == 0);
            }
            Some(Outcome::Have { lsn, events, version }) if lsn == to => {
                state.era = version.era;
                if from == to {
                    self.note_answered(now, &topic);
                    self.make_ready(&topic);
                } else {
                    self.confirm(&topic, in_flight, events, &mut findings);
                    self.note_merged(now, &topic, false);
                }
            }
            Some(Outcome::Have { lsn, events, version }) => {
                findings.store_went_back = lsn < from;
                // All leaves that notice the same fall back ask for the same era: the one after the last they saw.
                let next = if findings.store_went_back { state.era + 1 } else { 0 };
                state.era = version.era.max(next);
                self.read_back(&topic, in_flight, lsn, events);
                self.note_merged(now, &topic, lsn == 0);
            }
        }
        findings
    }

    /// The store was asked where it stands in a sealed stream.
    fn learn_position(&mut self, topic: &Topic, have: Lsn, events: u64) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        state.confirmed = Some(events);
        match state.in_log {
            Some(InLog { last, .. }) if last > have => {
                state.position = Position::Scanning;
                self.scans.insert(topic.clone(), Stretch { from: have, to: last });
            }
            settled => {
                state.position = Position::Known(have);
                if let Some(InLog { events, .. }) = settled {
                    state.in_log = None;
                    self.merged += events;
                    self.progress.release(0);
                }
                self.make_ready(topic);
            }
        }
    }

    /// The cut is in the totals.
    fn confirm(&mut self, topic: &Topic, in_flight: InFlight, store_events: u64, findings: &mut Findings) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        state.position = Position::Known(in_flight.cut.to);
        self.merged += in_flight.cut.events;
        self.volume = self.volume.saturating_sub(in_flight.volume);
        let expected = state.confirmed.map_or(store_events, |before| before + in_flight.cut.events);
        if expected != store_events {
            let stream = &self.stream;
            findings.imbalance = Some(format!(
                "topic '{topic}' of {stream}: the store counts {store_events} events, the leaf {expected}"
            ));
        }
        state.confirmed = Some(store_events);
        self.progress.release(in_flight.window);
        self.make_ready(topic);
    }

    /// Drops a topic's sums, to read them back from the log from where the store stands.
    fn read_back(&mut self, topic: &Topic, in_flight: InFlight, have: Lsn, store_events: u64) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        let dropped = std::iter::once((in_flight.cut.events, in_flight.volume, in_flight.window))
            // A probe was never held.
            .filter(|_| in_flight.cut.from < in_flight.cut.to)
            .chain(state.queue.drain(..).map(|p| (p.events, p.volume, p.window)));
        let mut events = 0;
        self.progress.hold(0);
        for (of_one, volume, window) in dropped {
            events += of_one;
            self.volume = self.volume.saturating_sub(volume);
            self.progress.release(window);
        }
        let expected = state.confirmed.map(|before| (before + events).saturating_sub(store_events));
        state.position = Position::Scanning;
        state.confirmed = Some(store_events);
        state.in_log = Some(InLog { events, last: self.last_window_to, expected });
        self.scans.insert(topic.clone(), Stretch { from: have, to: self.last_window_to });
    }
}

/// The totals of a merge that are near their limit, or all of them.
fn near_limit(cut: &Cut, totals: &[i64], are_all_wanted: bool) -> Vec<NearLimit> {
    let near = |total: i64| total.unsigned_abs() >= limits::TOTAL_NEAR_LIMIT.unsigned_abs();
    let totals = cut.sums.iter().zip(totals).filter(|(_, total)| are_all_wanted || near(**total));
    let found = |(sum, total): (&CounterSum, &i64)| NearLimit {
        topic: cut.topic.clone(),
        sum: CounterSum { delta: *total, ..sum.clone() },
    };
    totals.map(found).collect()
}
