//! Judges whether the store that a root serves is still what it was, and decides what to do where it is not.
//!
//! A server may forget its last seconds by itself, and no operator has to act. Anything beyond that is the doing of other
//! hands: a store that was emptied, that is an older copy, or that has another one in its place. Then the cluster is not
//! ready until an operator has acknowledged it. And nothing is merged into a store that is not this cluster's.

use super::binding::{FoundStore, RandomIds};
use super::claims::Claims;
use countree_common::cluster::NodeName;
use countree_common::store::{
    Continuity, FolderAdmission, FolderStore, Predecessor, StoreId, StoreLoss, StoreRecord, StoreStart,
};
use countree_common::time::Time;
use std::collections::BTreeSet;
use std::time::Duration;

/// Writes of this last stretch of time may be forgotten by a server itself, without any fault of the operator.
pub const FORGIVEN: Duration = Duration::from_secs(10);

/// The state of the store, as a root sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The store.
    Sound,
    /// The store, which has lost something while it was in use. It is served, so that logs can heal it.
    Lost(StoreLoss),
    /// Another store, which never was this one.
    Exchanged {
        /// Its id.
        found: StoreId,
    },
    /// The store, which another cluster has taken over.
    Taken {
        /// Its identity now.
        found: StoreId,
        /// The place where that cluster runs.
        by: String,
    },
    /// A store that no leaf belongs to: all that are heard have joined with another one.
    Disputed {
        /// The store that they have joined with.
        theirs: StoreId,
        /// A leaf of that store.
        by: NodeName,
    },
    /// The store, whose place a copy has taken.
    Superseded {
        /// The copy.
        by: StoreId,
    },
}

/// Nothing is acknowledged: that would not help. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is nothing that could be acknowledged here: {0}")]
pub struct NotAcknowledged(pub String);

/// A leaf's folder belongs to another store. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this data folder belongs to store {known}, and the cluster's store is {served}: let the roots use that one, or bring the \
     right folder; or start the leaf with --adopt: what its log still holds is then counted in this store. Nothing was changed"
)]
pub struct ForeignFolder {
    /// The store that the folder remembers.
    pub known: StoreId,
    /// The store that is served.
    pub served: StoreId,
}

/// A node asks that belongs to another store. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{node} belongs to store {theirs}, and the roots use store {served}, which knows nothing of that one: let the roots use \
     the store of {node}, or start {node} again with a data folder of this store. Nothing was changed"
)]
pub struct ForeignNode {
    /// Who asks.
    pub node: NodeName,
    /// The store that it has joined with.
    pub theirs: StoreId,
    /// The store that is served.
    pub served: StoreId,
}

/// Whether a root that serves the store `bound` may merge into one that says to be `found`. One that says nothing has
/// been emptied, and can be healed.
pub fn may_merge(bound: StoreId, found: Option<StoreId>) -> bool {
    found.is_none_or(|found| found == bound)
}

/// One root's judgement of its store.
#[derive(Debug)]
pub struct Standing {
    /// The store's record when it was last sound, with this root's own start.
    known: StoreRecord,
    own: StoreStart,
    /// Since when the own start is in the store.
    since: Time,
    /// The registry was found to have gone back further than a server forgets.
    fell_back: bool,
    claims: Claims,
    /// What was found, whatever leaves say.
    found: State,
    state: State,
    write: Option<StoreRecord>,
}

impl Standing {
    /// Of a store that was bound just now, as this record says; `None` when no start is in it.
    pub fn of(record: &StoreRecord, now: Time) -> Option<Self> {
        let own = record.last_start()?;
        let known = record.clone();
        Some(Self {
            known,
            own,
            since: now,
            fell_back: false,
            claims: Claims::default(),
            found: State::Sound,
            state: State::Sound,
            write: None,
        })
    }

    /// The state, as far as it is known.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The store that is served.
    pub fn served(&self) -> StoreId {
        self.known.id
    }

    /// The own start.
    pub fn own_start(&self) -> StoreStart {
        self.own
    }

    /// Whether nothing may be merged or read.
    pub fn is_fenced(&self) -> bool {
        !matches!(self.state, State::Sound | State::Lost(_))
    }

