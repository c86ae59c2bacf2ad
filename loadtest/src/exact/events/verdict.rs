//! Compares the totals with the acked events, event by event.

use crate::exact::events::catalogue::{CatalogueError, EventCatalogue, EventId};
use countree_common::key::Counter;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// Examples of each kind that are spelled out; the others are only counted.
const EXAMPLES: usize = 10;

/// Events whose fates are known together: one request, the events between two flushes, or all of a
/// producer that never waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::exact) struct Group {
    pub(in crate::exact) sender: u16,
    pub(in crate::exact) indices: Range<u32>,
    pub(in crate::exact) fate: Fate,
}

/// The outcomes of a group's events. Their sum is the size of the group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::exact) struct Fate {
    /// Counted, says the cluster.
    pub(in crate::exact) acked: u64,
    /// Not counted, says the cluster.
    pub(in crate::exact) rejected: u64,
    /// Counted once or not at all.
    pub(in crate::exact) in_doubt: u64,
}

/// The comparison of the totals with the groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(in crate::exact) struct Verdict {
    pub(in crate::exact) sent: u64,
    pub(in crate::exact) acked: u64,
    pub(in crate::exact) rejected: u64,
    pub(in crate::exact) in_doubt: u64,
    /// Events in doubt that were counted.
    pub(in crate::exact) in_doubt_counted: u64,
    /// Acked events that are not in the totals.
    pub(in crate::exact) lost: u64,
    /// Times that events are in the totals beyond their first.
    pub(in crate::exact) doubled: u64,
    /// Rejected events that are in the totals.
    pub(in crate::exact) rejected_counted: u64,
    /// Counters with something in them that no event makes.
    pub(in crate::exact) strange: u64,
    /// All that the totals hold, in events.
    pub(in crate::exact) counted: u64,
    /// Some of what is wrong, for people.
    pub(in crate::exact) examples: Vec<String>,
    /// Some of the acked events that are missing.
    #[serde(skip)]
    pub(in crate::exact) missing: Vec<String>,
}

impl Verdict {
    /// Compares the outcomes of all sent events with the totals of all topics.
    ///
    /// # Errors
    /// When a group holds an event that the catalogue has no name for.
    pub(in crate::exact) fn new(
        catalogue: &EventCatalogue,
        groups: &[Group],
        mut totals: BTreeMap<Counter, i64>,
    ) -> Result<Self, CatalogueError> {
        let mut verdict = Self::default();
        for group in groups {
            verdict.judge(catalogue, group, &mut totals)?;
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
        catalogue: &EventCatalogue,
        group: &Group,
        totals: &mut BTreeMap<Counter, i64>,
    ) -> Result<(), CatalogueError> {
        let Group { sender, fate, .. } = *group;
        let (mut present, mut missing) = (0u64, Vec::new());
        for index in group.indices.clone() {
            let event = catalogue.event(EventId { sender, index })?;
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
    pub(in crate::exact) fn is_exact(&self, may_be_missing: u64) -> bool {
        self.lost <= may_be_missing && self.doubled == 0 && self.rejected_counted == 0 && self.strange == 0
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
