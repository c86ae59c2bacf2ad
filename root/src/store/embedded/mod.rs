//! The embedded store: one redb file, for a cluster on one machine. Every merge is on disk when it is answered.

mod backup;
mod backup_progress;
mod blocks;
mod documents;
mod failure;
mod file;
mod forgetting;
mod identity;
mod index;
mod layout;
mod merging;
mod name;
mod opening;
mod reading;
mod registry;
mod sessions;
mod whole;

use super::{Cursor, Page, SavedRegistry, Store, StoreError};
use crate::machine::documents::{Document, Position, served};
use crate::machine::identity::binding::FoundStore;
pub use backup_progress::Backup;
use backup_progress::Backups;
use countree_common::cluster::NodeName;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::{Snapshot, Version};
use countree_common::forget::ForgetOutcome;
use countree_common::key::Topic;
use countree_common::session::{Seq, SessionId};
use countree_common::shell::clock::wall;
use countree_common::store::{StoreId, StoreRecord};
use countree_common::stream::StreamId;
use countree_common::wire::rpc::SessionTable;
use file::StoreFile;
use index::Index;
use redb::Database;
use std::sync::{Arc, Mutex};

/// The file's name in the data folder.
pub const FILE_NAME: &str = "store.redb";

/// One file that holds everything, and the lock on it.
#[derive(Clone)]
pub struct Embedded {
    file: Arc<StoreFile>,
    /// Locked during a merge.
    index: Arc<Mutex<Index>>,
    backups: Backups,
    /// The era of this start. No merge that was answered is forgotten by a restart, but the file may be another: wiped,
    /// or an older copy.
    served_in: u64,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Embedded")
    }
}

impl Embedded {
    /// Works with the database where waiting for the disk holds up nothing else.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = self.file.clone();
        blocking(move || file.with(work)).await
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
        match self.with(move |database| merging::merge(database, &index, era, &batch)).await {
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

    async fn forget(&self, topic: &Topic, at: Version) -> Result<ForgetOutcome, StoreError> {
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

    /// Does nothing: this process has the file locked, and no other can serve it.
    async fn serve_as(&self, _: StoreId, _: bool) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load_registry(&self) -> Result<Option<SavedRegistry>, StoreError> {
        self.with(registry::load).await
    }

    async fn save_registry(&self, expected: u64, next: u64, text: String) -> Result<bool, StoreError> {
        self.with(move |database| registry::save(database, expected, next, &text)).await
    }

    async fn put_sessions(&self, table: SessionTable) -> Result<bool, StoreError> {
        self.with(move |database| sessions::put(database, &table, wall().0)).await.map(|()| true)
    }

    async fn ended(&self, leaf: &NodeName, session: SessionId) -> Result<Option<Seq>, StoreError> {
        let leaf = leaf.clone();
        self.with(move |database| sessions::ended(database, &leaf, session, wall().0)).await
    }
}
