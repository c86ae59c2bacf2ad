//! Draws the requests of HTTP clients: requests under a key, events under ids, both or neither; ids of other requests'
//! events again; now and then, by mistake, a key or an id for something else; resets, and topics to be forgotten.

use super::World;
use crate::flaws::Flaw;
use crate::model::ResetId;
use crate::model::{EventId, EventStatus};
use countree_common::event::Event;
use countree_common::wire::rpc::{Idempotency, Submission};

/// New events in one request.
pub(super) const EVENTS_MAX: usize = 4;

/// A request of an HTTP client.
#[derive(Debug, Clone)]
pub(super) enum ClientRequest {
    /// Count these.
    Count(CountRequest),
    /// Set counters to 0.
    Reset(u128, ResetId),
    /// Forget a topic; the leaf that owns this key is asked.
    Forget(u128, ResetId),
}

/// Events to be counted.
#[derive(Debug, Clone)]
pub(super) struct CountRequest {
    /// The request's `Idempotency-Key`.
    pub(super) key: Option<u128>,
    /// Each with its id; 0 for one without.
    pub(super) events: Vec<(EventId, u128)>,
    /// A key or an id of it stands for something else already: the request has to be refused.
    pub(super) is_mistake: bool,
    /// It brings events of other requests, too.
    pub(super) has_others: bool,
}

/// The events and keys that clients have sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Events with their ids.
    ids: Vec<(EventId, u128)>,
    /// Keys of requests that are counted.
    pub(super) keys: Vec<u128>,
}

impl CountRequest {
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
    /// The submission for a leaf.
    pub(super) fn submission(&self, to_count: &CountRequest) -> Submission {
        let event = |id: EventId| {
            let event = &self.model.events[id];
            Event { counter: event.counter.clone(), delta: event.delta }
        };
        let request = to_count.key.map(|key| (key, to_count.content()));
        let ids: Vec<_> = to_count.events.iter().map(|(_, id)| *id).collect();
        let idempotency = match to_count.first_key() {
            None => Idempotency::None,
            Some(_) => Idempotency::Keyed { request, ids },
        };
        Submission { events: to_count.ids().into_iter().map(event).collect(), idempotency }
    }

    /// Draws the next request of a client.
    pub(super) fn next_request(&mut self, i: usize) -> ClientRequest {
        match self.maybe_reset(i) {
            Some(reset) => reset,
            None => ClientRequest::Count(self.next_count(i)),
        }
    }

    fn maybe_reset(&mut self, i: usize) -> Option<ClientRequest> {
        if !self.plan.workload.has_resets || !self.random.chance(15) {
            return None;
        }
        let topics = self.model.topics();
        let counter = self.random.pick(&self.model.events).map(|event| event.counter.clone())?;
        let topic = self.random.pick(&topics).cloned()?;
        let item = self.random.chance(50).then_some(counter.item);
        let kind = self.random.chance(30).then_some(counter.kind);
        let (is_whole, key) = (item.is_none() && kind.is_none(), self.clients.http[i].key());
        let id = self.model.resets.ask(topic, item, kind, self.queue.now());
        // Of those that are about a whole topic, half are to forget it; but that would take away what wrong resets
        // leave.
        let resets_only = self.plan.flaw == Some(Flaw::ResetOfAnyVersion);
        let is_forget = is_whole && !resets_only && (key >> 64).is_multiple_of(2);
        Some(if is_forget { ClientRequest::Forget(key, id) } else { ClientRequest::Reset(key, id) })
    }

    fn next_count(&mut self, i: usize) -> CountRequest {
        let (now, dice) = (self.queue.now(), self.random.below(100));
        let count = self.random.between(1, EVENTS_MAX as u64);
        let events: Vec<EventId> =
            (0..count).filter_map(|_| self.model.next_event(&mut self.random, now)).collect();
        let (has_key, has_ids) = (dice < 40 || (65..80).contains(&dice), (40..85).contains(&dice));
        let key = has_key.then(|| self.clients.http[i].key());
        let events =
            events.into_iter().map(|id| (id, if has_ids { self.clients.http[i].key() } else { 0 })).collect();
        let mut to_count = CountRequest { key, events, is_mistake: false, has_others: false };
        // Where keys are forgotten soon, a repeat counts again.
        if self.plan.workload.repeats {
            self.bring_others(&mut to_count, has_ids);
            self.mistake(&mut to_count);
        }
        if !to_count.is_mistake {
            self.clients.sent.ids.extend(to_count.events.iter().filter(|(_, id)| *id != 0));
        }
        to_count
    }

    /// Brings events of other requests under their ids, before the new ones or after them.
    fn bring_others(&mut self, to_count: &mut CountRequest, has_ids: bool) {
        if !has_ids || !self.random.chance(35) {
            return;
        }
        for _ in 0..self.random.between(1, 2) {
            let Some(other) = self.random.pick(&self.clients.sent.ids).copied() else { return };
            let event = &mut self.model.events[other.0];
            if event.status == EventStatus::Rejected || to_count.events.contains(&other) {
                continue;
            }
            event.is_shared = true;
            to_count.has_others = true;
            let at = if self.random.chance(50) { 0 } else { to_count.events.len() };
            to_count.events.insert(at, other);
        }
    }

    /// Replaces a key or an id by one that stands for something else.
    fn mistake(&mut self, to_count: &mut CountRequest) {
        if to_count.has_others || !self.random.chance(8) {
            return;
        }
        if to_count.key.is_some() {
            if let Some(key) = self.random.pick(&self.clients.sent.keys).copied() {
                (to_count.key, to_count.is_mistake) = (Some(key), true);
            }
        } else if let Some((event, id)) = self.random.pick(&self.clients.sent.ids).copied()
            && let Some(last) = to_count.events.last_mut().filter(|(_, id)| *id != 0)
        {
            let topic = |event: EventId| &self.model.events[event].counter.topic;
            // In another topic it would be another id.
            if topic(event) == topic(last.0) && self.model.events[event].status == EventStatus::Acked {
                (last.1, to_count.is_mistake) = (id, true);
            }
        }
    }
}
