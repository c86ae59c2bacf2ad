//! The audit from the store's side: what documents hold of each leaf stream, compared with what was merged.
//!
//! The ledgers alone compare what leaves remember with what they accepted. A [`Round`] reads all documents; the
//! [`Auditor`] decides what to do: differences are reported at once, and leaves ask about their topics and send again
//! what their logs hold. Events of a stream at rest that two rounds in a row miss are in no log any more: they are
//! declared lost.

mod account;
mod round;

pub use account::Account;
pub use round::{Round, TOPICS_NAMED, TOPICS_READ};

use countree_common::audit::{GAPS_NAMED, StoreCheck, StreamGap, TopicGap};
use countree_common::key::Topic;
use countree_common::ledger::{Ledger, StreamLedger};
use countree_common::stream::StreamId;
use countree_common::time::WallMs;
use round::Compared;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A correction for the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Correction {
    /// The number of a stream's merged events that are neither in the store nor in a log, no more and no less.
    Lost(StreamId, u64),
    /// The log of this stream was given up; the number is that of its events in the store.
    Held(StreamId, u64),
    /// Nobody has a ledger of this stream: what the store holds of it is all that is known.
    Claimed(StreamLedger),
}

/// The findings of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// The result for everybody.
    pub check: StoreCheck,
    /// The corrections that are certain by now.
    pub corrections: Vec<Correction>,
    /// Leaves are to ask about every topic that they remember: the store may lack something that a log still holds.
    pub leaves_should_ask: bool,
}

/// The events that a stream was found to hold. It takes two equal findings before anything is corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    held: u64,
    ledger: Ledger,
}

/// Compares round after round.
#[derive(Debug, Default)]
pub struct Auditor {
    seen: BTreeMap<StreamId, Seen>,
    named: HashMap<Topic, u64>,
    streams_named: BTreeSet<StreamId>,
    /// Whether all topics of the round before are in `named`.
    has_all_names: bool,
    /// Topics whose events became fewer, with the number before.
    fallen: BTreeMap<Topic, u64>,
}

impl Auditor {
    /// Takes a round that is over; `after` was asked when the last document had been read.
    pub fn handle_round(&mut self, round: Round, after: &Account, at: WallMs) -> Findings {
        let (compared, mut not_compared) = round.compare(after);
        let mut check = StoreCheck {
            checked_at: at,
            age_ms: 0,
            full: round.is_full(),
            documents: round.documents,
            held: round.held(),
            forgotten: round.forgotten,
            short: gaps(&compared, |of| of.short),
            over: gaps(&compared, |of| of.over),
            topics: Vec::new(),
            unreadable: round.unreadable.clone(),
            not_compared: Vec::new(),
        };
        not_compared.truncate(GAPS_NAMED);
        check.not_compared = not_compared;
        // What can't be read may hold what is missed.
        let corrections =
            if round.unreadable.is_empty() { self.corrections(&compared, after) } else { Vec::new() };
        self.note_topics(round);
        check.topics = self.topics();
        let leaves_should_ask = !check.short.is_empty();
        Findings { check, corrections, leaves_should_ask }
    }

    /// The corrections for streams without events under way, from two rounds in a row that found the same.
    fn corrections(&mut self, compared: &BTreeMap<StreamId, Compared>, after: &Account) -> Vec<Correction> {
        // A surplus is corrected only where events count as lost, or no ledger tells what was merged: lost events may
        // be back in the store.
        let is_open = |stream, of: &Compared| {
            of.lost > 0 || after.is_given_up(stream) || after.remembered(stream).is_none()
        };
        let differs = |stream, of: &Compared| of.short > 0 || (of.over > 0 && is_open(stream, of));
        let suspects = compared.iter().filter(|(stream, of)| of.rested && differs(stream, of));
        let seen: BTreeMap<StreamId, Seen> = suspects
            .map(|(stream, of)| (stream.clone(), Seen { held: of.held, ledger: of.ledger }))
            .collect();
        let certain = seen.iter().filter(|(stream, seen)| self.seen.get(*stream) == Some(*seen));
        let corrections = certain.map(|(stream, Seen { held, ledger })| {
            if after.is_given_up(stream) {
                return Correction::Held(stream.clone(), *held);
            }
            if after.remembered(stream).is_some() {
                return Correction::Lost(stream.clone(), ledger.merged.saturating_sub(*held));
            }
            let ledger = Ledger { accepted: *held, merged: *held, ..Ledger::default() };
            Correction::Claimed(StreamLedger { stream: stream.clone(), sealed: true, ledger })
        });
        let corrections = corrections.collect();
        self.seen = seen;
        corrections
    }

    /// Notes topics whose events over all streams became fewer, which must never happen.
    fn note_topics(&mut self, round: Round) {
        if self.has_all_names && round.has_all_names() && round.reads_as_much_as(&self.streams_named) {
            for (topic, before) in &self.named {
                let is_worse = round.named.get(topic).copied().unwrap_or_default() < *before;
                if is_worse && self.fallen.len() < GAPS_NAMED {
                    self.fallen.entry(topic.clone()).or_insert(*before);
                }
            }
        }
        self.fallen.retain(|topic, before| round.named.get(topic).copied().unwrap_or_default() < *before);
        self.has_all_names = round.has_all_names();
        (self.named, self.streams_named) = round.into_names();
    }

    fn topics(&self) -> Vec<TopicGap> {
        let gap = |(topic, before): (&Topic, &u64)| {
            let held = self.named.get(topic).copied().unwrap_or_default();
            TopicGap { topic: topic.clone(), events: before.saturating_sub(held) }
        };
        self.fallen.iter().map(gap).collect()
    }
}

fn gaps(compared: &BTreeMap<StreamId, Compared>, of: impl Fn(&Compared) -> u64) -> Vec<StreamGap> {
    let gaps =
        compared.iter().map(|(stream, compared)| (stream, of(compared))).filter(|(_, events)| *events > 0);
    gaps.take(GAPS_NAMED).map(|(stream, events)| StreamGap { stream: stream.clone(), events }).collect()
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
