//! Counts each request once, however often it is sent and to whichever leaf.
//!
//! A request with keys is looked up before it is taken: `lookup::Lookup` says whether to admit it, to let it wait until
//! other leaves have answered, or to refuse it.

mod answers;
mod handover;
mod inputs;
mod keyed_events;
pub mod keys;
pub(super) mod lookup;
mod open_questions;
pub(super) mod questions;
pub(super) mod request;
mod rings;
mod submissions;
pub mod verdict;

use super::members::Members;
use countree_common::cluster::NodeName;
use countree_common::stream::Lsn;
use countree_common::time::WallMs;
use countree_common::wire::keys::{Attempt, IdempotencyKey, KeyState, KeyUse, Remembered};
use handover::Handover;
use keys::Keys;
use lookup::Lookups;
use rings::KeyRings;
use std::time::Duration;

/// The keys that this leaf remembers, and the requests that wait for what other leaves remember.
#[derive(Debug)]
pub(super) struct Idempotency {
    keys: Keys,
    /// Made from the view once a request needs them.
    rings: Option<KeyRings>,
    lookups: Lookups,
    handover: Handover,
}

impl Idempotency {
    /// Begins with the keys of earlier streams. This start makes its attempts under `incarnation`.
    pub(super) fn new(keys: Keys, incarnation: u64) -> Self {
        Self { keys, rings: None, lookups: Lookups::new(incarnation), handover: Handover::default() }
    }

    /// The keys that are remembered.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Notes a use that was logged.
    pub(super) fn note_use(&mut self, used: KeyUse, lsn: Lsn, at: WallMs) {
        self.keys.note_use(used, lsn, at);
    }

    /// Forgets the attempts noted for a key: none of them used it.
    pub(super) fn drop_notes(&mut self, key: IdempotencyKey) {
        self.keys.drop_notes(key);
    }

    /// Forgets keys that are older than the horizon.
    pub(super) fn expire(&mut self, now: WallMs, horizon: Duration) {
        self.keys.expire(now, horizon);
    }

    /// Drops the rings of keys, since their owners or their history have changed.
    pub(super) fn handle_owners(&mut self) {
        self.rings = None;
    }

    /// The keys that a leaving leaf hands over.
    pub(super) fn handover(&mut self) -> &mut Handover {
        &mut self.handover
    }

    /// Divides all keys among their owners once this leaf is gone.
    pub(super) fn divide(&mut self, leaf: &NodeName, members: &Members) {
        let keys = self.remembered(members);
        self.handover.divide(members.successors(leaf), members.owners_since(), keys);
    }

    /// All that is remembered, without attempts of leaves that have left.
    fn remembered(&self, members: &Members) -> Vec<Remembered> {
        let listed = self.keys.listed();
        listed
            .filter_map(|(lsn, mut of)| without_those_that_left(&mut of, lsn, members).then_some(of))
            .collect()
    }

    /// The memory of a key, without attempts of leaves that have left: another leaf may not have seen them.
    fn recall(&self, key: IdempotencyKey, members: &Members) -> Option<(Lsn, Remembered)> {
        let (lsn, mut remembered) = self.keys.recall(key)?;
        without_those_that_left(&mut remembered, lsn, members).then_some((lsn, remembered))
    }
}

/// Drops attempts of leaves that have left; says whether anything remains.
fn without_those_that_left(remembered: &mut Remembered, lsn: Lsn, members: &Members) -> bool {
    let KeyState::Noted(attempts) = &mut remembered.state else { return true };
    attempts.retain(|attempt: &Attempt| !members.has_left(attempt, is_earlier(lsn)));
    !attempts.is_empty()
}

/// Whether a record is of an earlier start.
fn is_earlier(lsn: Lsn) -> bool {
    lsn == 0
}
