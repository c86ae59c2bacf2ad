//! The merge rule: when a cut goes into a topic document, and what the document is then.
//!
//! Every store obeys [`judge`]: the embedded one and the simulator's run it, the Redis script says the
//! same in Lua, and one conformance suite holds them together.

use countree_common::cut::{Applied, CounterSum, Cut, Outcome};
use countree_common::document::{CounterTotal, Snapshot, Version};
use countree_common::era;
use countree_common::forget::{ForgetOutcome, Tombstone};
use countree_common::import;
use countree_common::key::{Item, Kind, Topic};
use countree_common::stream::{Lsn, StreamId};
use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;

/// The position of one leaf stream in a topic document. Absent is the default: nothing merged yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The last merged LSN.
    pub lsn: Lsn,
    /// Events merged so far.
    pub events: u64,
}

/// The verdict on a cut: the change of the document, or the answer without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The document stays as it is; this is the answer.
    Unchanged(Outcome),
    /// The document changes to this.
    Changed(Change),
}

/// A document after a cut, where it differs from before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The version before.
    pub base: Version,
    /// The version after.
    pub version: Version,
    /// The position of the cut's stream after.
    pub position: Position,
    /// The total of each of the cut's counters after, in the cut's order.
    pub totals: Vec<i64>,
}

impl Change {
    /// The answer, once the change is made; `durable` is the store's word that it survives a crash.
    pub fn into_outcome(self, durable: bool) -> Outcome {
        let Self { base, version, position, totals } = self;
        Outcome::Applied(Applied { version, base, totals, events: position.events, durable })
    }
}

/// The version of a document as a server process of era `served_in` serves it, for merges and
/// for reads. `version` is the stored one.
///
/// Each server process has an era of its own, higher than those of the processes before it. It may have forgotten
/// merges whose versions were seen, perhaps by readers alone: from the first look on, versions are of its era, and
/// none is ever seen twice. A topic never counted has version 0-0 in every era.
pub fn served(version: Version, served_in: u64) -> Version {
    let era = if version.number == 0 { version.era } else { version.era.max(served_in) };
    Version { era, ..version }
}

/// Judges a [sound](check) cut against a document that is stored at `version`, is served in era `served_in`, and holds
/// `position` of the cut's stream. A cut raises the document's era only within the eras of the process that serves: an
/// era that a leaf saw of another process, or of another store, says nothing of this one, and taking it up could mean
/// to serve again in an era that has ended. `raise` says the total that a counter comes to with its sum, from 0 for one
/// never counted, and `None` where that is out of range; it is asked only for cuts that fit, for one sum after another.
///
/// # Errors
/// Those of `raise`.
pub fn judge<'c, E>(
    version: Version,
    served_in: u64,
    position: Position,
    cut: &'c Cut,
    mut raise: impl FnMut(&'c CounterSum) -> Result<Option<i64>, E>,
) -> Result<Verdict, E> {
    let version = served(version, served_in);
    let is_probe = cut.from == cut.to;
    if position.lsn != cut.from || is_probe {
        let Position { lsn, events } = position;
        return Ok(Verdict::Unchanged(Outcome::Have { lsn, events, version }));
    }
    let Some(events) = position.events.checked_add(cut.events) else {
        return Ok(Verdict::Unchanged(Outcome::Overflow));
    };
    let mut totals = Vec::with_capacity(cut.sums.len());
    for sum in &cut.sums {
        match raise(sum)? {
            Some(total) => totals.push(total),
            None => return Ok(Verdict::Unchanged(Outcome::Overflow)),
        }
    }
    let asked = if era::is_of(served_in, cut.era) { cut.era } else { 0 };
    let after =
        Version { era: version.era.max(served_in).max(asked), number: version.number.saturating_add(1) };
    let position = Position { lsn: cut.to, events };
    Ok(Verdict::Changed(Change { base: version, version: after, position, totals }))
}

/// A cut that no leaf may send. Nothing was merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsoundCut {
    /// Its range ends before it begins.
    #[error("a cut of {stream} goes back from {from} to {to}")]
    Backwards {
        /// The cut's stream.
        stream: StreamId,
        /// The cut's `from`.
        from: Lsn,
        /// The cut's `to`.
        to: Lsn,
    },
    /// Its range is empty and its sums are not.
    #[error("a cut of {0} counts events of no record")]
    FromNowhere(StreamId),
    /// A counter stands in it twice.
    #[error("a cut of {stream} names {item} {kind} twice")]
    Twice {
        /// The cut's stream.
        stream: StreamId,
        /// The counter's item.
        item: Item,
        /// The counter's kind.
        kind: Kind,
    },
}

