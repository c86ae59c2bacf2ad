//! The embedded store: one redb file, for a cluster on one machine. Every merge is on disk when it is answered.

mod backup;
mod blocks;
mod documents;
mod file;
mod forgetting;
mod identity;
mod index;
mod layout;
mod name;
mod reading;
mod sessions;
mod whole;

use super::whole::refuse_half;
use super::{Cursor, Page, SavedRegistry, Store, StoreError};
use crate::machine::documents::eras::of_start;
use crate::machine::documents::{Document, Position, served};
use crate::machine::identity::binding::FoundStore;
pub use backup::Backup;
use backup::Backups;
use countree_common::cluster::NodeName;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::{Snapshot, Version};
use countree_common::forget::Forgetting;
use countree_common::key::{NameError, Topic};
use countree_common::session::{Seq, SessionId};
use countree_common::shell::clock::wall;
use countree_common::shell::folder::{sync_folder, sync_path_to};
use countree_common::store::{StoreId, StoreRecord};
use countree_common::stream::StreamId;
use countree_common::wire::rpc::SessionTable;
use documents::Documents;
use file::StoreFile;
use index::{Index, NUMBERS_HELD};
use layout::{
    ABOUT, ERAS, FORGOTTEN, FORMAT, HIGHEST_ERA, NAMES, NEXT, NEXT_TOPIC, REGISTRY, STREAMS, TOPICS, TOTALS,
    TURNS,
};
use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};
use sessions::SESSIONS;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What the file is called in the data folder.
pub const FILE_NAME: &str = "store.redb";

/// One file that holds everything, and the lock on it.
#[derive(Clone)]
pub struct Embedded {
    file: Arc<StoreFile>,
    /// Held by whoever merges.
    index: Arc<Mutex<Index>>,
    backups: Backups,
    /// The era of this start. No merge that was answered is forgotten by a restart, but the file may be another: wiped, or
    /// an older copy.
    served_in: u64,
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
    /// When it can't be read or written, another process holds it, it is another cluster's, or only half of it was copied
    /// there.
    pub async fn open(data_dir: &Path, cluster: &NodeName) -> Result<Self, StoreError> {
        let (data_dir, cluster) = (data_dir.to_owned(), cluster.clone());
        blocking(move || {
            let store = Self::open_now(&data_dir, &cluster)?;
            refuse_half(store.file.with(whole::copy_mark)?)?;
            Ok(store)
        })
        .await
    }

    /// [`Embedded::open`], also when only half of it was copied there.
    ///
    /// # Errors
    /// When it can't be read or written, another process holds it, or it is another cluster's.
    pub async fn open_any(data_dir: &Path, cluster: &NodeName) -> Result<Self, StoreError> {
        let (data_dir, cluster) = (data_dir.to_owned(), cluster.clone());
        blocking(move || Self::open_now(&data_dir, &cluster)).await
    }

    /// The cluster that the store in `data_dir` belongs to; `None` where there is no store.
    ///
    /// # Errors
    /// When it can't be read, or another process holds it.
    pub fn owner(data_dir: &Path) -> Result<Option<NodeName>, StoreError> {
        let path = data_dir.join(FILE_NAME);
        if !path.exists() {
            return Ok(None);
        }
        StoreFile::create(&path)?.with(|database| {
            let transaction = database.begin_read().map_err(failed)?;
            let about = match transaction.open_table(ABOUT) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
                about => about.map_err(failed)?,
            };
            let owner = about.get("cluster").map_err(failed)?.map(|owner| owner.value().to_owned());
            owner.map(|o| NodeName::new(&o)).transpose().map_err(|e| StoreError::Damaged(e.to_string()))
        })
    }

    fn open_now(data_dir: &Path, cluster: &NodeName) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE_NAME);
        let at = |e: String| StoreError::Failed(format!("{}: {e}", path.display()));
        std::fs::create_dir_all(data_dir).map_err(|e| at(e.to_string()))?;
        let file = StoreFile::create(&path)?;
        let served_in = file.with(|database| prepare(database, &path, cluster))?;
        sync_path_to(data_dir, sync_folder)
            .map_err(|(folder, e)| at(format!("{}: {e}", folder.display())))?;
        let index = Arc::new(Mutex::new(Index::new(NUMBERS_HELD)));
        Ok(Self { file: Arc::new(file), index, backups: Backups::default(), served_in })
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

/// Merges all of the cuts, or none. What the index has learned from a transaction that failed is not so.
fn merge(
    database: &Database,
    index: &Mutex<Index>,
    served_in: u64,
    cuts: &[Cut],
) -> Result<Vec<Outcome>, StoreError> {
    let mut index = index.lock().unwrap_or_else(|poisoned| {
        index.clear_poison();
        let mut index = poisoned.into_inner();
        index.clear();
        index
    });
    let outcomes = merge_with(database, &mut index, served_in, cuts);
    if outcomes.is_err() {
        index.clear();
    }
    outcomes
}

