//! What HTTP clients wish for: requests under a key, events under ids, both or neither; ids of other requests' events
//! again; now and then, by mistake, a key or an id for something else; resets, and topics to be forgotten.

use super::World;
use crate::flaws::Flaw;
use crate::model::ResetId;
use crate::model::{EventId, Told};
use countree_common::event::Event;
use countree_common::wire::rpc::{Idempotency, Submission};

/// New events in one request.
pub(super) const EVENTS_MAX: usize = 4;

/// What a request is about.
#[derive(Debug, Clone)]
pub(super) enum Wish {
    /// Count these.
    Count(Order),
    /// Set counters to 0.
    Reset(u128, ResetId),
    /// Forget a topic; the leaf that owns this key is asked.
    Forget(u128, ResetId),
}

/// Events to be counted.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// The request's `Idempotency-Key`.
    pub(super) key: Option<u128>,
    /// Each with its id; 0 for one without.
    pub(super) events: Vec<(EventId, u128)>,
    /// A key or an id of it stands for something else already: it has to be refused.
    pub(super) is_mistake: bool,
    /// It brings events of other requests, too.
    pub(super) has_others: bool,
}

/// What clients have sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Events with their ids.
    ids: Vec<(EventId, u128)>,
    /// Keys of requests that are counted.
    pub(super) keys: Vec<u128>,
}

impl Order {
    pub(super) fn ids(&self) -> Vec<EventId> {
        self.events.iter().map(|(event, _)| *event).collect()
    }

    /// Whether a repeat is harmless.
    pub(super) fn is_repeatable(&self) -> bool {
        self.key.is_some() || self.events.iter().all(|(_, id)| *id != 0)
    }

    /// The key whose owner is asked.
    pub(super) fn first_key(&self) -> Option<u128> {
        self.key.or_else(|| self.events.iter().map(|(_, id)| *id).find(|id| *id != 0))
    }

    fn content(&self) -> u128 {
        self.events.iter().fold(1, |content: u128, (event, id)| {
            content.wrapping_mul(0x1_0000_01b3).wrapping_add(*event as u128 + 1).wrapping_add(*id)
        })
    }
}

impl World {
    /// What a leaf is sent.
    pub(super) fn submission(&self, order: &Order) -> Submission {
        let event = |id: EventId| {
            let event = &self.truth.events[id];
            Event { counter: event.counter.clone(), delta: event.delta }
        };
        let request = order.key.map(|key| (key, order.content()));
        let ids: Vec<_> = order.events.iter().map(|(_, id)| *id).collect();
        let idempotency = match order.first_key() {
            None => Idempotency::None,
            Some(_) => Idempotency::Keyed { request, ids },
        };
        Submission { events: order.ids().into_iter().map(event).collect(), idempotency }
    }

    /// The next thing that a client wishes for.
    pub(super) fn wish(&mut self, i: usize) -> Wish {
        match self.wish_for_reset(i) {
            Some(reset) => reset,
            None => Wish::Count(self.order(i)),
        }
    }

    fn wish_for_reset(&mut self, i: usize) -> Option<Wish> {
        if !self.plan.workload.has_resets || !self.random.chance(15) {
            return None;
        }
        let topics = self.truth.topics();
        let counter = self.random.pick(&self.truth.events).map(|event| event.counter.clone())?;
        let topic = self.random.pick(&topics).cloned()?;
        let item = self.random.chance(50).then_some(counter.item);
        let kind = self.random.chance(30).then_some(counter.kind);
        let (is_whole, key) = (item.is_none() && kind.is_none(), self.clients[i].key());
        let id = self.truth.resets.ask(topic, item, kind, self.agenda.now());
        // Of those that are about a whole topic, half are to forget it; but that would take away what wrong resets leave.
        let resets_only = self.plan.flaw == Some(Flaw::ResetOfAnyVersion);
        let is_forget = is_whole && !resets_only && (key >> 64).is_multiple_of(2);
        Some(if is_forget { Wish::Forget(key, id) } else { Wish::Reset(key, id) })
    }

    fn order(&mut self, i: usize) -> Order {
        let (now, dice) = (self.agenda.now(), self.random.below(100));
        let count = self.random.between(1, EVENTS_MAX as u64);
        let events: Vec<EventId> =
            (0..count).filter_map(|_| self.truth.next_event(&mut self.random, now)).collect();
        let (has_key, has_ids) = (dice < 40 || (65..80).contains(&dice), (40..85).contains(&dice));
        let key = has_key.then(|| self.clients[i].key());
        let events =
            events.into_iter().map(|id| (id, if has_ids { self.clients[i].key() } else { 0 })).collect();
        let mut order = Order { key, events, is_mistake: false, has_others: false };
        // Where keys are forgotten soon, a repeat counts again.
        if self.plan.workload.repeats {
            self.bring_others(&mut order, has_ids);
            self.mistake(&mut order);
        }
        if !order.is_mistake {
            self.sent.ids.extend(order.events.iter().filter(|(_, id)| *id != 0));
        }
        order
    }

    /// Brings events of other requests under their ids, before the new ones or after them.
    fn bring_others(&mut self, order: &mut Order, has_ids: bool) {
        if !has_ids || !self.random.chance(35) {
            return;
        }
        for _ in 0..self.random.between(1, 2) {
            let Some(other) = self.random.pick(&self.sent.ids).copied() else { return };
            let event = &mut self.truth.events[other.0];
            if event.told == Told::Rejected || order.events.contains(&other) {
                continue;
            }
            event.is_shared = true;
            order.has_others = true;
            let place = if self.random.chance(50) { 0 } else { order.events.len() };
            order.events.insert(place, other);
        }
    }

    /// Takes a key or an id that stands for something else.
    fn mistake(&mut self, order: &mut Order) {
        if order.has_others || !self.random.chance(8) {
            return;
        }
        if order.key.is_some() {
            if let Some(key) = self.random.pick(&self.sent.keys).copied() {
                (order.key, order.is_mistake) = (Some(key), true);
            }
        } else if let Some((event, id)) = self.random.pick(&self.sent.ids).copied()
            && let Some(last) = order.events.last_mut().filter(|(_, id)| *id != 0)
        {
            let topic = |event: EventId| &self.truth.events[event].counter.topic;
            // In another topic it would be another id.
            if topic(event) == topic(last.0) && self.truth.events[event].told == Told::Acked {
                (last.1, order.is_mistake) = (id, true);
            }
        }
    }
}