/// Checks what [`judge`] and every store take for granted.
///
/// # Errors
/// The fault of the cut.
pub fn check(cut: &Cut) -> Result<(), UnsoundCut> {
    let stream = || cut.stream.clone();
    if cut.from > cut.to {
        return Err(UnsoundCut::Backwards { stream: stream(), from: cut.from, to: cut.to });
    }
    if cut.from == cut.to && (!cut.sums.is_empty() || cut.events != 0) {
        return Err(UnsoundCut::FromNowhere(stream()));
    }
    let mut seen = HashSet::with_capacity(cut.sums.len());
    match cut.sums.iter().find(|s| !seen.insert((&s.item, &s.kind))) {
        None => Ok(()),
        Some(CounterSum { item, kind, .. }) => {
            Err(UnsoundCut::Twice { stream: stream(), item: item.clone(), kind: kind.clone() })
        }
    }
}

/// The version of a document that stood at `served`, once its topic is forgotten.
pub fn after_forgetting(served: Version) -> Version {
    Version { era: served.era.saturating_add(1), number: served.number.saturating_add(1) }
}

/// The positions of a document once its topic is forgotten. An undo finds nothing left to take out of imports that are
/// forgotten: the streams that undo them are moved as far as the imports have come.
pub fn undone(streams: &BTreeMap<StreamId, Position>) -> BTreeMap<StreamId, Position> {
    let backwards = |(stream, at): (&StreamId, &Position)| Some((import::backwards(stream)?, *at));
    streams.iter().filter_map(backwards).collect()
}

/// A whole topic document in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// Its version.
    pub version: Version,
    /// The position of each leaf stream.
    pub streams: BTreeMap<StreamId, Position>,
    /// Its totals.
    pub totals: BTreeMap<(Item, Kind), i64>,
    /// Events in its positions that are in no total any more, because the topic was [forgotten](Document::forget).
    pub forgotten: u64,
}

impl Document {
    /// Merges a [sound](check) cut of this topic, as a server process of that [era](served); `durable` goes into
    /// the answer.
    pub fn merge(&mut self, cut: &Cut, served_in: u64, durable: bool) -> Outcome {
        let position = self.streams.get(&cut.stream).copied().unwrap_or_default();
        let counter = |sum: &CounterSum| (sum.item.clone(), sum.kind.clone());
        let raise = |sum: &CounterSum| {
            let total = self.totals.get(&counter(sum)).copied().unwrap_or_default();
            Ok::<_, Infallible>(total.checked_add(sum.delta))
        };
        let change = match judge(self.version, served_in, position, cut, raise) {
            Ok(Verdict::Changed(change)) => change,
            Ok(Verdict::Unchanged(outcome)) => return outcome,
        };
        self.version = change.version;
        self.streams.insert(cut.stream.clone(), change.position);
        self.totals.extend(cut.sums.iter().map(counter).zip(change.totals.iter().copied()));
        change.into_outcome(durable)
    }

    /// Forgets the topic if the document stands at that version, as a server process of that [era](served); `durable`
    /// goes into the answer. Every store does the same, as one atomic write.
    ///
    /// All positions stay, so that whatever is sent again counts as little as before. The version goes on, in an era of
    /// its own, so that viewers take the whole of what follows.
    pub fn forget(&mut self, at: Version, served_in: u64, durable: bool) -> ForgetOutcome {
        let now = served(self.version, served_in);
        let (is_elsewhere, was_forgotten) = (now != at, self.forgotten > 0);
        match (self.totals.is_empty(), was_forgotten) {
            _ if now.number == 0 => return ForgetOutcome::Unknown,
            (_, false) if is_elsewhere => return ForgetOutcome::Moved(now),
            (true, false) => return ForgetOutcome::Unknown,
            (true, true) => {
                let events = self.forgotten;
                return ForgetOutcome::Forgotten(Tombstone { version: now, events, was_gone: true, durable });
            }
            (false, _) if is_elsewhere => return ForgetOutcome::Moved(now),
            (false, _) => {}
        }
        self.totals.clear();
        self.streams.extend(undone(&self.streams));
        self.version = after_forgetting(now);
        self.forgotten = self.streams.values().fold(0, |sum, at| sum.saturating_add(at.events));
        let Self { version, forgotten: events, .. } = *self;
        ForgetOutcome::Forgotten(Tombstone { version, events, was_gone: false, durable })
    }

    /// The document as viewers get it from a server process of that [era](served).
    pub fn snapshot(&self, topic: &Topic, served_in: u64) -> Snapshot {
        let total = |((item, kind), total): (&(Item, Kind), &i64)| CounterTotal {
            item: item.clone(),
            kind: kind.clone(),
            total: *total,
        };
        Snapshot {
            topic: topic.clone(),
            version: served(self.version, served_in),
            totals: self.totals.iter().map(total).collect(),
        }
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
