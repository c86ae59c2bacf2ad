//! HTTP clients. They repeat a request that may be repeated until it is answered, and now and then even after that.

use super::World;
use super::questions::Purpose;
use super::requests::ClientRequest;
use crate::faults::Fault;
use crate::host::Host;
use crate::model::Promise;
use crate::model::{EventId, EventStatus};
use crate::plan::Plan;
use crate::world::event::SimEvent;
use countree_common::cluster::{ClusterView, Tier};
use countree_common::ring::Ring;
use countree_common::time::Time;
use countree_common::wire::producer::{EventError, EventErrorCode};
use countree_common::wire::rpc::{Counted, Reply, Request, Reset, SubmitError};
use countree_leaf::machine::idempotency::verdict::{TryResult, Verdict};
use std::time::Duration;

/// A client repeats a request for this long where only a lost folder knew the answer.
const LOST_FOLDER_TIMEOUT: Duration = Duration::from_secs(30);

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
    wanted: ClientRequest,
    began: Time,
    tries: u64,
    verdict: Verdict,
    /// It was answered, and is repeated as if the answer had been lost.
    is_repeat: bool,
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
        // Spread over all values, as hashes are.
        self.next_key.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }
}

impl World {
    pub(super) fn client_takes_view(&mut self, i: usize, view: ClusterView) {
        let client = &mut self.clients.http[i];
        if view.keys.owners != client.view.keys.owners {
            client.owners = Ring::new(view.keys.owners.iter().cloned());
        }
        client.view = view;
    }

    /// Sends the client's request, or its next one.
    pub(super) fn submit(&mut self, i: usize) {
        let now = self.queue.now();
        if self.clients.http[i].current.is_none() {
            if self.clients.http[i].to_submit == 0 {
                return;
            }
            self.clients.http[i].to_submit -= 1;
            let wanted = self.next_request(i);
            let verdict = Verdict::default();
            self.clients.http[i].current =
                Some(Pending { wanted, began: now, tries: 0, verdict, is_repeat: false });
        }
        let Some(wanted) = self.clients.http[i].current.as_ref().map(|p| p.wanted.clone()) else { return };
        let Some((owner, request)) = self.request(i, &wanted) else { return self.submit_again(i) };
        if let Some(pending) = &mut self.clients.http[i].current {
            pending.tries += 1;
        }
        self.ask(Host::Client(i), owner, request, Purpose::Client);
    }

    fn submit_again(&mut self, i: usize) {
        let wait = self.random.millis(20, 600);
        self.queue.after(wait, SimEvent::Submit { client: i });
    }

    /// The leaf to ask, and the request; `None` while no leaf is known.
    fn request(&mut self, i: usize, wanted: &ClientRequest) -> Option<(Host, Request)> {
        match wanted {
            ClientRequest::Count(to_count) => {
                let leaf = match to_count.first_key() {
                    Some(key) => self.key_owner(i, key)?,
                    None => self.some_leaf(i)?,
                };
                Some((leaf, Request::Count(self.submission(to_count))))
            }
            ClientRequest::Reset(key, id) => {
                let reset = self.model.resets.get(*id)?;
                let (topic, item, kind) = (reset.topic.clone(), reset.item.clone(), reset.kind.clone());
                let owner = self.key_owner(i, *key)?;
                Some((owner, Request::Reset(Reset { key: *key, topic, item, kind })))
            }
            ClientRequest::Forget(key, id) => {
                let topic = self.model.resets.get(*id)?.topic.clone();
                Some((self.key_owner(i, *key)?, Request::ForgetTopic(topic)))
            }
        }
    }

    /// The leaf that remembers a key, by the client's view.
    fn key_owner(&self, i: usize, key: u128) -> Option<Host> {
        let client = &self.clients.http[i];
        let owner = client.owners.key_owner(key).filter(|owner| client.view.node(owner).is_some())?;
        Host::of(owner)
    }

    fn some_leaf(&mut self, i: usize) -> Option<Host> {
        let leaves: Vec<Host> =
            self.clients.http[i].view.tier(Tier::Leaf).filter_map(|leaf| Host::of(&leaf.name)).collect();
        self.random.pick(&leaves).copied()
    }

    /// Takes a leaf's answer, or the lack of one.
    pub(super) fn client_receives(&mut self, i: usize, reply: Option<Reply>) {
        let result = match reply {
            Some(Reply::Counted(result)) => TryResult::Answer(result),
            Some(Reply::Submitted(result)) => TryResult::Answer(result.map(|()| Counted::default())),
            Some(Reply::TopicForgotten(result)) => TryResult::Answer(result.map(|_| Counted::default())),
            None => TryResult::Silence,
            Some(other) => {
                return self.violate(Promise::Orderly, format!("client-{i} was told {other:?}"));
            }
        };
        let Some(pending) = &mut self.clients.http[i].current else { return };
        match pending.verdict.note(result) {
            Ok(counted) => self.client_succeeds(i, counted),
            Err(SubmitError::Refused(e)) => self.client_is_refused(i, &e),
            Err(e) => self.client_fails(i, &e),
        }
    }

