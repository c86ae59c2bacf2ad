//! The embedded store: one redb file, for a cluster on one machine. Every merge is on disk when it is answered.

mod file;
mod key;
mod raised;
mod sessions;

use super::{SavedRegistry, Store, StoreError};
use crate::machine::document::{Position, Verdict, judge};
use countree_common::cluster::NodeName;
use countree_common::cut::{CounterSum, Cut, Outcome};
use countree_common::document::{CounterTotal, Snapshot, Version};
use countree_common::key::{NameError, Topic};
use countree_common::session::{Seq, SessionId};
use countree_common::shell::clock::wall;
use countree_common::shell::folder::{sync_folder, sync_path_to};
use countree_common::wire::rpc::SessionTable;
use file::StoreFile;
use key::TotalKey;
use raised::Raised;
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};
use sessions::SESSIONS;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// What the file is called in the data folder.
pub const FILE_NAME: &str = "store.redb";
const FORMAT: &str = "2";
/// A merge is on disk when it is answered: there is nothing that a restart could forget.
const SERVED_IN: u64 = 0;

/// `cluster` and `format`.
const ABOUT: TableDefinition<'_, &str, &str> = TableDefinition::new("about");
/// Topic → (version number, era, turn). A turn is a topic's place in [`TURNS`].
const TOPICS: TableDefinition<'_, &str, (u64, u64, u64)> = TableDefinition::new("topics");
/// Turn → topic: the last merged has the highest.
const TURNS: TableDefinition<'_, u64, &str> = TableDefinition::new("turns");
/// (Topic, stream) → (last merged LSN, events).
const STREAMS: TableDefinition<'_, (&str, &str), (u64, u64)> = TableDefinition::new("streams");
/// [Key](TotalKey) → total.
const TOTALS: TableDefinition<'_, &[u8], i64> = TableDefinition::new("totals");
/// Revision and text, under the empty key.
const REGISTRY: TableDefinition<'_, &str, (u64, &str)> = TableDefinition::new("registry");

/// One file that holds everything, and the lock on it.
#[derive(Clone)]
pub struct Embedded {
    file: Arc<StoreFile>,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Embedded")
    }
}

fn failed(e: impl Into<redb::Error>) -> StoreError {
    match e.into() {
        redb::Error::Corrupted(what) => StoreError::Damaged(what),
        redb::Error::Io(e) => {
            let is_full = matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
            StoreError::Disk { reason: e.to_string(), is_full }
        }
        e @ redb::Error::PreviousIo => StoreError::Disk { reason: e.to_string(), is_full: false },
        e => StoreError::Failed(e.to_string()),
    }
}

fn misnamed(e: NameError) -> StoreError {
    StoreError::Damaged(e.to_string())
}

impl Embedded {
    /// Opens the store in `data_dir`, and makes both if they are not there.
    ///
    /// # Errors
    /// When it can't be read or written, another process holds it, or it is another cluster's.
    pub async fn open(data_dir: &Path, cluster: &NodeName) -> Result<Self, StoreError> {
        let (data_dir, cluster) = (data_dir.to_owned(), cluster.clone());
        blocking(move || Self::open_now(&data_dir, &cluster)).await
    }

    fn open_now(data_dir: &Path, cluster: &NodeName) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE_NAME);
        let at = |e: String| StoreError::Failed(format!("{}: {e}", path.display()));
        std::fs::create_dir_all(data_dir).map_err(|e| at(e.to_string()))?;
        let file = StoreFile::create(&path)?;
        file.with(|database| prepare(database, &path, cluster))?;
        sync_path_to(data_dir, sync_folder)
            .map_err(|(folder, e)| at(format!("{}: {e}", folder.display())))?;
        Ok(Self { file: Arc::new(file) })
    }

    /// Works with the database where waiting for the disk holds up nothing else.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = self.file.clone();
        blocking(move || file.with(work)).await
    }
}