    /// A leaf wants to join with this folder. Where the folder's store is one that this one has taken the place of, the
    /// leaf sends again what its log holds and the store does not.
    ///
    /// # Errors
    /// When it belongs to a store that this one knows nothing of, and is not to be adopted.
    pub fn admit(&self, folder: &FolderStore) -> Result<FolderAdmission, ForeignFolder> {
        let start = self.known.last_start().unwrap_or(self.own);
        let admitted = FolderAdmission { id: self.known.id, start, is_foreign: false };
        match folder.known {
            Some((known, seen)) if self.known.continues(known, seen) == Continuity::Other => {
                let foreign = ForeignFolder { known, served: self.known.id };
                if folder.adopts {
                    Ok(FolderAdmission { is_foreign: true, ..admitted })
                } else {
                    Err(foreign)
                }
            }
            _ => Ok(admitted),
        }
    }

    /// The stores whose leaves may send cuts here: this one, and those whose place it has taken.
    pub fn stores(&self) -> BTreeSet<StoreId> {
        self.known.predecessors.iter().map(|known| known.id).chain([self.known.id]).collect()
    }

    /// The store says this of itself now.
    pub fn handle_found(&mut self, found: &FoundStore, now: Time) {
        self.write = None;
        self.found = match &found.record {
            None => self.missing(now),
            Some(record) if record.id == self.known.id => self.own(record, found.is_shard_missing, now),
            Some(record) => self.other(record),
        };
        self.judge(now);
    }

    /// Admits the question of a node that has joined with that store.
    ///
    /// # Errors
    /// When this store knows nothing of that one: the node is not to be answered.
    pub fn admit_question(&self, node: &NodeName, theirs: StoreId) -> Result<(), ForeignNode> {
        let served = self.known.id;
        let is_known = theirs == served || self.known.predecessors.iter().any(|known| known.id == theirs);
        if is_known { Ok(()) } else { Err(ForeignNode { node: node.clone(), theirs, served }) }
    }

    /// Takes the heartbeat of a leaf that has joined with that store. `is_any_listed`: the registry lists a live leaf. It
    /// belongs to the served store, and its heartbeats may go to another root.
    pub fn handle_leaf(&mut self, leaf: &NodeName, theirs: StoreId, is_any_listed: bool, now: Time) {
        let is_own = self.admit_question(leaf, theirs).is_ok();
        if is_own || is_any_listed {
            self.claims.note_own(now);
        }
        if !is_own {
            self.claims.note_foreign(leaf, theirs, now);
        }
        self.judge(now);
    }

    /// Names the leaves that live and belong to another store, beside those that are `away`: what they accepted is not
    /// in this store either.
    pub fn name_foreign(&self, away: &mut Vec<NodeName>) {
        let known = away.len();
        for leaf in self.claims.foreign_leaves() {
            if !away[..known].contains(leaf) {
                away.push(leaf.clone());
            }
        }
    }

    /// Judges what was found by what leaves say of it.
    fn judge(&mut self, now: Time) {
        self.claims.expire(&self.stores(), now);
        let is_served = matches!(self.found, State::Sound | State::Lost(_));
        self.state = match self.claims.disputing().filter(|_| is_served) {
            Some((theirs, by)) => State::Disputed { theirs, by: by.clone() },
            None => self.found.clone(),
        };
    }

    /// The registry in the store is older than it was known to be, by this much.
    pub fn handle_fell_back(&mut self, by: Duration) {
        self.fell_back |= by > FORGIVEN;
    }

    /// The record to be written into the store, if another one is due; the store is to be read again after that.
    pub fn poll_write(&mut self) -> Option<StoreRecord> {
        self.write.take()
    }

    /// Whether what was there just now may have been forgotten again.
    fn is_fresh(&self, now: Time) -> bool {
        now < self.since + FORGIVEN
    }

    fn missing(&mut self, now: Time) -> State {
        // Of a store that is this young all may be its last seconds.
        let is_young = self.is_fresh(now) && self.known.starts.len() == 1;
        let loss = self.known.unacknowledged.or((!is_young).then_some(StoreLoss::Emptied));
        self.write = Some(StoreRecord { revision: 0, unacknowledged: loss, ..self.known.clone() });
        loss.map_or(State::Sound, State::Lost)
    }

    fn own(&mut self, record: &StoreRecord, is_shard_missing: bool, now: Time) -> State {
        if let Some(by) = record.superseded_by {
            return State::Superseded { by };
        }
        let went_back = record.continues(self.known.id, self.own) != Continuity::Same;
        let is_noticed = !self.is_fresh(now);
        let emptied = (is_shard_missing && is_noticed).then_some(StoreLoss::Emptied);
        let has_older_registry = std::mem::take(&mut self.fell_back);
        let older = ((went_back && is_noticed) || has_older_registry).then_some(StoreLoss::WentBack);
        let loss = record.unacknowledged.or(emptied).or(older);
        let mut whole = StoreRecord { unacknowledged: loss, ..record.clone() };
        if went_back {
            whole.remember_starts(&self.known.starts);
            self.since = now;
        }
        if went_back || is_shard_missing || loss != record.unacknowledged {
            self.write = Some(whole.clone());
        }
        self.known = whole;
        loss.map_or(State::Sound, State::Lost)
    }