    fn client_succeeds(&mut self, i: usize, counted: Counted) {
        let now = self.queue.now();
        let Some(Pending { wanted, is_repeat, tries, .. }) = &self.clients.http[i].current else { return };
        let (wanted, is_repeat, is_first) = (wanted.clone(), *is_repeat, *tries == 1);
        let mut can_echo = !is_repeat && self.plan.workload.repeats;
        match &wanted {
            ClientRequest::Reset(_, id) if !is_repeat => self.model.resets.done(*id, now),
            ClientRequest::Reset(..) => {}
            // A repeat would be another forget.
            ClientRequest::Forget(_, id) => {
                self.model.resets.done(*id, now);
                self.model.resets.forgets += 1;
                can_echo = false;
            }
            ClientRequest::Count(to_count) => {
                if to_count.is_mistake {
                    let what =
                        format!("client-{i} used a key for something else, and it was taken: {to_count:?}");
                    return self.violate(Promise::Truthful, what);
                }
                let is_shared = to_count.events.iter().any(|(event, _)| self.model.events[*event].is_shared);
                let may_be_replay = is_repeat || is_shared || !is_first;
                let is_right = if counted.is_replay { may_be_replay } else { !is_repeat };
                if !is_right {
                    let what = format!("client-{i} was told {counted:?} (echo: {is_repeat}) of {to_count:?}");
                    return self.violate(Promise::Truthful, what);
                }
                can_echo &= to_count.is_repeatable();
                self.clients.sent.keys.extend(to_count.key);
                self.set_statuses(&to_count.ids(), EventStatus::Acked);
            }
        }
        let Some(pending) = &mut self.clients.http[i].current else { return };
        if can_echo && self.random.chance(25) {
            (pending.is_repeat, pending.verdict) = (true, Verdict::default());
            // Some repeat when leaves have come and gone.
            let wait = self.random.millis(20, 6_000);
            self.queue.after(wait, SimEvent::Submit { client: i });
        } else {
            self.settle(i);
        }
    }

    /// Checks a refusal because a key or an id stands for something else: nothing of the request is counted.
    fn client_is_refused(&mut self, i: usize, error: &EventError) {
        let wanted = self.clients.http[i].current.as_ref().map(|p| &p.wanted);
        match wanted {
            Some(ClientRequest::Count(to_count))
                if to_count.is_mistake && error.code == EventErrorCode::KeyReused =>
            {
                let events = to_count.ids();
                self.set_statuses(&events, EventStatus::Rejected);
                self.settle(i);
            }
            _ => {
                let what = format!("client-{i} kept to the rules and was refused: {error}");
                self.violate(Promise::Truthful, what);
            }
        }
    }

    fn client_fails(&mut self, i: usize, error: &SubmitError) {
        let now = self.queue.now();
        let Some(Pending { wanted, began, is_repeat, .. }) = &self.clients.http[i].current else { return };
        if *error == SubmitError::KeyLost && self.no_key_can_be_lost() {
            return self.violate(
                Promise::Truthful,
                format!("client-{i} heard that its key is lost, and no leaf lost any"),
            );
        }
        // Only the lost folder knew, so the answer never comes.
        let is_hopeless = *error == SubmitError::KeyLost
            || self.model.losses.has_folders() && now.since(*began) > LOST_FOLDER_TIMEOUT;
        let is_over = is_hopeless || now.since(*began) > self.plan.workload.rules.give_up;
        let (is_repeatable, open) = match wanted {
            ClientRequest::Count(to_count) => (to_count.is_repeatable(), to_count.ids()),
            ClientRequest::Reset(..) | ClientRequest::Forget(..) => (true, Vec::new()),
        };
        if is_repeatable && self.plan.workload.repeats && !is_over {
            return self.submit_again(i);
        }
        let is_in_doubt = *error == SubmitError::InDoubt;
        if let ClientRequest::Reset(_, id) | ClientRequest::Forget(_, id) = wanted
            && !is_in_doubt
            && !is_repeat
        {
            self.model.resets.refused(*id);
        }
        self.set_statuses(&open, if is_in_doubt { EventStatus::InDoubt } else { EventStatus::Rejected });
        self.settle(i);
    }

    /// Whether every key must be remembered: no leaf's folder, registry or store was lost, exchanged or put back.
    fn no_key_can_be_lost(&self) -> bool {
        let forgetful =
            [Fault::RegistryRollback, Fault::StoreEmptied, Fault::StoreExchanged, Fault::RootsOnOtherStore];
        !self.model.losses.has_folders() && forgetful.iter().all(|fault| self.faults.tally.of(*fault) == 0)
    }

    /// Notes the answer for events. Earlier answers stay: repeats bring them again.
    fn set_statuses(&mut self, events: &[EventId], status: EventStatus) {
        if let Err(e) = self.model.set_client_statuses(events, status, self.queue.now()) {
            self.violate(Promise::Truthful, e);
        }
    }

    fn settle(&mut self, i: usize) {
        self.clients.http[i].current = None;
        let mean = self.plan.faults.duration / (self.plan.workload.requests as u32 + 1);
        let wait = self.random.micros(1_000, 2 * mean.as_micros() as u64);
        self.queue.after(wait.max(Duration::from_millis(1)), SimEvent::Submit { client: i });
    }
}
