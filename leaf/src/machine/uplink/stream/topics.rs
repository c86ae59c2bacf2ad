//! Keeps the state of each topic of a stream.

use crate::machine::counters::names::TopicId;
use crate::machine::counters::pending::{Pending, Sum};
use crate::machine::uplink::unconfirmed::UnconfirmedMerge;
use countree_common::cluster::NodeName;
use countree_common::document::Version;
use countree_common::stream::Lsn;
use std::collections::VecDeque;

/// The next event in the life of a cut.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// To be sent.
    Turn,
    /// This root's answer.
    Answer(NodeName),
    /// The time to try again.
    Retry,
}

/// A cut costs root and store about as much as this many sums, however few it has: its topic's document and stream.
pub(super) const SUMS_OF_A_CUT: usize = 16;

/// A cut that was sent, or is about to be.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) from: Lsn,
    pub(super) sums: Pending,
    pub(super) era: u64,
    pub(super) wait: Wait,
    pub(super) attempt: u64,
}

impl InFlight {
    /// The sums that a root has to answer for, or as many as the cut costs.
    pub(super) fn sums_sent(&self) -> usize {
        if matches!(self.wait, Wait::Answer(_)) { SUMS_OF_A_CUT + self.sums.sums.len() } else { 0 }
    }
}

/// The position of the store's document in this stream, as far as the leaf knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// Merged up to here.
    Known(Lsn),
    /// To be asked for.
    Unknown,
    /// Events are being read back from the log.
    Scanning,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct InLog {
    pub(super) events: u64,
    /// The last LSN that may have any.
    pub(super) last: Lsn,
    /// The number that the log has to yield behind the store's position, where that is known.
    pub(super) expected: Option<u64>,
}

#[derive(Debug)]
pub(super) struct TopicState {
    pub(super) position: Position,
    /// The document's era must become at least this.
    pub(super) era: u64,
    /// Events of this stream and topic in the store's totals, by the store's last word. Unknown before the
    /// first one of a sealed stream.
    pub(super) confirmed: Option<u64>,
    /// The document's version by the store's last word; 0-0 before the first one.
    pub(super) version: Version,
    /// Whether the store has to be asked anew, and has not answered since.
    pub(super) is_asked: bool,
    /// The last record that was cut out of a window which had not ended; 0 for none.
    pub(super) early_to: Lsn,
    /// The last merge, while the store may still forget it.
    pub(super) unconfirmed: Option<UnconfirmedMerge>,
    /// Whether a time to ask about it is set, and whether that has come.
    pub(super) has_probe: bool,
    pub(super) is_probe_due: bool,
    pub(super) in_flight: Option<InFlight>,
    pub(super) queue: VecDeque<Pending>,
    /// Events that are in the log alone: an old stream's, or dropped to be read back. While there is such
    /// a debt to the log, window 0 is held.
    pub(super) in_log: Option<InLog>,
    pub(super) is_ready: bool,
}

impl TopicState {
    pub(super) fn new(position: Position, in_log: Option<InLog>) -> Self {
        Self {
            position,
            era: 0,
            confirmed: (position == Position::Known(0)).then_some(0),
            version: Version::default(),
            is_asked: false,
            early_to: 0,
            unconfirmed: None,
            has_probe: false,
            is_probe_due: false,
            in_flight: None,
            queue: VecDeque::new(),
            in_log,
            is_ready: false,
        }
    }

    fn pending(&self) -> impl Iterator<Item = &Pending> {
        self.queue.iter().chain(self.in_flight.as_ref().map(|f| &f.sums))
    }

    pub(super) fn sums(&self) -> impl Iterator<Item = &Sum> {
        self.pending().flat_map(|pending| &pending.sums)
    }

    pub(super) fn in_flight_events(&self) -> u64 {
        self.pending().map(|p| p.events).sum::<u64>() + self.in_log.map_or(0, |l| l.events)
    }

    /// The cut that is under way, or the next one if none is.
    pub(super) fn next_cut(&mut self) -> Option<&mut InFlight> {
        if self.in_flight.is_none() {
            let (from, sums) = match self.position {
                Position::Scanning => return None,
                Position::Unknown => (0, Pending::probe(0)),
                Position::Known(at) => match self.queue.pop_front() {
                    Some(pending) => (at, pending),
                    None if self.is_probe_due => (at, Pending::probe(at)),
                    None => return None,
                },
            };
            self.is_probe_due = false;
            self.in_flight = Some(InFlight { from, sums, era: self.era, wait: Wait::Turn, attempt: 0 });
        }
        self.in_flight.as_mut()
    }
}

/// Every topic that the stream has had events of, by number.
#[derive(Debug, Default)]
pub(super) struct Topics(Vec<Option<Box<TopicState>>>);

impl Topics {
    pub(super) fn get(&self, topic: TopicId) -> Option<&TopicState> {
        self.0.get(topic as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, topic: TopicId) -> Option<&mut TopicState> {
        self.0.get_mut(topic as usize)?.as_deref_mut()
    }

    pub(super) fn entry(&mut self, topic: TopicId) -> &mut Option<Box<TopicState>> {
        if self.0.len() <= topic as usize {
            self.0.resize_with(topic as usize + 1, || None);
        }
        &mut self.0[topic as usize]
    }

    /// One more than the highest number.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &TopicState> {
        self.0.iter().filter_map(Option::as_deref)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TopicId, &TopicState)> {
        (0..).zip(&self.0).filter_map(|(topic, state)| Some((topic, state.as_deref()?)))
    }
}