    fn other(&mut self, record: &StoreRecord) -> State {
        let (found, by) = (record.id, record.held_by.clone());
        let is_ours = !record.authorities.is_disjoint(&self.known.authorities);
        if record.follows == Some(self.known.id) && is_ours {
            let mut followed = record.clone();
            followed.remember_starts(&[self.own]);
            self.write = (followed != *record).then(|| followed.clone());
            self.known = followed;
            return record.unacknowledged.map_or(State::Sound, State::Lost);
        }
        match record.continues(self.known.id, self.own) {
            Continuity::Other => State::Exchanged { found },
            _ => State::Taken { found, by },
        }
    }

    /// An operator knows what happened to the store, and wants to go on. What it is to say of itself then, if it is not
    /// sound.
    ///
    /// # Errors
    /// When it is another cluster's to decide.
    pub fn acknowledge(
        &mut self,
        found: &FoundStore,
        now: Time,
        ids: RandomIds,
    ) -> Result<Option<StoreRecord>, NotAcknowledged> {
        self.handle_found(found, now);
        match (&self.state, &found.record) {
            (State::Sound, _) => Ok(None),
            (State::Lost(_), record) => {
                let revision = record.as_ref().map_or(0, |record| record.revision);
                self.known.unacknowledged = None;
                Ok(Some(StoreRecord { revision, ..self.known.clone() }))
            }
            (State::Disputed { .. }, Some(record)) => {
                let mut ours = record.clone();
                for theirs in self.claims.foreign_stores() {
                    ours.succeed(Predecessor { id: theirs, is_lost: true });
                }
                ours.unacknowledged = None;
                Ok(Some(ours))
            }
            (State::Exchanged { .. }, Some(record)) => {
                let mut adopted = record.with_identity(StoreId(ids.id), false);
                adopted.succeed(Predecessor { id: self.known.id, is_lost: true });
                adopted.remember_starts(&[self.own]);
                adopted.authorities.clone_from(&self.known.authorities);
                (adopted.unacknowledged, adopted.follows) = (None, Some(self.known.id));
                adopted.held_by.clone_from(&self.known.held_by);
                Ok(Some(adopted))
            }
            _ => Err(NotAcknowledged(self.problem().unwrap_or_default())),
        }
    }

    /// Why the cluster is not ready, and what to do.
    pub fn problem(&self) -> Option<String> {
        let known = self.known.id;
        Some(match &self.state {
            State::Sound => return None,
            State::Lost(StoreLoss::Emptied) => format!(
                "store {known} was emptied while it was in use: what leaves' logs still hold is sent again, and the rest is \
                 lost (countree audit says how much). Find out who did that, then say so with countree store acknowledge"
            ),
            State::Lost(StoreLoss::WentBack) => format!(
                "store {known} went back in time while it was in use, further than a server forgets by itself: an older copy \
                 was put in its place. What leaves' logs still hold is sent again, and the rest is lost (countree audit says \
                 how much). Then say so with countree store acknowledge"
            ),
            State::Exchanged { found } => format!(
                "another store ({found}) stands where store {known} was: nothing is merged, and leaves keep what they take. \
                 Put the right one back; or go on with this one with countree store acknowledge: what the other held, and \
                 logs hold no more, is then lost"
            ),
            State::Taken { found, by } => format!(
                "store {known} was taken over with --adopt and is store {found} now, served by {by}: nothing is merged here, \
                 and leaves keep what they take. Stop one of both clusters; to take the store back, start this one again \
                 with --adopt"
            ),
            State::Disputed { theirs, by } => format!(
                "{by}, like every leaf that is heard, belongs to store {theirs}, and the roots use store {known}, which knows \
                 nothing of that one: nothing is merged and read, and leaves keep what they take. Let the roots use the \
                 leaves' store; or go on with this one with countree store acknowledge: what the other held, and logs hold no \
                 more, is then lost"
            ),
            State::Superseded { by } => format!(
                "store {known} was copied, and its copy {by} has taken its place: nothing is merged. Set cluster.store to the \
                 copy and start again; or start with --adopt to go on with this one"
            ),
        })
    }
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
