//! Brings one stream's sums to the store: cuts them, sends them, has them confirmed, and cuts them again where the
//! store says that it stands elsewhere.
//!
//! At most one cut of a topic is under way, and it is repeated verbatim until it is answered: a repeat
//! that was applied before is answered `Have` with its own `to`, and so is never counted twice.

mod era;
mod outcomes;
mod positions;
mod probes;
mod readings;
mod sending;
mod survey;
mod topics;

pub use outcomes::{Findings, NearLimit};
pub use sending::NamedSums;

use crate::log::recovery::{OldStream, TopicInLog};
use crate::machine::counters::names::{CounterId, TopicId};
use crate::machine::counters::pending::{Pending, SumIndex};
use crate::machine::counters::table::{Table, TopicSums};
use crate::machine::uplink::progress::{Progress, WindowId};
use countree_common::ledger::Ledger;
use countree_common::stream::{Lsn, StreamId};
use countree_common::time::WallMs;
use era::EraAnswers;
use probes::Probing;
use readings::Readings;
use sending::Sending;
use std::time::Duration;
use survey::Survey;
use topics::{InLog, Position, TopicState, Topics};

/// Counts the events of a stream, for its ledger.
#[derive(Debug, Default)]
struct EventCounts {
    accepted: u64,
    /// Events that the uplink was given or that are in the log alone, and that the store has not confirmed.
    in_flight: u64,
    merged: u64,
    declared_lost: u64,
    /// Σ|δ| of the sums that wait.
    volume: u64,
}

/// Sends one leaf stream's sums.
#[derive(Debug)]
pub struct StreamUplink {
    stream: StreamId,
    /// The last record, once no more come.
    sealed_at: Option<Lsn>,
    topics: Topics,
    sum_index: SumIndex,
    sending: Sending,
    probing: Probing,
    readings: Readings,
    progress: Progress,
    last_window_to: Lsn,
    events: EventCounts,
    survey: Survey,
    answers: EraAnswers,
}

impl StreamUplink {
    /// Begins the stream that this incarnation writes. What the store confirms without calling it durable, it may
    /// forget for as long as `retention`.
    pub fn live(stream: StreamId, retention: Duration) -> Self {
        Self {
            stream,
            sealed_at: None,
            topics: Topics::default(),
            sum_index: SumIndex::default(),
            sending: Sending::default(),
            probing: Probing::new(retention),
            readings: Readings::default(),
            progress: Progress::default(),
            last_window_to: 0,
            events: EventCounts::default(),
            survey: Survey::default(),
            answers: EraAnswers::default(),
        }
    }

    /// Takes up a stream of an earlier incarnation: every topic in its log is asked about.
    pub fn sealed(stream: StreamId, old: OldStream, retention: Duration, table: &mut Table) -> Self {
        let live = Self::live(stream, retention);
        let mut uplink = Self { sealed_at: Some(old.end), last_window_to: old.end, ..live };
        uplink.events.accepted = old.accepted;
        uplink.events.in_flight = old.topics.values().map(|t| t.events).sum();
        // What is no longer in the log was trimmed, and only merged records are.
        uplink.events.merged = old.accepted - uplink.events.in_flight;
        for (topic, TopicInLog { last, events }) in old.topics {
            let topic = table.intern_topic(&topic);
            let state = TopicState::new(Position::Unknown, Some(InLog { events, last, expected: None }));
            *uplink.topics.entry(topic) = Some(Box::new(state));
            uplink.progress.hold(0);
            uplink.make_ready(topic);
        }
        uplink
    }

    /// The stream.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Whether everything in it is merged and nothing more can come.
    pub fn is_drained(&self) -> bool {
        self.sealed_at.is_some() && self.is_idle()
    }

    /// Whether every sum that it was given is merged.
    pub fn is_idle(&self) -> bool {
        self.progress.is_clear()
    }

    /// Notes events that were logged.
    pub fn note_accepted(&mut self, events: u64) {
        self.events.accepted += events;
    }

    /// Events accepted so far.
    pub fn accepted(&self) -> u64 {
        self.events.accepted
    }

    /// Σ|δ| of the sums that wait.
    pub fn volume(&self) -> u64 {
        self.events.volume
    }

    /// The progress of its windows.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The ledger; `open_events` are logged and not yet offered here. Its sides are counted apart.
    pub fn ledger(&self, open_events: u64) -> Ledger {
        debug_assert_eq!(
            self.events.in_flight,
            self.topics.values().map(TopicState::in_flight_events).sum::<u64>()
        );
        Ledger {
            accepted: self.events.accepted,
            merged: self.events.merged,
            in_flight: self.events.in_flight + open_events,
            declared_lost: self.events.declared_lost,
        }
    }

    /// Takes a window's sums, all of them durable.
    pub fn offer(&mut self, window: WindowId, at: WallMs, to: Lsn, sums: Vec<TopicSums>) {
        self.take(window, to, sums);
        self.last_window_to = to;
        self.progress.close(window, at, to);
    }

    /// Takes sums of topics out of a window that goes on for the others.
    pub fn offer_early(&mut self, window: WindowId, to: Lsn, sums: Vec<TopicSums>) {
        let topics: Vec<TopicId> = sums.iter().map(|of_topic| of_topic.topic).collect();
        self.take(window, to, sums);
        for topic in topics {
            if let Some(state) = self.topics.get_mut(topic) {
                state.early_to = to;
            }
        }
    }

    fn take(&mut self, window: WindowId, to: Lsn, sums: Vec<TopicSums>) {
        for TopicSums { topic, sums, events } in sums {
            let pending = Pending::new(to, sums, events, window);
            self.events.volume = self.events.volume.saturating_add(pending.volume);
            self.events.in_flight += events;
            let state = self.topics.entry(topic);
            let state = state.get_or_insert_with(|| Box::new(TopicState::new(Position::Known(0), None)));
            if !self.sum_index.join(&mut state.queue, pending) {
                self.progress.hold(window);
            }
            self.make_ready(topic);
        }
    }

    /// Every counter that it has a sum of.
    pub fn counters(&self) -> impl Iterator<Item = CounterId> {
        self.topics.values().flat_map(TopicState::sums).map(|sum| sum.counter)
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
