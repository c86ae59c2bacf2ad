//! Folds records into the sessions, keys and ledgers that a new stream carries over from old ones.

use super::record::{Record, SessionRecord};
use countree_common::ledger::Ledger;
use countree_common::session::SessionId;
use countree_common::store::{FolderAdmission, StoreMemory};
use countree_common::stream::StreamId;
use countree_common::time::WallMs;
use countree_common::wire::keys::{IdempotencyKey, KeyState, Remembered};
use std::collections::BTreeMap;

/// Sessions and idempotency keys, folded over streams and segments from the oldest on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// The progress of each session.
    pub sessions: BTreeMap<SessionId, SessionRecord>,
    /// The knowledge of each idempotency key.
    pub keys: BTreeMap<IdempotencyKey, Remembered>,
    /// The last ledgers of the streams that retired last, by incarnation.
    pub retired: BTreeMap<u64, Ledger>,
}

impl Carried {
    /// The latest time in it, by the clock that ages it; `None` when there is nothing to age.
    pub fn latest(&self) -> Option<WallMs> {
        let sessions = self.sessions.values().map(|session| session.at);
        sessions.chain(self.keys.values().map(|of| of.at)).max()
    }

    /// Notes streams that the registry knows of and that are missing in this log. Sessions may have gone further there
    /// than the log says, so none goes on here: a batch that was counted would be taken again. Keys that the log knows
    /// stay used.
    pub fn note_missing(&mut self, missing: &[StreamId]) {
        if !missing.is_empty() {
            self.sessions.clear();
        }
    }

    /// Binds the folder to this store; `earlier` is the store that it belonged to until now. Returns what the folder is
    /// to remember of it. Streams of another cluster that have no log any more mean nothing to this store.
    pub fn belong(&mut self, store: &FolderAdmission, earlier: Option<&StoreMemory>) -> StoreMemory {
        let known = earlier.map_or(0, |earlier| earlier.foreign_to);
        let last = self.retired.keys().next_back().copied().unwrap_or_default();
        let foreign_to = if store.is_foreign { last.max(known) } else { known };
        self.retired.retain(|incarnation, _| *incarnation > foreign_to);
        StoreMemory { foreign_to, ..StoreMemory::of(store.id, store.start) }
    }

    /// Takes up a record that is no part of a checkpoint.
    pub(super) fn record(&mut self, record: &Record<'_>) {
        match record {
            Record::Open { session, at } => {
                let opened = SessionRecord { last: 0, at: *at, is_ended: false };
                self.sessions.entry(*session).or_insert(opened);
            }
            Record::Batch { session, seq, at, .. } => {
                let known = SessionRecord { last: *seq, at: *at, is_ended: false };
                self.sessions.insert(*session, known);
            }
            Record::Submission(submission) => {
                let at = submission.at;
                let used = |key, content| (key, Remembered { key, at, state: KeyState::Used { content } });
                self.keys.extend(submission.keys.iter().map(|of| used(of.key, of.content)));
            }
            Record::Seal => self.sessions.values_mut().for_each(|session| session.is_ended = true),
            Record::Inherited(keys) => {
                for of in keys {
                    let known = self.keys.entry(of.key).or_insert_with(|| of.clone());
                    if known.state.absorb(&of.state) {
                        known.at = of.at;
                    }
                }
            }
            Record::Noted { keys, at, by } => {
                for key in keys.iter().copied() {
                    let state = KeyState::Noted(vec![by.clone()]);
                    self.keys.insert(key, Remembered { key, at: *at, state });
                }
            }
            Record::Retired(ledgers) => self.retired.extend(ledgers.iter().copied()),
            Record::Checkpoint(_) | Record::Keys(_) => {}
        }
    }
}