fn merge(database: &Database, cuts: &[Cut]) -> Result<Vec<Outcome>, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    let mut documents = Documents::open(&transaction)?;
    let outcomes = cuts.iter().map(|cut| documents.merge(cut)).collect::<Result<Vec<_>, _>>()?;
    drop(documents);
    transaction.commit().map_err(failed)?;
    Ok(outcomes)
}

fn read(database: &Database, topic: &Topic) -> Result<Option<Snapshot>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let topics = transaction.open_table(TOPICS).map_err(failed)?;
    let Some(header) = topics.get(topic.as_str()).map_err(failed)? else { return Ok(None) };
    let (number, era, _) = header.value();
    let table = transaction.open_table(TOTALS).map_err(failed)?;
    let mut totals = Vec::new();
    let keys = TotalKey::of_topic(topic);
    for entry in table.range(keys.first()..).map_err(failed)? {
        let (key, total) = entry.map_err(failed)?;
        let Some(counter) = keys.counter(key.value()) else { break };
        let (item, kind) = counter.map_err(misnamed)?;
        totals.push(CounterTotal { item, kind, total: total.value() });
    }
    Ok(Some(Snapshot { topic: topic.clone(), version: Version { era, number }, totals }))
}

fn topics(database: &Database, limit: usize) -> Result<Vec<Topic>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let turns = transaction.open_table(TURNS).map_err(failed)?;
    let latest = turns.range::<u64>(..).map_err(failed)?.rev().take(limit);
    latest.map(|entry| Topic::new(entry.map_err(failed)?.1.value()).map_err(misnamed)).collect()
}

fn load_registry(database: &Database) -> Result<Option<SavedRegistry>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let table = transaction.open_table(REGISTRY).map_err(failed)?;
    let saved = table.get("").map_err(failed)?;
    Ok(saved.map(|saved| (saved.value().0, saved.value().1.to_owned())))
}

fn save_registry(database: &Database, expected: u64, next: u64, text: &str) -> Result<bool, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut table = transaction.open_table(REGISTRY).map_err(failed)?;
        let revision = table.get("").map_err(failed)?.map_or(0, |saved| saved.value().0);
        if revision != expected {
            return Ok(false);
        }
        table.insert("", (next, text)).map_err(failed)?;
    }
    transaction.commit().map_err(failed)?;
    Ok(true)
}

/// Makes the file ready for this cluster.
fn prepare(database: &Database, path: &Path, cluster: &NodeName) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    claim(&transaction, path, cluster)?;
    // Tables come to be when they are first written to; readers expect them.
    transaction.open_table(TOPICS).map_err(failed)?;
    transaction.open_table(TURNS).map_err(failed)?;
    transaction.open_table(STREAMS).map_err(failed)?;
    transaction.open_table(TOTALS).map_err(failed)?;
    transaction.open_table(REGISTRY).map_err(failed)?;
    transaction.open_table(SESSIONS).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// Marks a new file as the cluster's; refuses another's.
fn claim(transaction: &WriteTransaction, path: &Path, cluster: &NodeName) -> Result<(), StoreError> {
    let mut about = transaction.open_table(ABOUT).map_err(failed)?;
    let mut settle = |key: &'static str, own: &str| {
        let found = about.get(key).map_err(failed)?.map(|found| found.value().to_owned());
        if found.is_none() {
            about.insert(key, own).map_err(failed)?;
        }
        Ok::<_, StoreError>(found.filter(|found| found != own))
    };
    if let Some(found) = settle("format", FORMAT)? {
        return Err(StoreError::WrongFormat { path: path.to_owned(), found, expected: FORMAT });
    }
    match settle("cluster", cluster.as_str())? {
        Some(owner) => {
            Err(StoreError::WrongCluster { path: path.to_owned(), owner, cluster: cluster.clone() })
        }
        None => Ok(()),
    }
}

