//! Sorts out a request's events by their keys: those that are new, those that are repeats, and keys used for something
//! else.

use crate::machine::idempotency::keys::Keys;
use countree_common::event::Event;
use countree_common::stream::Lsn;
use countree_common::wire::keys::{IdempotencyKey, KeyUse, content};
use countree_common::wire::producer::{EventError, EventErrorCode};
use countree_common::wire::rpc::{Idempotency, Submission};
use std::collections::BTreeMap;

/// A request with its keys.
#[derive(Debug, Clone)]
pub(in crate::machine) struct KeyedEvents {
    events: Vec<Event>,
    request: Option<KeyUse>,
    /// The ids' keys, by event; empty where no event has an id.
    ids: Vec<Option<KeyUse>>,
}

/// The part of a request that is new.
#[derive(Debug, Default)]
pub(super) struct Fresh<'a> {
    /// The new events, with their places in the request.
    pub(super) events: Vec<(u32, &'a Event)>,
    /// The keys that taking them uses up.
    pub(super) uses: Vec<KeyUse>,
    /// The last record of what is not new.
    pub(super) repeats: Lsn,
}

impl KeyedEvents {
    /// Takes a submission apart.
    ///
    /// # Errors
    /// When it does not have a key for each event, or one id stands for two of its events.
    pub(super) fn new(submission: Submission) -> Result<Self, EventError> {
        let Submission { events, idempotency } = submission;
        let use_of = |hash, content| KeyUse { key: IdempotencyKey::of_request(hash), content };
        let (request, hashes, is_scoped) = match idempotency {
            Idempotency::None => (None, Vec::new(), true),
            Idempotency::Request { key, content } => (Some(use_of(key, content)), Vec::new(), true),
            Idempotency::Events(ids) => (None, ids, false),
            Idempotency::Keyed { request, ids } => (request.map(|(key, of)| use_of(key, of)), ids, true),
        };
        if !hashes.is_empty() && hashes.len() != events.len() {
            return Err(EventError {
                code: EventErrorCode::Malformed,
                message: format!("{} events came with {} ids", events.len(), hashes.len()),
                index: None,
            });
        }
        let id = |(hash, event): (u128, &Event)| match hash {
            0 => None,
            _ if !is_scoped => Some(use_of(hash, 0)),
            _ => {
                let key = IdempotencyKey::of_event(hash, &event.counter.topic);
                Some(KeyUse { key, content: content([event]) })
            }
        };
        let ids = hashes.into_iter().zip(&events).map(id).collect();
        let keyed = Self { events, request, ids };
        keyed.check_ids()?;
        Ok(keyed)
    }

    fn check_ids(&self) -> Result<(), EventError> {
        let mut first: BTreeMap<IdempotencyKey, u128> = BTreeMap::new();
        for (index, used) in self.ids() {
            if *first.entry(used.key).or_insert(used.content) != used.content {
                return Err(reused_id(index));
            }
        }
        Ok(())
    }

    fn ids(&self) -> impl Iterator<Item = (u32, &KeyUse)> {
        (0u32..).zip(&self.ids).filter_map(|(index, used)| Some((index, used.as_ref()?)))
    }

    /// All keys, the request's own first.
    pub(super) fn keys(&self) -> impl Iterator<Item = IdempotencyKey> {
        self.request.iter().chain(self.ids.iter().flatten()).map(|used| used.key)
    }

    /// Whether its request key says that it is a repeat, or a mistake.
    pub(super) fn is_repeated_by(&self, keys: &Keys) -> bool {
        self.request.is_some_and(|request| keys.used(request.key).is_some())
    }

    /// Tells what is new, by what is known of its keys.
    ///
    /// # Errors
    /// When a key was used for something else.
    pub(super) fn sort_out(&self, keys: &Keys) -> Result<Fresh<'_>, EventError> {
        let mut fresh = Fresh::default();
        if let Some(request) = &self.request {
            match keys.used(request.key) {
                Some((lsn, known)) if known.matches(request.content) => {
                    return Ok(Fresh { repeats: lsn, ..fresh });
                }
                Some(_) => return Err(reused_key()),
                None => fresh.uses.push(*request),
            }
        }
        if self.ids.is_empty() {
            fresh.events = (0u32..).zip(&self.events).collect();
            return Ok(fresh);
        }
        let mut uses: BTreeMap<IdempotencyKey, KeyUse> = BTreeMap::new();
        for (index, event) in (0u32..).zip(&self.events) {
            let Some(used) = self.ids.get(index as usize).copied().flatten() else {
                fresh.events.push((index, event));
                continue;
            };
            match keys.used(used.key) {
                Some((lsn, known)) if known.matches(used.content) => fresh.repeats = fresh.repeats.max(lsn),
                Some(_) => return Err(reused_id(index)),
                None if uses.insert(used.key, used).is_none() => fresh.events.push((index, event)),
                None => {}
            }
        }
        fresh.uses.extend(uses.into_values());
        Ok(fresh)
    }
}

fn reused_key() -> EventError {
    EventError {
        code: EventErrorCode::KeyReused,
        message: "this Idempotency-Key was used for something else: take a new key for each request".into(),
        index: None,
    }
}

fn reused_id(index: u32) -> EventError {
    EventError {
        code: EventErrorCode::KeyReused,
        message: "this id was used for another event of the topic: take a new id for each event".into(),
        index: Some(index),
    }
}

#[cfg(test)]
#[path = "keyed_events_tests.rs"]
mod tests;
