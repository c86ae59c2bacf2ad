//! Identity of a store, and the record that a data folder keeps of it.
//!
//! Logs, ledgers and totals are right only together. So each store has an identity, made at its first start, and each data folder
//! remembers the one that it was last used with. How the two are compared is [`StoreRecord::continues`].

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;
use std::fmt;

/// Starts that a store remembers, so that a data folder can tell an older copy of it.
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

/// One start of a process that serves a store. A copy that was put back gives the number again, with another chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStart {
    /// 1, 2, 3 …
    pub number: u64,
    /// A random number.
    pub chance: u64,
}

/// A store whose place this one has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predecessor {
    /// Its identity.
    pub id: StoreId,
    /// Whether its totals are not here: it was given up with `--adopt`, not copied.
    pub is_lost: bool,
}

/// What a store has lost while it was in use, by other hands than ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreLoss {
    /// All that it held, or all of a shard.
    Emptied,
    /// What came after some moment: an older copy was put in its place.
    WentBack,
}

/// What a store says of itself. It is kept as JSON, and fields may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRecord {
    /// Its identity.
    pub id: StoreId,
    /// How often the record was written.
    #[serde(default)]
    pub revision: u64,
    /// The last starts of processes that serve it, oldest first.
    #[serde(default)]
    pub starts: Vec<StoreStart>,
    /// Fingerprints of the certificate authorities of the cluster that it belongs to.
    #[serde(default)]
    pub authorities: BTreeSet<String>,
    /// Stores whose place it has taken, oldest first.
    #[serde(default)]
    pub predecessors: Vec<Predecessor>,
    /// The copy of it that is used now.
    #[serde(default)]
    pub superseded_by: Option<StoreId>,
    /// What happened to it while it was in use, as long as no operator has acknowledged that.
    #[serde(default)]
    pub unacknowledged: Option<StoreLoss>,
    /// The store that its cluster used, until an operator said that it is to go on with this one.
    #[serde(default)]
    pub follows: Option<StoreId>,
    /// Where the process runs that began to serve it last, for people.
    #[serde(default)]
    pub held_by: String,
    /// In a Redis Cluster, the hash tags of the keys that prove its shards.
    #[serde(default)]
    pub shards: BTreeSet<String>,
}

/// What a data folder remembers of the store that it was last used with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreMemory {
    /// The store.
    pub id: StoreId,
    /// The last of its starts that the folder has seen.
    pub start: StoreStart,
    /// A leaf's folder: streams up to this incarnation are gone, and were merged into stores that the folder belonged to
    /// before, in another cluster.
    #[serde(default)]
    pub foreign_to: u64,
}

/// What a leaf says of its data folder when it joins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderStore {
    /// The store that the folder remembers, and the last of its starts that it has seen.
    pub known: Option<(StoreId, StoreStart)>,
    /// The operator's word to use the folder with whatever store there is.
    pub adopts: bool,
}

/// What a leaf's folder belongs to from its joining on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderAdmission {
    /// The store.
    pub id: StoreId,
    /// Its last start.
    pub start: StoreStart,
    /// The folder belonged to a store that this one knows nothing of: streams of which the log is gone are nothing here.
    pub is_foreign: bool,
}

/// What a store is to somebody who remembers one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Continuity {
    /// The same, or a copy of it.
    Same,
    /// The same, as it was earlier: it has forgotten a start that is remembered.
    WentBack,
    /// Another that has taken its place by an operator's word: what the remembered one held is not in it.
    Lost,
    /// Another.
    Other,
}

impl StoreRecord {
    /// A store's first.
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

    /// The last start.
    pub fn last_start(&self) -> Option<StoreStart> {
        self.starts.last().copied()
    }

    /// A process begins to serve it.
    pub fn begin_start(&mut self, chance: u64) {
        let number = self.last_start().map_or(1, |last| last.number.saturating_add(1));
        self.starts.push(StoreStart { number, chance });
        if self.starts.len() > STARTS_REMEMBERED {
            self.starts.remove(0);
        }
    }

    /// Takes up starts that it was once told of.
    pub fn remember_starts(&mut self, starts: &[StoreStart]) {
        let news: Vec<_> = starts.iter().filter(|start| !self.starts.contains(start)).copied().collect();
        self.starts.extend(news);
        self.starts.sort_by_key(|start| start.number);
        let too_many = self.starts.len().saturating_sub(STARTS_REMEMBERED);
        self.starts.drain(..too_many);
    }

    /// The store goes on under another identity; with its totals, or without.
    pub fn renamed(&self, id: StoreId, is_lost: bool) -> Self {
        let mut renamed = Self { id, superseded_by: None, follows: None, ..self.clone() };
        renamed.succeed(Predecessor { id: self.id, is_lost });
        renamed
    }

    /// It takes the place of another store.
    pub fn succeed(&mut self, predecessor: Predecessor) {
        self.predecessors.retain(|known| known.id != predecessor.id);
        self.predecessors.push(predecessor);
        if self.predecessors.len() > PREDECESSORS_REMEMBERED {
            self.predecessors.remove(0);
        }
    }

    /// What this store is to whoever remembers a start of the store `id`.
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

    /// Whether the start is among its own; one from before all that it remembers is taken for one.
    fn has_seen(&self, start: StoreStart) -> bool {
        match (self.starts.first(), self.starts.last()) {
            (Some(first), _) if start.number < first.number => true,
            (_, Some(last)) if start.number > last.number => false,
            (None, _) => false,
            _ => self.starts.contains(&start),
        }
    }

    /// From the store's text.
    ///
    /// # Errors
    /// When it is no record.
    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// For the store.
    ///
    /// # Errors
    /// Never for a record; the type of the JSON writer says otherwise.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

impl StoreMemory {
    /// Of a store that serves in this start.
    pub fn of(id: StoreId, start: StoreStart) -> Self {
        Self { id, start, foreign_to: 0 }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
