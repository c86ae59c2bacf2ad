//! An HTTP client that repeats its request, under its keys, for as long as it has no answer, and beyond.

use super::{Chance, Rig};
use crate::machine::SubmissionId;
use countree_common::key::Counter;
use countree_common::wire::rpc::{Counted, Idempotency, SubmitError};

pub(crate) struct Client {
    number: u64,
    /// Its events, each under the key for which it is to be counted once.
    events: Vec<(u128, (Counter, i64))>,
    has_ids: bool,
    tries: u64,
    pub(crate) waits_for: Vec<SubmissionId>,
    pub(crate) is_acked: bool,
}

impl Client {
    /// A request of its own events; some also bring an event that another has sent under an id.
    pub(crate) fn new(
        number: u64,
        events: Vec<(Counter, i64)>,
        other: Option<&Client>,
        chance: &mut Chance,
    ) -> Self {
        let has_ids = chance.percent(50);
        let key = |i: usize| u128::from(number) * 100 + i as u128 + 1;
        let mut events: Vec<_> = events.into_iter().enumerate().map(|(i, e)| (key(i), e)).collect();
        if let Some(other) = other.filter(|o| has_ids && o.has_ids) {
            events.push(other.events[0].clone());
        }
        Self { number, events, has_ids, tries: 0, waits_for: Vec::new(), is_acked: false }
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = (u128, &(Counter, i64))> {
        self.events.iter().map(|(key, event)| (*key, event))
    }

    pub(crate) fn submit(&mut self, rig: &mut Rig) {
        self.tries += 1;
        let id = self.number << 32 | self.tries;
        self.waits_for.push(SubmissionId(id));
        let idempotency = if self.has_ids {
            let ids = self.events.iter().map(|(key, _)| *key).collect();
            Idempotency::Keyed { request: None, ids }
        } else {
            Idempotency::Request { key: self.events[0].0, content: u128::from(self.number) }
        };
        let events: Vec<_> = self.events.iter().map(|(_, event)| event.clone()).collect();
        rig.submit(id, &events, idempotency);
    }

    pub(crate) fn catch_up(&mut self, rig: &mut Rig) {
        if !self.is_acked && self.waits_for.is_empty() {
            self.submit(rig);
        }
    }

    pub(crate) fn hear(&mut self, id: SubmissionId, result: &Result<Counted, SubmitError>) {
        if self.waits_for.contains(&id) {
            self.waits_for.retain(|waited| *waited != id);
            match result {
                Ok(_) => self.is_acked = true,
                Err(SubmitError::Busy { .. } | SubmitError::Draining) => {}
                Err(other) => panic!("a sound request was answered {other}"),
            }
        }
    }
}
