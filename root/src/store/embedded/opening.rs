//! Opens the file, and makes it ready for its cluster.

use super::backup_progress::Backups;
use super::failure::failed;
use super::file::StoreFile;
use super::index::{Index, NUMBERS_HELD};
use super::layout::{
    ABOUT, ERAS, FORGOTTEN, FORMAT, HIGHEST_ERA, NAMES, NEXT, NEXT_TOPIC, REGISTRY, STREAMS, TOPICS, TOTALS,
    TURNS,
};
use super::sessions::SESSIONS;
use super::{Embedded, FILE_NAME, blocking, whole};
use crate::machine::documents::eras::of_start;
use crate::store::StoreError;
use crate::store::whole::refuse_half;
use countree_common::cluster::NodeName;
use countree_common::shell::clock::wall;
use countree_common::shell::folder::{sync_folder, sync_path_to};
use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};
use std::path::Path;
use std::sync::{Arc, Mutex};

impl Embedded {
    /// Opens the store in `data_dir`, and makes both if they are not there.
    ///
    /// # Errors
    /// When it can't be read or written, another process holds it, it is another cluster's, or only half of it was
    /// copied there.
    pub async fn open(data_dir: &Path, cluster: &NodeName) -> Result<Self, StoreError> {
        let (data_dir, cluster) = (data_dir.to_owned(), cluster.clone());
        blocking(move || {
            let store = Self::open_now(&data_dir, &cluster)?;
            refuse_half(store.file.with(whole::copy_mark)?)?;
            Ok(store)
        })
        .await
    }

    /// Opens like [`Embedded::open`], but also a store that was copied there only by half.
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
}

/// Makes the file ready for this cluster; returns the era of this start.
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

/// Begins the era of this start. A file from before eras were recorded has eras of 0, or those that leaves asked for.
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

/// Sets the number that the next new topic gets, in a file from before that was recorded.
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
