//! Compares totals with the reference model: no event is lost, none is counted twice.

use super::event::{Event, EventId, EventStatus};
use super::event_encoding::digits;
use super::reference::{Column, ReferenceModel};
use super::resets::ResetEffect;
use countree_common::document::CounterTotal;
use countree_common::key::{Counter, Topic};
use std::collections::BTreeMap;

impl ReferenceModel {
    /// The effect of all resets on an acked event. A reset that was logged before a loss may be undone with it.
    fn reset_effect(&self, event: &Event) -> ResetEffect {
        self.resets.effect(event, self.losses.last_at())
    }

    /// The acked events that were lost with a folder, or with what the store held.
    pub(crate) fn lost(&self, totals: &BTreeMap<Counter, i64>) -> usize {
        let is_lost = |(id, event): &(EventId, &Event)| {
            let total = totals.get(&event.counter).copied().unwrap_or_default();
            event.status == EventStatus::Acked
                && self.reset_effect(event) == ResetEffect::Counts
                && self.losses.may_include(event)
                && !self.holds(*id, total)
        };
        self.events.iter().enumerate().filter(is_lost).count()
    }

    /// Whether an event is in a total of its counter.
    pub(crate) fn holds(&self, id: EventId, total: i64) -> bool {
        let times = self.times(&self.events[id].counter, total).unwrap_or_default();
        times.into_iter().any(|(of, times)| of == id && times > 0)
    }

    /// Counts how often each event of a counter is in a total of it.
    ///
    /// # Errors
    /// When no events add up to it.
    pub(crate) fn times(&self, counter: &Counter, total: i64) -> Result<Vec<(EventId, i64)>, String> {
        let column = self.by_counter.get(counter).and_then(|at| self.columns.get(*at));
        let events = column.map(|column| column.events.as_slice()).unwrap_or_default();
        let digits = digits(total).filter(|digits| digits.iter().skip(events.len()).all(|times| *times == 0));
        let digits =
            digits.ok_or_else(|| format!("the total {total} of {counter:?} is no sum of its events"))?;
        let times = |(id, digit): (&EventId, i64)| (*id, digit * self.events[*id].delta.get().signum());
        Ok(events.iter().zip(digits).map(times).collect())
    }

    /// Checks that no event is in a total twice, which must hold at any time.
    ///
    /// # Errors
    /// The event that is.
    pub(crate) fn check_once(&self, counter: &Counter, total: i64) -> Result<(), String> {
        // A store that fell back may be sent a reset again before what it took away.
        let least = if self.resets.cover(counter) { -1 } else { 0 };
        let times = self.times(counter, total)?;
        match times.into_iter().find(|(_, times)| !(least..=1).contains(times)) {
            Some((id, times)) => Err(self.describe(id, times)),
            None => Ok(()),
        }
    }

    /// Compares the totals with the answers that clients got. A reset may have missed events of topics that `forgot`
    /// names.
    ///
    /// # Errors
    /// The first event that is lost or doubled, or a total that no events add up to.
    pub(crate) fn check(
        &self,
        totals: &BTreeMap<Counter, i64>,
        forgot: impl Fn(&Topic) -> bool,
    ) -> Result<(), String> {
        for Column { counter, .. } in &self.columns {
            let total = totals.get(counter).copied().unwrap_or_default();
            for (id, times) in self.times(counter, total)? {
                let event = &self.events[id];
                let is_forgotten = forgot(&counter.topic);
                // With its log and the store's last writes an event is gone, and the reset that took it away may stay.
                let is_taken_away =
                    is_forgotten && self.losses.may_include(event) && self.resets.cover(counter);
                let is_right = match (event.status, self.reset_effect(event)) {
                    (EventStatus::Acked | EventStatus::InDoubt | EventStatus::Abandoned, _)
                        if is_taken_away =>
                    {
                        (-1..=1).contains(&times)
                    }
                    (EventStatus::Acked, ResetEffect::Counts) if self.losses.may_include(event) => {
                        (0..=1).contains(&times)
                    }
                    (EventStatus::Acked, ResetEffect::Counts) => times == 1,
                    (EventStatus::Acked, ResetEffect::Gone) if !is_forgotten => times == 0,
                    (EventStatus::Acked | EventStatus::InDoubt | EventStatus::Abandoned, _) => {
                        (0..=1).contains(&times)
                    }
                    (EventStatus::Pending | EventStatus::Rejected, _) => times == 0,
                };
                if !is_right {
                    return Err(self.describe(id, times));
                }
            }
        }
        match totals.keys().find(|counter| !self.by_counter.contains_key(counter)) {
            Some(counter) => Err(format!("{counter:?} was never counted")),
            None => Ok(()),
        }
    }

    fn describe(&self, id: EventId, times: i64) -> String {
        let event = &self.events[id];
        let (Counter { topic, item, kind }, delta) = (&event.counter, event.delta.get());
        let (status, effect) = (event.status, self.reset_effect(event));
        format!(
            "event {id} ({topic} {item} {kind} {delta:+}, {effect:?}) was {status:?} and is counted {times} times"
        )
    }

    /// The number of events in these totals, each as often as it is counted.
    pub(crate) fn counted(&self, totals: &BTreeMap<Counter, i64>) -> u64 {
        let times = |(counter, total): (&Counter, &i64)| self.times(counter, *total).unwrap_or_default();
        totals.iter().flat_map(times).map(|(_, times)| times as u64).sum()
    }
}

/// Totals of a topic by counter.
pub(crate) fn by_counter<'a>(
    topic: &'a Topic,
    totals: impl IntoIterator<Item = CounterTotal> + 'a,
) -> impl Iterator<Item = (Counter, i64)> + 'a {
    let counter = |t: CounterTotal| (Counter { topic: topic.clone(), item: t.item, kind: t.kind }, t.total);
    totals.into_iter().map(counter)
}
