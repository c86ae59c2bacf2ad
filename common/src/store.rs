//! Identity of a store, and the record that a data folder keeps of it.
//!
//! Logs, ledgers and totals are right only together. So each store has an identity, made at its first start,
//! and each data folder remembers the one that it was last used with. [`StoreRecord::continues`] compares the
//! two.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;
use std::fmt;

/// Number of starts that a store remembers. A data folder whose last start is not among them was used with a
/// newer copy.
const STARTS_REMEMBERED: usize = 64;
/// Earlier identities that a store remembers.
const PREDECESSORS_REMEMBERED: usize = 64;

/// A store's identity: 128 random bits, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId(pub u128);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for StoreId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for StoreId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            u128::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
        } else {
            u128::deserialize(deserializer).map(Self)
        }
    }
}

/// One start of a process that serves a store. A copy that was restored repeats the number, with another
/// random one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStart {
    /// 1, 2, 3 …
    pub number: u64,
    /// A random number.
    pub chance: u64,
}

/// A store that this one has replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predecessor {
    /// Its identity.
    pub id: StoreId,
    /// Whether its totals are missing here: it was given up with `--adopt`, not copied.
    pub is_lost: bool,
}

/// A loss of a store's data while it was in use, caused from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreLoss {
    /// All of its data, or all of a shard.
    Emptied,
    /// The data since some moment: an older copy was put in its place.
    WentBack,
}

/// A store's record of itself. It is kept as JSON, and fields may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRecord {
    /// Its identity.
    pub id: StoreId,
    /// Number of times that the record was written.
    #[serde(default)]
    pub revision: u64,
    /// The last starts of processes that serve it, oldest first.
    #[serde(default)]
    pub starts: Vec<StoreStart>,
    /// Fingerprints of the certificate authorities of the cluster that it belongs to.
    #[serde(default)]
    pub authorities: BTreeSet<String>,
    /// Stores that it has replaced, oldest first.
    #[serde(default)]
    pub predecessors: Vec<Predecessor>,
    /// The copy of it that is in use now.
    #[serde(default)]
    pub superseded_by: Option<StoreId>,
    /// A loss while it was in use, until an operator acknowledges it.
    #[serde(default)]
    pub unacknowledged: Option<StoreLoss>,
    /// The store that its cluster used before an operator accepted this one.
    #[serde(default)]
    pub follows: Option<StoreId>,
    /// The machine of the process that last began to serve it, for people.
    #[serde(default)]
    pub held_by: String,
    /// In a Redis Cluster, the hash tags of the keys that prove its shards.
    #[serde(default)]
    pub shards: BTreeSet<String>,
}

/// A data folder's record of the store that it was last used with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreMemory {
    /// The store.
    pub id: StoreId,
    /// The last of its starts that the folder has seen.
    pub start: StoreStart,
    /// For a leaf's folder: streams up to this incarnation are gone. They were merged into stores that the
    /// folder belonged to before, in another cluster.
    #[serde(default)]
    pub foreign_to: u64,
}

/// A leaf's description of its data folder, sent when it joins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderStore {
    /// The store that the folder remembers, and the last of its starts that the folder has seen.
    pub known: Option<(StoreId, StoreStart)>,
    /// Whether the operator accepts any store for the folder.
    pub adopts: bool,
}

/// The store that a leaf's folder belongs to once it has joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderAdmission {
    /// The store.
    pub id: StoreId,
    /// Its last start.
    pub start: StoreStart,
    /// Whether the folder belonged to a store unknown to this one: streams without a log don't concern this
    /// one.
    pub is_foreign: bool,
}

/// The relation of a store to a remembered one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Continuity {
    /// The same store, or a copy of it.
    Same,
    /// The same store at an earlier time: it has forgotten a start that is remembered.
    WentBack,
    /// Another store, which has replaced it by an operator's word: totals of the remembered one are not in
    /// it.
    Lost,
    /// Another store.
    Other,
}

impl StoreRecord {
    /// Makes the record of a new store.
    pub fn new(id: StoreId) -> Self {
        Self {
            id,
            revision: 0,
            starts: Vec::new(),
            authorities: BTreeSet::new(),
            predecessors: Vec::new(),
            superseded_by: None,
            unacknowledged: None,
            follows: None,
            held_by: String::new(),
            shards: BTreeSet::new(),
        }
    }

    /// Returns the last start.
    pub fn last_start(&self) -> Option<StoreStart> {
        self.starts.last().copied()
    }

    /// Records a start of a process that serves the store.
    pub fn begin_start(&mut self, chance: u64) {
        let number = self.last_start().map_or(1, |last| last.number.saturating_add(1));
        self.starts.push(StoreStart { number, chance });
        if self.starts.len() > STARTS_REMEMBERED {
            self.starts.remove(0);
        }
    }

    /// Adds starts that a root remembers and this record lacks.
    pub fn remember_starts(&mut self, starts: &[StoreStart]) {
        let news: Vec<_> = starts.iter().filter(|start| !self.starts.contains(start)).copied().collect();
        self.starts.extend(news);
        self.starts.sort_by_key(|start| start.number);
        let too_many = self.starts.len().saturating_sub(STARTS_REMEMBERED);
        self.starts.drain(..too_many);
    }

    /// Returns the record under another identity. `is_lost` says that totals of the present one are missing
    /// there.
    pub fn with_identity(&self, id: StoreId, is_lost: bool) -> Self {
        let mut record = Self { id, superseded_by: None, follows: None, ..self.clone() };
        record.succeed(Predecessor { id: self.id, is_lost });
        record
    }

    /// Records that it replaces another store.
    pub fn succeed(&mut self, predecessor: Predecessor) {
        self.predecessors.retain(|known| known.id != predecessor.id);
        self.predecessors.push(predecessor);
        if self.predecessors.len() > PREDECESSORS_REMEMBERED {
            self.predecessors.remove(0);
        }
    }

    /// Compares this store with a remembered start of the store `id`.
    pub fn continues(&self, id: StoreId, start: StoreStart) -> Continuity {
        let is_lost = if id == self.id {
            Some(false)
        } else {
            self.predecessors.iter().find(|known| known.id == id).map(|known| known.is_lost)
        };
        match is_lost {
            None => Continuity::Other,
            Some(true) => Continuity::Lost,
            Some(false) if self.has_seen(start) => Continuity::Same,
            Some(false) => Continuity::WentBack,
        }
    }

    /// Whether the start is among its own. A start older than all that it remembers counts as one.
    fn has_seen(&self, start: StoreStart) -> bool {
        match (self.starts.first(), self.starts.last()) {
            (Some(first), _) if start.number < first.number => true,
            (_, Some(last)) if start.number > last.number => false,
            (None, _) => false,
            _ => self.starts.contains(&start),
        }
    }

    /// Parses the store's text.
    ///
    /// # Errors
    /// When the text is malformed.
    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Encodes the record for the store.
    ///
    /// # Errors
    /// Never for a record; the JSON writer's type allows for one.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

impl StoreMemory {
    /// Makes the memory of a store that serves in this start.
    pub fn of(id: StoreId, start: StoreStart) -> Self {
        Self { id, start, foreign_to: 0 }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
