//! One reading of all documents, compared with what was known before it and after it.
//!
//! Merges go on meanwhile. A document read at some moment in between holds at least what was merged before the reading
//! began and at most what was accepted when it had ended, and so do the sums. Of a stream that rests both bounds are
//! one number.

use super::account::Account;
use countree_common::cluster::NodeName;
use countree_common::key::Topic;
use countree_common::ledger::Ledger;
use countree_common::stream::StreamId;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use xxhash_rust::xxh3::xxh3_64;

/// Topics whose sums are remembered by name, to tell which of them fell.
pub const TOPICS_NAMED: usize = 65_536;
/// Topics that are known to have been read. A scan may bring one twice; beyond it nothing is said of sums that are too
/// high.
pub const TOPICS_READ: usize = 1 << 22;
/// Topics that can't be read and are named.
const UNREADABLE_NAMED: usize = 100;

/// The events of one stream that documents hold, beside those that they should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) held: u64,
    /// The ledger at the end, as those who keep it know it.
    pub(super) ledger: Ledger,
    /// The events of it that were known to be lost.
    pub(super) lost: u64,
    pub(super) short: u64,
    pub(super) over: u64,
    /// Whether nothing was under way from before the reading until after it.
    pub(super) rested: bool,
}

/// The sums so far.
#[derive(Debug)]
pub struct Round {
    before: Account,
    /// All of a document was read, whatever streams it knows.
    is_full: bool,
    streams: BTreeSet<StreamId>,
    held: BTreeMap<StreamId, u64>,
    seen: HashSet<u64>,
    pub(super) documents: u64,
    pub(super) forgotten: u64,
    pub(super) named: HashMap<Topic, u64>,
    pub(super) unreadable: Vec<Topic>,
    /// Whether a topic may have been counted twice.
    is_loose: bool,
}

impl Round {
    /// `before` was asked before any document is read; a full round reads documents whole.
    pub fn begin(before: Account, is_full: bool) -> Self {
        Self {
            streams: before.streams().into_iter().collect(),
            before,
            is_full,
            held: BTreeMap::new(),
            seen: HashSet::new(),
            documents: 0,
            forgotten: 0,
            named: HashMap::new(),
            unreadable: Vec::new(),
            is_loose: false,
        }
    }

    /// The streams whose positions are to be read, unless all are.
    pub fn streams(&self) -> impl Iterator<Item = &StreamId> {
        self.streams.iter()
    }

    /// Whether documents are to be read whole.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Takes the events that a topic's document holds of each stream, and how many of them all are
    /// [forgotten](crate::machine::documents::Document::forgotten).
    pub fn handle_document(
        &mut self,
        topic: &Topic,
        events: impl Iterator<Item = (StreamId, u64)>,
        forgotten: u64,
    ) {
        if !self.is_new(topic) {
            return;
        }
        self.documents += 1;
        self.forgotten = self.forgotten.saturating_add(forgotten);
        let mut sum = 0_u64;
        for (stream, events) in events.filter(|(_, events)| *events > 0) {
            sum = sum.saturating_add(events);
            let held = self.held.entry(stream).or_default();
            *held = held.saturating_add(events);
        }
        if self.named.len() < TOPICS_NAMED {
            self.named.insert(topic.clone(), sum);
        }
    }

    /// A document is there and can't be read.
    pub fn handle_unreadable(&mut self, topic: Topic) {
        if self.is_new(&topic) && self.unreadable.len() < UNREADABLE_NAMED {
            self.unreadable.push(topic);
        }
    }

    fn is_new(&mut self, topic: &Topic) -> bool {
        if self.seen.len() >= TOPICS_READ {
            self.is_loose = true;
            return true;
        }
        self.seen.insert(xxh3_64(topic.as_str().as_bytes()))
    }

    pub(super) fn held(&self) -> u64 {
        self.held.values().fold(0, |sum, held| sum.saturating_add(*held))
    }

    /// Whether it remembers by name all topics that it read.
    pub(super) fn has_all_names(&self) -> bool {
        self.named.len() < TOPICS_NAMED
    }

    /// Whether it read everything that this other one did.
    pub(super) fn reads_as_much_as(&self, streams: &BTreeSet<StreamId>) -> bool {
        self.is_full || self.streams.is_superset(streams)
    }

    pub(super) fn into_names(self) -> (HashMap<Topic, u64>, BTreeSet<StreamId>) {
        let streams =
            if self.is_full { self.held.into_keys().chain(self.streams).collect() } else { self.streams };
        (self.named, streams)
    }

    /// Compares with what is known now that all is read; streams that can't be compared are listed.
    pub(super) fn compare(&self, after: &Account) -> (BTreeMap<StreamId, Compared>, Vec<StreamId>) {
        let mut held = BTreeMap::<StreamId, u64>::new();
        for (stream, events) in &self.held {
            *held.entry(after.named(stream)).or_default() += events;
        }
        let streams: BTreeSet<&StreamId> = after.ledgers().chain(held.keys()).collect();
        let (mut compared, mut left_out) = (BTreeMap::new(), Vec::new());
        for stream in streams {
            let held = held.get(stream).copied().unwrap_or_default();
            match self.compare_one(stream, held, after) {
                Some(outcome) => drop(compared.insert(stream.clone(), outcome)),
                None => left_out.push(stream.clone()),
            }
        }
        (compared, left_out)
    }

    fn compare_one(&self, stream: &StreamId, held: u64, after: &Account) -> Option<Compared> {
        let (before, now) = (self.before.ledger(stream), after.ledger(stream));
        let Some(ledger) = now else {
            // Somebody who can't be asked may know it.
            let is_missing = self.before.is_missing(&stream.leaf) || after.is_missing(&stream.leaf);
            let is_nobodys = !is_missing && before.is_none() && after.has_started(&stream.leaf);
            return is_nobodys.then(|| unclaimed(held));
        };
        if stream.incarnation == 0 && !self.reads_all_folded(&stream.leaf, before, ledger, after) {
            return None;
        }
        // A leaf that found the store behind takes it back: what it sends again is in flight.
        let low = before.map_or(0, |before| before.merged.min(ledger.merged));
        let high = ledger.accepted.saturating_sub(ledger.declared_lost);
        let over = if self.is_loose { 0 } else { held.saturating_sub(high) };
        Some(Compared {
            held,
            ledger: after.remembered(stream).unwrap_or(ledger),
            lost: after.lost(stream),
            short: low.saturating_sub(held),
            over,
            rested: before == Some(ledger) && ledger.in_flight == 0,
        })
    }

    /// Whether the oldest streams of a leaf are the same as before, and were read: they have no names of their own, and
    /// so only a full round finds them.
    fn reads_all_folded(
        &self,
        leaf: &NodeName,
        before: Option<Ledger>,
        now: Ledger,
        after: &Account,
    ) -> bool {
        let is_settled = before == Some(now) && self.before.folded(leaf) == after.folded(leaf);
        self.is_full && is_settled
    }
}

/// Events of a stream that nobody has a ledger of.
fn unclaimed(held: u64) -> Compared {
    Compared { held, ledger: Ledger::default(), lost: 0, short: 0, over: held, rested: true }
}
