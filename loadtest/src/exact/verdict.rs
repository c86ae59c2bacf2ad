//! Whether the totals are what was acked, event by event.

use super::book::{Book, BookError, EventId};
use countree_common::key::Counter;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// Examples of each kind that are spelled out; the others are only counted.
const EXAMPLES: usize = 10;

/// Events whose fates are known together: one request, the events between two flushes, or all of a
/// producer that never waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) sender: u16,
    pub(super) indices: Range<u32>,
    pub(super) fate: Fate,
}

/// How many events of a group were acked, and so on. The sum is the size of the group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// Counted, says the cluster.
    pub(super) acked: u64,
    /// Not counted, says the cluster.
    pub(super) rejected: u64,
    /// Counted once or not at all.
    pub(super) in_doubt: u64,
}

/// What the totals say of the groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    pub(super) sent: u64,
    pub(super) acked: u64,
    pub(super) rejected: u64,
    pub(super) in_doubt: u64,
    /// Events in doubt that were counted.
    pub(super) in_doubt_counted: u64,
    /// Acked events that are not in the totals.
    pub(super) lost: u64,
    /// Times that events are in the totals beyond their first.
    pub(super) doubled: u64,
    /// Rejected events that are in the totals.
    pub(super) rejected_counted: u64,
    /// Counters with something in them that no event makes.
    pub(super) strange: u64,
    /// All that the totals hold, in events.
    pub(super) counted: u64,
    /// Some of what is wrong, for people.
    pub(super) examples: Vec<String>,
    /// Some of the acked events that are missing.
    #[serde(skip)]
    pub(super) missing: Vec<String>,
}

impl Verdict {
    /// Compares what became of all events that were sent with the totals of all topics.
    ///
    /// # Errors
    /// When a group holds an event that the book has no name for.
    pub(super) fn new(
        book: &Book,
        groups: &[Group],
        mut totals: BTreeMap<Counter, i64>,
    ) -> Result<Self, BookError> {
        let mut verdict = Self::default();
        for group in groups {
            verdict.judge(book, group, &mut totals)?;
        }
        let left: Vec<_> = totals.iter().filter(|(_, rest)| **rest != 0).collect();
        verdict.strange = left.len() as u64;
        for (Counter { topic, item, .. }, rest) in left.iter().take(EXAMPLES) {
            verdict.examples.push(format!("{topic} {item} has {rest} that nothing makes"));
        }
        Ok(verdict)
    }

    fn judge(
        &mut self,
        book: &Book,
        group: &Group,
        totals: &mut BTreeMap<Counter, i64>,
    ) -> Result<(), BookError> {
        let Group { sender, fate, .. } = *group;
        let (mut present, mut missing) = (0u64, Vec::new());
        for index in group.indices.clone() {
            let event = book.event(EventId { sender, index })?;
            let times = event.take_out(totals);
            self.counted += times;
            if times == 0 {
                missing.push(event);
                continue;
            }
            present += 1;
            if times > 1 {
                self.doubled += times - 1;
                let Counter { topic, item, .. } = &event.counter;
                self.example(format!("event {sender}/{index} is {times} times in {topic} {item}"));
            }
        }
        self.sent += group.indices.len() as u64;
        self.acked += fate.acked;
        self.rejected += fate.rejected;
        self.in_doubt += fate.in_doubt;
        // In a group of mixed fates it is not known which are which: the numbers have to agree.
        let beyond = present.saturating_sub(fate.acked);
        self.in_doubt_counted += beyond.min(fate.in_doubt);
        self.rejected_counted += beyond.saturating_sub(fate.in_doubt);
        let lost = fate.acked.saturating_sub(present);
        self.lost += lost;
        if lost > 0 {
            let room = EXAMPLES.saturating_sub(self.missing.len());
            self.missing.extend(missing.iter().take(room).map(|event| {
                let Counter { topic, item, .. } = &event.counter;
                format!("{} of sender {sender} is missing in {topic} {item}", event.delta.get())
            }));
        }
        Ok(())
    }

    fn example(&mut self, text: String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(text);
        }
    }

    /// Whether every event is in the totals as often as it has to be; that many acked ones may be missing.
    pub(super) fn is_exact(&self, may_be_missing: u64) -> bool {
        self.lost <= may_be_missing && self.doubled == 0 && self.rejected_counted == 0 && self.strange == 0
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
