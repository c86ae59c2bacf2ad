//! HTTP clients: requests with keys, with ids and with neither, and resets. What can be repeated is, for as
//! long as nobody has answered, and now and then even after that.

use super::World;
use super::questions::Purpose;
use crate::happening::Happening;
use crate::place::Place;
use crate::plan::Plan;
use crate::promise::Promise;
use crate::resets::ResetId;
use crate::truth::{EventId, Told};
use countree_common::cluster::{ClusterView, Tier};
use countree_common::event::Event;
use countree_common::ring::Ring;
use countree_common::time::Time;
use countree_common::wire::rpc::{Idempotency, Reply, Request, Reset, Submission, SubmitError};
use std::time::Duration;

/// Events in one request.
pub(super) const EVENTS_MAX: usize = 4;

/// An HTTP client: one request at a time.
#[derive(Debug)]
pub(super) struct HttpClient {
    /// Requests that are still to come.
    to_submit: usize,
    next_key: u128,
    current: Option<Pending>,
    view: ClusterView,
    /// The leaves that remember keys.
    owners: Ring,
}

/// What a request is about.
#[derive(Debug, Clone)]
enum Wish {
    /// Count these, under one `Idempotency-Key`.
    Keyed(u128, Vec<EventId>),
    /// Count these, each under an id of its own.
    Ids(Vec<(EventId, u128)>),
    /// Count these; nothing guards against a repeat.
    Plain(Vec<EventId>),
    /// Set counters to 0.
    Reset(u128, ResetId),
}

/// A request that is not settled.
#[derive(Debug)]
struct Pending {
    wish: Wish,
    began: Time,
    /// An attempt ended without an answer.
    is_in_doubt: bool,
    /// It was answered, and is repeated as if the client had not heard.
    is_echo: bool,
    /// The events of the attempt under way.
    sent: Vec<EventId>,
}

impl HttpClient {
    pub(super) fn new(number: usize, plan: &Plan) -> Self {
        let next_key = (number as u128 + 1) << 64 | 1;
        Self {
            to_submit: plan.requests,
            next_key,
            current: None,
            view: ClusterView::default(),
            owners: Ring::new([]),
        }
    }

    /// Whether all its requests are settled.
    pub(super) fn is_done(&self) -> bool {
        self.to_submit == 0 && self.current.is_none()
    }

    fn key(&mut self) -> u128 {
        self.next_key += 1;
        // Spread, as hashes are.
        self.next_key.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }
}

impl World {
    pub(super) fn client_sees(&mut self, i: usize, view: ClusterView) {
        let client = &mut self.clients[i];
        if view.keys.owners != client.view.keys.owners {
            client.owners = Ring::new(view.keys.owners.iter().cloned());
        }
        client.view = view;
    }

    /// The client sends what it has to send.
    pub(super) fn submit(&mut self, i: usize) {
        let now = self.agenda.now();
        if self.clients[i].current.is_none() {
            if self.clients[i].to_submit == 0 {
                return;
            }
            self.clients[i].to_submit -= 1;
            let wish = self.wish(i);
            let pending = Pending { wish, began: now, is_in_doubt: false, is_echo: false, sent: Vec::new() };
            self.clients[i].current = Some(pending);
        }
        let Some(wish) = self.clients[i].current.as_ref().map(|p| p.wish.clone()) else { return };
        let Some((owner, request, sent)) = self.request(i, &wish) else { return self.submit_again(i) };
        if let Some(pending) = &mut self.clients[i].current {
            pending.sent = sent;
        }
        self.ask(Place::Client(i), owner, request, Purpose::Client);
    }

    fn submit_again(&mut self, i: usize) {
        let wait = self.random.millis(20, 600);
        self.agenda.after(wait, Happening::Submit { client: i });
    }

    fn wish(&mut self, i: usize) -> Wish {
        let (now, dice) = (self.agenda.now(), self.random.below(100));
        if dice < 15 && self.plan.has_resets {
            let topics = self.truth.topics();
            let event = self.random.pick(&self.truth.events).map(|event| event.counter.clone());
            if let (Some(topic), Some(counter)) = (self.random.pick(&topics).cloned(), event) {
                let item = self.random.chance(50).then_some(counter.item);
                let kind = self.random.chance(30).then_some(counter.kind);
                let id = self.truth.resets.ask(topic, item, kind, now);
                return Wish::Reset(self.clients[i].key(), id);
            }
        }
        let count = self.random.between(1, EVENTS_MAX as u64);
        let events: Vec<EventId> =
            (0..count).filter_map(|_| self.truth.next_event(&mut self.random, now)).collect();
        match dice {
            0..60 => Wish::Keyed(self.clients[i].key(), events),
            60..85 => Wish::Ids(events.into_iter().map(|id| (id, self.clients[i].key())).collect()),
            _ => Wish::Plain(events),
        }
    }