/// The tables of one merge.
struct Documents<'t> {
    topics: Table<'t, &'static str, (u64, u64, u64)>,
    turns: Table<'t, u64, &'static str>,
    streams: Table<'t, (&'static str, &'static str), (u64, u64)>,
    totals: Table<'t, &'static [u8], i64>,
}

impl<'t> Documents<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            topics: transaction.open_table(TOPICS).map_err(failed)?,
            turns: transaction.open_table(TURNS).map_err(failed)?,
            streams: transaction.open_table(STREAMS).map_err(failed)?,
            totals: transaction.open_table(TOTALS).map_err(failed)?,
        })
    }

    fn merge(&mut self, cut: &Cut) -> Result<Outcome, StoreError> {
        let topic = cut.topic.as_str();
        let stream = cut.stream.to_string();
        let header = self.topics.get(topic).map_err(failed)?.map(|found| found.value());
        let (number, era, turn) = header.unwrap_or_default();
        let position = self.streams.get((topic, stream.as_str())).map_err(failed)?.map(|found| found.value());
        let (lsn, events) = position.unwrap_or_default();
        let mut raised = Raised::new(&mut self.totals, &cut.topic);
        let raise = |sum: &CounterSum| raised.raise(sum);
        let change = match judge(Version { era, number }, SERVED_IN, Position { lsn, events }, cut, raise)? {
            Verdict::Unchanged(outcome) => return raised.take_back(&cut.sums).map(|()| outcome),
            Verdict::Changed(change) => change,
        };
        let Position { lsn, events } = change.position;
        self.streams.insert((topic, stream.as_str()), (lsn, events)).map_err(failed)?;
        let Version { era, number } = change.version;
        let turn = self.next_turn(topic, header.map(|_| turn))?;
        self.topics.insert(topic, (number, era, turn)).map_err(failed)?;
        Ok(change.into_outcome(true))
    }

    /// Puts the topic last in the turns.
    fn next_turn(&mut self, topic: &str, turn: Option<u64>) -> Result<u64, StoreError> {
        if let Some(turn) = turn {
            self.turns.remove(turn).map_err(failed)?;
        }
        let last = self.turns.last().map_err(failed)?.map_or(0, |(turn, _)| turn.value());
        self.turns.insert(last + 1, topic).map_err(failed)?;
        Ok(last + 1)
    }
}

/// Runs work that waits for the disk where it holds up nothing else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(StoreError::Failed(format!("the store's thread ended: {e}"))),
    }
}

impl Store for Embedded {
    async fn merge(&self, cuts: Arc<[Cut]>) -> Vec<Result<Outcome, StoreError>> {
        let batch = cuts.clone();
        match self.with(move |database| merge(database, &batch)).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(e) => vec![Err(e); cuts.len()],
        }
    }

    async fn read(&self, topic: &Topic) -> Result<Option<Snapshot>, StoreError> {
        let topic = topic.clone();
        self.with(move |database| read(database, &topic)).await
    }

    async fn served_in(&self) -> Result<u64, StoreError> {
        Ok(SERVED_IN)
    }

    async fn topics(&self, limit: usize) -> Result<Vec<Topic>, StoreError> {
        self.with(move |database| topics(database, limit)).await
    }

    async fn load_registry(&self) -> Result<Option<SavedRegistry>, StoreError> {
        self.with(load_registry).await
    }

    async fn save_registry(&self, expected: u64, next: u64, text: String) -> Result<bool, StoreError> {
        self.with(move |database| save_registry(database, expected, next, &text)).await
    }

    async fn put_sessions(&self, table: SessionTable) -> Result<bool, StoreError> {
        self.with(move |database| sessions::put(database, &table, wall().0)).await.map(|()| true)
    }

    async fn ended(&self, leaf: &NodeName, session: SessionId) -> Result<Option<Seq>, StoreError> {
        let leaf = leaf.clone();
        self.with(move |database| sessions::ended(database, &leaf, session, wall().0)).await
    }
}