fn merge_with(
    database: &Database,
    index: &mut Index,
    served_in: u64,
    cuts: &[Cut],
) -> Result<Vec<Outcome>, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    let mut documents = Documents::open(&transaction, index, served_in)?;
    let outcomes = cuts.iter().map(|cut| documents.merge(cut)).collect::<Result<Vec<_>, _>>()?;
    drop(documents);
    transaction.commit().map_err(failed)?;
    Ok(outcomes)
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

/// Makes the file ready for this cluster; the era of this start.
fn prepare(database: &Database, path: &Path, cluster: &NodeName) -> Result<u64, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    claim(&transaction, path, cluster)?;
    // Tables come to be when they are first written to; readers expect them.
    transaction.open_table(TOPICS).map_err(failed)?;
    transaction.open_table(TURNS).map_err(failed)?;
    transaction.open_table(FORGOTTEN).map_err(failed)?;
    transaction.open_table(STREAMS).map_err(failed)?;
    transaction.open_table(NAMES).map_err(failed)?;
    transaction.open_table(TOTALS).map_err(failed)?;
    transaction.open_table(REGISTRY).map_err(failed)?;
    transaction.open_table(SESSIONS).map_err(failed)?;
    number_topics(&transaction)?;
    let era = begin_era(&transaction)?;
    transaction.commit().map_err(failed)?;
    Ok(era)
}

/// Begins the era of this start. Files of before this was kept have eras of 0, or of what leaves asked for.
fn begin_era(transaction: &WriteTransaction) -> Result<u64, StoreError> {
    let mut eras = transaction.open_table(ERAS).map_err(failed)?;
    let held = eras.get(HIGHEST_ERA).map_err(failed)?.map(|era| era.value());
    let held = match held {
        Some(held) => held,
        None => {
            let (topics, mut highest) = (transaction.open_table(TOPICS).map_err(failed)?, 0);
            for entry in topics.iter().map_err(failed)? {
                let (_, era, ..) = entry.map_err(failed)?.1.value();
                highest = highest.max(era);
            }
            highest
        }
    };
    let era = of_start(held, wall(), rand::random());
    eras.insert(HIGHEST_ERA, era).map_err(failed)?;
    Ok(era)
}

/// Files of before this was kept numbered topics by how many there were.
fn number_topics(transaction: &WriteTransaction) -> Result<(), StoreError> {
    let mut next = transaction.open_table(NEXT).map_err(failed)?;
    if next.get(NEXT_TOPIC).map_err(failed)?.is_some() {
        return Ok(());
    }
    let topics = transaction.open_table(TOPICS).map_err(failed)?;
    let mut free = 0;
    for entry in topics.iter().map_err(failed)? {
        let (.., number) = entry.map_err(failed)?.1.value();
        free = free.max(number.saturating_add(1));
    }
    next.insert(NEXT_TOPIC, free).map_err(failed)?;
    Ok(())
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
        let (batch, index, era) = (cuts.clone(), self.index.clone(), self.served_in);
        match self.with(move |database| merge(database, &index, era, &batch)).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(e) => vec![Err(e); cuts.len()],
        }
    }

    async fn read(&self, topic: &Topic) -> Result<Option<Snapshot>, StoreError> {
        let topic = topic.clone();
        let stored = self.with(move |database| reading::snapshot(database, &topic)).await?;
        Ok(stored.map(|s| Snapshot { version: served(s.version, self.served_in), ..s }))
    }

    async fn served_in(&self) -> Result<u64, StoreError> {
        Ok(self.served_in)
    }

    async fn topics(&self, limit: usize) -> Result<Vec<Topic>, StoreError> {
        self.with(move |database| reading::topics(database, limit)).await
    }

    async fn scan(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Topic>, StoreError> {
        self.with(move |database| reading::scan(database, after, limit)).await
    }

    async fn document(&self, topic: &Topic) -> Result<Option<Document>, StoreError> {
        let topic = topic.clone();
        self.with(move |database| reading::document(database, &topic)).await
    }

    async fn forget(&self, topic: &Topic, at: Version) -> Result<Forgetting, StoreError> {
        let (topic, index, era) = (topic.clone(), self.index.clone(), self.served_in);
        self.with(move |database| forgetting::forget(database, &index, era, &topic, at)).await
    }

    async fn forgotten(&self, topics: Arc<[Topic]>) -> Result<Vec<u64>, StoreError> {
        self.with(move |database| forgetting::forgotten(database, &topics)).await
    }

    async fn positions(
        &self,
        topics: Arc<[Topic]>,
        streams: Arc<[StreamId]>,
    ) -> Result<Vec<Vec<Position>>, StoreError> {
        self.with(move |database| reading::positions(database, &topics, &streams)).await
    }

    async fn identity(&self) -> Result<FoundStore, StoreError> {
        self.with(identity::get).await
    }

    async fn put_identity(&self, record: StoreRecord) -> Result<bool, StoreError> {
        self.with(move |database| identity::put(database, record)).await
    }

    /// The file is held by this process: nobody else serves it meanwhile, under whatever identity.
    async fn serve_as(&self, _: StoreId, _: bool) -> Result<(), StoreError> {
        Ok(())
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
