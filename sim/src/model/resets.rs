//! The resets of a run, and their effect: events acked before one are gone, events that came after it stay.

use super::event::Event;
use countree_common::key::{Counter, Item, Kind, Topic};
use countree_common::time::Time;

/// A reset's number.
pub(crate) type ResetId = usize;

/// A reset, as its client saw it.
#[derive(Debug, Clone)]
pub(crate) struct Reset {
    /// The topic.
    pub(crate) topic: Topic,
    /// Only this item.
    pub(crate) item: Option<Item>,
    /// Only this kind.
    pub(crate) kind: Option<Kind>,
    asked: Time,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It may happen at any time, or may have happened.
    Open,
    /// It was done by then.
    Done(Time),
    /// It never was.
    Refused,
}

/// The effect of all resets on an acked event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResetEffect {
    /// None touched it.
    Counts,
    /// One took it away.
    Gone,
    /// One was under way when it came.
    Either,
}

/// Every reset.
#[derive(Debug, Default)]
pub(crate) struct Resets {
    resets: Vec<Reset>,
    /// The number of topics that were forgotten; for totals that is a reset of the whole topic.
    pub(crate) forgets: u64,
}

impl Resets {
    /// Notes that a client asks for one.
    pub(crate) fn ask(
        &mut self,
        topic: Topic,
        item: Option<Item>,
        kind: Option<Kind>,
        asked: Time,
    ) -> ResetId {
        self.resets.push(Reset { topic, item, kind, asked, outcome: Outcome::Open });
        self.resets.len() - 1
    }

    /// The reset of that number.
    pub(crate) fn get(&self, id: ResetId) -> Option<&Reset> {
        self.resets.get(id)
    }

    /// Notes that its client heard that it is done.
    pub(crate) fn done(&mut self, id: ResetId, now: Time) {
        self.resets[id].outcome = Outcome::Done(now);
    }

    /// Notes that its client heard that it was not and will not be done.
    pub(crate) fn refused(&mut self, id: ResetId) {
        self.resets[id].outcome = Outcome::Refused;
    }

    /// The number of resets that were done.
    pub(crate) fn count(&self) -> u64 {
        self.resets.iter().filter(|r| matches!(r.outcome, Outcome::Done(_))).count() as u64
    }

    /// Whether any may have touched a counter.
    pub(crate) fn cover(&self, counter: &Counter) -> bool {
        self.of(counter).next().is_some()
    }

    /// Whether there were any that may have touched something.
    pub(crate) fn is_empty(&self) -> bool {
        self.resets.iter().all(|r| r.outcome == Outcome::Refused)
    }

    fn of(&self, counter: &Counter) -> impl Iterator<Item = &Reset> {
        self.resets.iter().filter(move |r| {
            r.outcome != Outcome::Refused
                && r.topic == counter.topic
                && r.item.as_ref().is_none_or(|item| *item == counter.item)
                && r.kind.as_ref().is_none_or(|kind| *kind == counter.kind)
        })
    }

    /// The effect on an acked event. A reset that was asked for up to `undone_to` may have been undone since.
    pub(crate) fn effect(&self, event: &Event, undone_to: Option<Time>) -> ResetEffect {
        let mut effect = ResetEffect::Counts;
        for reset in self.of(&event.counter) {
            let is_after = matches!(reset.outcome, Outcome::Done(_)) && reset.asked >= event.answered_at;
            let is_before = matches!(reset.outcome, Outcome::Done(done) if done <= event.at);
            if is_after && undone_to.is_none_or(|to| reset.asked > to) {
                return ResetEffect::Gone;
            }
            if !is_before {
                effect = ResetEffect::Either;
            }
        }
        effect
    }
}
