//! HTTP clients: what can be repeated is, for as long as nobody has answered, and now and then even after that.

use super::World;
use super::questions::Purpose;
use super::requests::Wish;
use crate::faults::Fault;
use crate::host::Place;
use crate::model::Promise;
use crate::model::{EventId, Told};
use crate::plan::Plan;
use crate::world::event::Happening;
use countree_common::cluster::{ClusterView, Tier};
use countree_common::ring::Ring;
use countree_common::time::Time;
use countree_common::wire::producer::{EventError, EventErrorCode};
use countree_common::wire::rpc::{Counted, Reply, Request, Reset, SubmitError};
use countree_leaf::machine::idempotency::verdict::{Heard, Verdict};
use std::time::Duration;

/// How long a client repeats what a leaf that has lost its folder may know.
const BEREFT: Duration = Duration::from_secs(30);

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

/// A request that is not settled.
#[derive(Debug)]
struct Pending {
    wish: Wish,
    began: Time,
    tries: u64,
    verdict: Verdict,
    /// It was answered, and is repeated as if the client had not heard.
    is_echo: bool,
}

impl HttpClient {
    pub(super) fn new(number: usize, plan: &Plan) -> Self {
        let next_key = (number as u128 + 1) << 64 | 1;
        Self {
            to_submit: plan.workload.requests,
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

    pub(super) fn key(&mut self) -> u128 {
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
            let verdict = Verdict::default();
            self.clients[i].current = Some(Pending { wish, began: now, tries: 0, verdict, is_echo: false });
        }
        let Some(wish) = self.clients[i].current.as_ref().map(|p| p.wish.clone()) else { return };
        let Some((owner, request)) = self.request(i, &wish) else { return self.submit_again(i) };
        if let Some(pending) = &mut self.clients[i].current {
            pending.tries += 1;
        }
        self.ask(Place::Client(i), owner, request, Purpose::Client);
    }

    fn submit_again(&mut self, i: usize) {
        let wait = self.random.millis(20, 600);
        self.agenda.after(wait, Happening::Submit { client: i });
    }

    /// Whom to ask, and what. `None` while no leaf is known.
    fn request(&mut self, i: usize, wish: &Wish) -> Option<(Place, Request)> {
        match wish {
            Wish::Count(order) => {
                let leaf = match order.first_key() {
                    Some(key) => self.key_owner(i, key)?,
                    None => self.some_leaf(i)?,
                };
                Some((leaf, Request::Count(self.submission(order))))
            }
            Wish::Reset(key, id) => {
                let reset = self.truth.resets.get(*id)?;
                let (topic, item, kind) = (reset.topic.clone(), reset.item.clone(), reset.kind.clone());
                let owner = self.key_owner(i, *key)?;
                Some((owner, Request::Reset(Reset { key: *key, topic, item, kind })))
            }
            Wish::Forget(key, id) => {
                let topic = self.truth.resets.get(*id)?.topic.clone();
                Some((self.key_owner(i, *key)?, Request::ForgetTopic(topic)))
            }
        }
    }

    /// The leaf that remembers a key, by the view at hand.
    fn key_owner(&self, i: usize, key: u128) -> Option<Place> {
        let client = &self.clients[i];
        let owner = client.owners.key_owner(key).filter(|owner| client.view.node(owner).is_some())?;
        Place::of(owner)
    }

    fn some_leaf(&mut self, i: usize) -> Option<Place> {
        let leaves: Vec<Place> =
            self.clients[i].view.tier(Tier::Leaf).filter_map(|leaf| Place::of(&leaf.name)).collect();
        self.random.pick(&leaves).copied()
    }

    /// A leaf has answered, or none has.
    pub(super) fn client_hears(&mut self, i: usize, reply: Option<Reply>) {
        let heard = match reply {
            Some(Reply::Counted(result)) => Heard::Answer(result),
            Some(Reply::Submitted(result)) => Heard::Answer(result.map(|()| Counted::default())),
            Some(Reply::TopicForgotten(result)) => Heard::Answer(result.map(|_| Counted::default())),
            None => Heard::Silence,
            Some(other) => {
                return self.violate(Promise::Orderly, format!("client-{i} was told {other:?}"));
            }
        };
        let Some(pending) = &mut self.clients[i].current else { return };
        match pending.verdict.hear(heard) {
            Ok(counted) => self.client_succeeds(i, counted),
            Err(SubmitError::Refused(e)) => self.client_is_refused(i, &e),
            Err(e) => self.client_fails(i, &e),
        }
    }

    fn client_succeeds(&mut self, i: usize, counted: Counted) {
        let now = self.agenda.now();
        let Some(Pending { wish, is_echo, tries, .. }) = &self.clients[i].current else { return };
        let (wish, is_echo, is_first) = (wish.clone(), *is_echo, *tries == 1);
        let mut can_echo = !is_echo && self.plan.workload.repeats;
        match &wish {
            Wish::Reset(_, id) if !is_echo => self.truth.resets.done(*id, now),
            Wish::Reset(..) => {}
            // Once more would be another one.
            Wish::Forget(_, id) => {
                self.truth.resets.done(*id, now);
                self.truth.resets.forgets += 1;
                can_echo = false;
            }
            Wish::Count(order) => {
                if order.is_mistake {
                    let what =
                        format!("client-{i} used a key for something else, and it was taken: {order:?}");
                    return self.violate(Promise::Told, what);
                }
                let is_shared = order.events.iter().any(|(event, _)| self.truth.events[*event].is_shared);
                let may_be_replay = is_echo || is_shared || !is_first;
                let is_right = if counted.is_replay { may_be_replay } else { !is_echo };
                if !is_right {
                    let what = format!("client-{i} was told {counted:?} (echo: {is_echo}) of {order:?}");
                    return self.violate(Promise::Told, what);
                }
                can_echo &= order.is_repeatable();
                self.sent.keys.extend(order.key);
                self.tell(&order.ids(), Told::Acked);
            }
        }
        let Some(pending) = &mut self.clients[i].current else { return };
        if can_echo && self.random.chance(25) {
            (pending.is_echo, pending.verdict) = (true, Verdict::default());
            // Some repeat when leaves have come and gone.
            let wait = self.random.millis(20, 6_000);
            self.agenda.after(wait, Happening::Submit { client: i });
        } else {
            self.settle(i);
        }
    }

    /// A key or an id stands for something else: so it has to be, and nothing of the request is counted.
    fn client_is_refused(&mut self, i: usize, error: &EventError) {
        let wish = self.clients[i].current.as_ref().map(|p| &p.wish);
        match wish {
            Some(Wish::Count(order)) if order.is_mistake && error.code == EventErrorCode::KeyReused => {
                let events = order.ids();
                self.tell(&events, Told::Rejected);
                self.settle(i);
            }
            _ => {
                let what = format!("client-{i} kept to the rules and was refused: {error}");
                self.violate(Promise::Told, what);
            }
        }
    }

    fn client_fails(&mut self, i: usize, error: &SubmitError) {
        let now = self.agenda.now();
        let Some(Pending { wish, began, is_echo, .. }) = &self.clients[i].current else { return };
        if *error == SubmitError::KeyLost && self.nobody_has_forgotten() {
            return self.violate(
                Promise::Told,
                format!("client-{i} heard that its key is lost, and no leaf lost any"),
            );
        }
        // What only a lost folder said is never known again.
        let is_hopeless =
            *error == SubmitError::KeyLost || self.truth.has_lost_folders() && now.since(*began) > BEREFT;
        let is_over = is_hopeless || now.since(*began) > self.plan.workload.rules.give_up;
        let (is_repeatable, open) = match wish {
            Wish::Count(order) => (order.is_repeatable(), order.ids()),
            Wish::Reset(..) | Wish::Forget(..) => (true, Vec::new()),
        };
        if is_repeatable && self.plan.workload.repeats && !is_over {
            return self.submit_again(i);
        }
        let is_in_doubt = *error == SubmitError::InDoubt;
        if let Wish::Reset(_, id) | Wish::Forget(_, id) = wish
            && !is_in_doubt
            && !is_echo
        {
            self.truth.resets.refused(*id);
        }
        self.tell(&open, if is_in_doubt { Told::InDoubt } else { Told::Rejected });
        self.settle(i);
    }

    /// Neither leaves' folders nor the registry were lost or put back, so that every key is remembered.
    fn nobody_has_forgotten(&self) -> bool {
        let forgetful =
            [Fault::RegistryRollback, Fault::StoreEmptied, Fault::StoreExchanged, Fault::RootsMisled];
        !self.truth.has_lost_folders() && forgetful.iter().all(|fault| self.tally.of(*fault) == 0)
    }

    /// What was told before stays as it is: echoes come again.
    fn tell(&mut self, events: &[EventId], told: Told) {
        if let Err(e) = self.truth.tell_client(events, told, self.agenda.now()) {
            self.violate(Promise::Told, e);
        }
    }

    fn settle(&mut self, i: usize) {
        self.clients[i].current = None;
        let mean = self.plan.faults.duration / (self.plan.workload.requests as u32 + 1);
        let wait = self.random.micros(1_000, 2 * mean.as_micros() as u64);
        self.agenda.after(wait.max(Duration::from_millis(1)), Happening::Submit { client: i });
    }
}