    /// Whom to ask, and what; with the events that it is about. `None` while no leaf is known.
    fn request(&mut self, i: usize, wish: &Wish) -> Option<(Place, Request, Vec<EventId>)> {
        let submit = |world: &Self, ids: &[EventId], idempotency| {
            let event = |id: &EventId| {
                let event = &world.truth.events[*id];
                Event { counter: event.counter.clone(), delta: event.delta }
            };
            Request::Submit(Submission { events: ids.iter().map(event).collect(), idempotency })
        };
        match wish {
            Wish::Keyed(key, ids) => {
                let idempotency = Idempotency::Request { key: *key, content: *key };
                Some((self.key_owner(i, *key)?, submit(self, ids, idempotency), ids.clone()))
            }
            Wish::Ids(ids) => {
                // Each goes to the leaf that remembers its id: one leaf at a time, with what is open there.
                let is_echo = self.clients[i].current.as_ref().is_some_and(|p| p.is_echo);
                let is_open = |id: &EventId| is_echo || self.truth.events[*id].told == Told::Nothing;
                let first = ids.iter().find(|(id, _)| is_open(id))?;
                let owner = self.key_owner(i, first.1)?;
                let is_there = |key: u128| self.key_owner(i, key) == Some(owner);
                let there = ids.iter().filter(|(id, key)| is_open(id) && is_there(*key)).copied();
                let (ids, keys): (Vec<_>, Vec<_>) = there.unzip();
                Some((owner, submit(self, &ids, Idempotency::Events(keys)), ids))
            }
            Wish::Plain(ids) => {
                let leaves: Vec<Place> =
                    self.clients[i].view.tier(Tier::Leaf).filter_map(|leaf| Place::of(&leaf.name)).collect();
                let leaf = self.random.pick(&leaves).copied()?;
                Some((leaf, submit(self, ids, Idempotency::None), ids.clone()))
            }
            Wish::Reset(key, id) => {
                let reset = self.truth.resets.get(*id)?;
                let (topic, item, kind) = (reset.topic.clone(), reset.item.clone(), reset.kind.clone());
                let owner = self.key_owner(i, *key)?;
                Some((owner, Request::Reset(Reset { key: *key, topic, item, kind }), Vec::new()))
            }
        }
    }

    /// The leaf that remembers a key, by the view at hand.
    fn key_owner(&self, i: usize, key: u128) -> Option<Place> {
        let client = &self.clients[i];
        let owner = client.owners.key_owner(key).filter(|owner| client.view.node(owner).is_some())?;
        Place::of(owner)
    }

    /// A leaf has answered, or none has.
    pub(super) fn client_hears(&mut self, i: usize, reply: Option<Reply>) {
        let result = match reply {
            Some(Reply::Submitted(result)) => result,
            None => Err(SubmitError::InDoubt),
            Some(other) => {
                return self.violate(Promise::Orderly, format!("client-{i} was told {other:?}"));
            }
        };
        match result {
            Ok(()) => self.client_succeeds(i),
            Err(SubmitError::Refused(e)) => {
                self.violate(Promise::Told, format!("client-{i} kept to the rules and was refused: {e}"));
            }
            Err(SubmitError::InDoubt) => self.client_fails(i, true),
            Err(_) => self.client_fails(i, false),
        }
    }

    fn client_succeeds(&mut self, i: usize) {
        let Some(pending) = &mut self.clients[i].current else { return };
        let (sent, wish) = (std::mem::take(&mut pending.sent), pending.wish.clone());
        if let Wish::Reset(_, id) = wish
            && !pending.is_echo
        {
            self.truth.resets.done(id, self.agenda.now());
        }
        self.tell(&sent, Told::Acked);
        let is_whole = match &wish {
            Wish::Ids(ids) => ids.iter().all(|(id, _)| self.truth.events[*id].told == Told::Acked),
            _ => true,
        };
        let Some(pending) = &mut self.clients[i].current else { return };
        let can_echo = !pending.is_echo && self.plan.repeats && !matches!(wish, Wish::Plain(_));
        if !is_whole {
            self.submit_again(i);
        } else if can_echo && self.random.chance(25) {
            pending.is_echo = true;
            // Some repeat when leaves have come and gone.
            let wait = self.random.millis(20, 6_000);
            self.agenda.after(wait, Happening::Submit { client: i });
        } else {
            self.settle(i);
        }
    }

    fn client_fails(&mut self, i: usize, is_in_doubt: bool) {
        let now = self.agenda.now();
        let Some(pending) = &mut self.clients[i].current else { return };
        pending.is_in_doubt |= is_in_doubt;
        let is_over = now.since(pending.began) > self.plan.rules.give_up;
        let may_repeat = self.plan.repeats && !matches!(pending.wish, Wish::Plain(_));
        if may_repeat && !is_over {
            return self.submit_again(i);
        }
        let (was_in_doubt, is_echo) = (pending.is_in_doubt, pending.is_echo);
        let open: Vec<EventId> = match &pending.wish {
            Wish::Keyed(_, ids) | Wish::Plain(ids) => ids.clone(),
            Wish::Ids(ids) => ids.iter().map(|(id, _)| *id).collect(),
            Wish::Reset(_, id) => {
                if !was_in_doubt && !is_echo {
                    self.truth.resets.refused(*id);
                }
                Vec::new()
            }
        };
        self.tell(&open, if was_in_doubt { Told::InDoubt } else { Told::Rejected });
        self.settle(i);
    }

    /// What was told before stays as it is: echoes and parts come again.
    fn tell(&mut self, events: &[EventId], told: Told) {
        let now = self.agenda.now();
        for id in events {
            if self.truth.events[*id].told == Told::Nothing
                && let Err(e) = self.truth.tell(*id, told, now)
            {
                self.violate(Promise::Told, e);
            }
        }
    }

    fn settle(&mut self, i: usize) {
        self.clients[i].current = None;
        let mean = self.plan.chaos / (self.plan.requests as u32 + 1);
        let wait = self.random.micros(1_000, 2 * mean.as_micros() as u64);
        self.agenda.after(wait.max(Duration::from_millis(1)), Happening::Submit { client: i });
    }
}
