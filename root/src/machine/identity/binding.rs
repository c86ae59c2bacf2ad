//! Binds a store, data folders and certificates to one another: the rule for which store a cluster's processes serve.
//!
//! Totals are right only together with the logs and ledgers that they came from. So a process serves the store that its data
//! folder remembers, or, if the folder is new, one that belongs to a cluster with its certificates. Anything else takes an
//! operator's word (`--adopt`), and then what the remembered store held counts as lost.

use countree_common::store::{Continuity, Predecessor, StoreId, StoreMemory, StoreRecord};
use std::collections::BTreeSet;

/// Why a store is not served. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreRefusal {
    /// The folder remembers a store, and there is an empty one.
    #[error(
        "the store is empty, or was changed by other hands, and the data folder belongs to store {known}: set cluster.store \
         to that one or put it back, or move its totals with `countree store copy FROM TO`; or start with --adopt to go on \
         without them: what is not in the logs any more is then declared lost. Nothing was changed"
    )]
    Empty {
        /// The store that is remembered.
        known: StoreId,
    },
    /// The folder remembers another store.
    #[error(
        "this is store {found}, and the data folder belongs to store {known}: set cluster.store to that one, or move its \
         totals with `countree store copy FROM TO`; or start with --adopt to use this store with this folder: what was in \
         the other is then declared lost. Nothing was changed"
    )]
    Other {
        /// The store that is there.
        found: StoreId,
        /// The store that is remembered.
        known: StoreId,
    },
    /// The store is used by a cluster with other certificates.
    #[error(
        "the store ({found}) belongs to a cluster of this name with other certificates: start with that cluster's data \
         folder or its ca.pem, or take another cluster.name; or start with --adopt to take the store over: the other \
         cluster then stops serving. Nothing was changed"
    )]
    OtherCluster {
        /// The store that is there.
        found: StoreId,
    },
    /// The store was copied, and the copy is used.
    #[error(
        "store {found} was copied, and its copy {by} has taken its place: set cluster.store to the copy; or start with \
         --adopt to go on with this one, without what was counted since. Nothing was changed"
    )]
    Superseded {
        /// The store that is there.
        found: StoreId,
        /// Its copy.
        by: StoreId,
    },
    /// A part of a Redis Cluster is not what it was.
    #[error(
        "a shard of the Redis Cluster is empty or another's, and the rest is store {found}: bring back the data of every \
         shard; or start with --adopt to go on without it. Nothing was changed"
    )]
    ShardMissing {
        /// The store that the other shards are.
        found: StoreId,
    },
}

/// The store as it was found at its address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundStore {
    /// The store's own record; `None` before its first start.
    pub record: Option<StoreRecord>,
    /// Whether a shard that the record names does not prove itself.
    pub is_shard_missing: bool,
}

/// A process that wants to serve the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// The store that its data folder remembers.
    pub memory: Option<StoreMemory>,
    /// Fingerprints of its certificate authorities.
    pub authorities: BTreeSet<String>,
    /// The operator's word to take over whatever is found, and that what happened to it is known.
    pub adopts: bool,
    /// The machine and folder where it runs, for people.
    pub place: String,
}

/// Random numbers, of which a record takes what it needs.
#[derive(Debug, Clone, Copy)]
pub struct RandomIds {
    /// For an identity.
    pub id: u128,
    /// For a start.
    pub start: u64,
}

/// Decides the store's record from this start on. `adopts` makes no new store where none is needed.
///
/// # Errors
/// When the claimant must not serve what is found.
pub fn claim(found: &FoundStore, claimant: &Claimant, ids: RandomIds) -> Result<StoreRecord, StoreRefusal> {
    let mut record = match refusal(found, claimant) {
        None => found.record.clone().unwrap_or_else(|| StoreRecord::new(StoreId(ids.id))),
        Some(_) if claimant.adopts => adopted(found, claimant, ids),
        Some(refusal) => return Err(refusal),
    };
    if claimant.adopts {
        record.unacknowledged = None;
    }
    record.authorities.clone_from(&claimant.authorities);
    record.held_by.clone_from(&claimant.place);
    record.begin_start(ids.start);
    Ok(record)
}

/// Whether the record says of the store that it went back in time since the folder was last used with it.
pub fn went_back(record: &StoreRecord, memory: &StoreMemory) -> bool {
    record.continues(memory.id, memory.start) == Continuity::WentBack
}

fn refusal(found: &FoundStore, claimant: &Claimant) -> Option<StoreRefusal> {
    let known = claimant.memory.as_ref();
    let Some(record) = &found.record else {
        return known.map(|known| StoreRefusal::Empty { known: known.id });
    };
    let found_id = record.id;
    if let Some(by) = record.superseded_by {
        return Some(StoreRefusal::Superseded { found: found_id, by });
    }
    match known.map(|known| (known.id, record.continues(known.id, known.start))) {
        Some((known, Continuity::Other)) => return Some(StoreRefusal::Other { found: found_id, known }),
        // A folder that knows the store proves enough: certificates may be made anew.
        Some(_) => {}
        None if record.authorities.is_disjoint(&claimant.authorities) && !record.authorities.is_empty() => {
            return Some(StoreRefusal::OtherCluster { found: found_id });
        }
        None => {}
    }
    found.is_shard_missing.then_some(StoreRefusal::ShardMissing { found: found_id })
}

/// A new identity, so that those who use the store under the old one notice.
fn adopted(found: &FoundStore, claimant: &Claimant, ids: RandomIds) -> StoreRecord {
    let id = StoreId(ids.id);
    let mut record = match &found.record {
        Some(record) => record.with_identity(id, found.is_shard_missing),
        None => StoreRecord::new(id),
    };
    let replaced_by = found.record.as_ref().and_then(|record| record.superseded_by);
    if let Some(known) = claimant.memory.as_ref().filter(|known| Some(known.id) != replaced_by)
        && record.continues(known.id, known.start) == Continuity::Other
    {
        record.succeed(Predecessor { id: known.id, is_lost: true });
    } else if let Some(copy) = replaced_by {
        // Its starts tell how far the copy went beyond this store.
        record.succeed(Predecessor { id: copy, is_lost: false });
    }
    record
}

#[cfg(test)]
#[path = "binding_tests.rs"]
mod tests;
