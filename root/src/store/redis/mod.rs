//! The Redis store: one hash per topic, a script call per topic or cut, many calls in one round trip.
//!
//! A script touches one key, so that it works while a Redis Cluster moves slots; and what it writes is
//! replicated whole, so that a failover forgets totals and positions together.

mod answer;
mod connection;
mod durability;
mod forgetting;
mod identity;
mod layout;
mod mending;
mod merging;
mod opening;
mod process_id;
mod reading;
mod recent;
mod refusal;
mod registry;
mod scanning;
mod server_process;
mod sessions;
mod shards;
mod single;
mod whole;
mod writing;

use super::{Cursor, Page, SavedRegistry, Store, StoreError};
use crate::machine::documents::cache::DocumentCache;
use crate::machine::documents::{Document, Position};
use crate::machine::identity::binding::FoundStore;
use connection::RedisConnection;
use countree_common::cluster::NodeName;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::{Snapshot, Version};
use countree_common::forget::ForgetOutcome;
use countree_common::key::Topic;
use countree_common::session::{Seq, SessionId};
use countree_common::store::{StoreId, StoreRecord};
use countree_common::stream::StreamId;
use countree_common::wire::rpc::SessionTable;
use durability::Durability;
use layout::Keys;
pub use mending::Mended;
use redis::{RedisResult, Script};
use server_process::ServerProcess;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A Redis server or a Redis Cluster.
#[derive(Clone)]
pub struct Redis {
    link: RedisConnection,
    keys: Keys,
    cache: Arc<Mutex<DocumentCache>>,
    /// The process that served last.
    process: Arc<tokio::sync::Mutex<Option<Arc<ServerProcess>>>>,
    save: Arc<Script>,
    mend: Arc<Script>,
    noted: Arc<Mutex<HashMap<Topic, Instant>>>,
    durability: Arc<Durability>,
    /// The store that is served; `None` where it is not served, but copied or looked at.
    bound: Arc<Mutex<Option<StoreId>>>,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Redis {
    /// Whether it is one server, which may be one that loses nothing.
    fn is_single(&self) -> bool {
        matches!(self.link, RedisConnection::Single(_))
    }

    /// The process that serves, as far as is known.
    async fn process(&self) -> RedisResult<Arc<ServerProcess>> {
        self.process_other_than(None).await
    }

    /// The process that serves, met again if it was taken for `stale` until now.
    async fn process_other_than(
        &self,
        stale: Option<&Arc<ServerProcess>>,
    ) -> RedisResult<Arc<ServerProcess>> {
        let mut known = self.process.lock().await;
        match &*known {
            Some(process) if stale.is_none_or(|stale| !Arc::ptr_eq(process, stale)) => Ok(process.clone()),
            _ => {
                let process = Arc::new(ServerProcess::meet(&mut self.link.clone(), &self.keys).await?);
                // After the scripts are there: a cluster that takes the store over changes its identity first, and then
                // takes the scripts away.
                self.check_bound().await?;
                *known = Some(process.clone());
                self.cache.lock().unwrap_or_else(PoisonError::into_inner).clear();
                Ok(process)
            }
        }
    }
}

/// An answer that is not of the form that was asked for.
fn answered(e: redis::ParsingError) -> StoreError {
    StoreError::Failed(format!("Redis gave no answer of ours: {e}"))
}

impl Store for Redis {
    async fn merge(&self, cuts: Arc<[Cut]>) -> Vec<Result<Outcome, StoreError>> {
        let outcomes = self.merge_all(&cuts).await;
        self.note_recent(&cuts, &outcomes).await;
        outcomes
    }

    async fn read(&self, topic: &Topic) -> Result<Option<Snapshot>, StoreError> {
        let (fields, era) = self.whole_fields(topic).await?;
        if fields.is_empty() { Ok(None) } else { layout::snapshot(topic, fields, era).map(Some) }
    }

    async fn served_in(&self) -> Result<u64, StoreError> {
        let process = self.process().await?;
        if process.serves_still(&mut self.link.clone(), &self.keys).await? {
            return Ok(process.era);
        }
        Ok(self.process_other_than(Some(&process)).await?.era)
    }

    async fn topics(&self, limit: usize) -> Result<Vec<Topic>, StoreError> {
        self.recent_topics(limit).await
    }

    async fn scan(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Topic>, StoreError> {
        self.scan_topics(after, limit).await
    }

    async fn document(&self, topic: &Topic) -> Result<Option<Document>, StoreError> {
        self.whole_document(topic).await
    }

    async fn forget(&self, topic: &Topic, at: Version) -> Result<ForgetOutcome, StoreError> {
        self.forget_topic(topic, at).await
    }

    async fn forgotten(&self, topics: Arc<[Topic]>) -> Result<Vec<u64>, StoreError> {
        self.events_forgotten(&topics).await
    }

    async fn positions(
        &self,
        topics: Arc<[Topic]>,
        streams: Arc<[StreamId]>,
    ) -> Result<Vec<Vec<Position>>, StoreError> {
        self.stream_positions(&topics, &streams).await
    }

    async fn identity(&self) -> Result<FoundStore, StoreError> {
        self.find_identity().await
    }

    async fn put_identity(&self, record: StoreRecord) -> Result<bool, StoreError> {
        self.replace_identity(record).await
    }

    async fn serve_as(&self, id: StoreId, bars_others: bool) -> Result<(), StoreError> {
        self.bind(id, bars_others).await
    }

    async fn load_registry(&self) -> Result<Option<SavedRegistry>, StoreError> {
        self.read_registry().await
    }

    async fn save_registry(&self, expected: u64, next: u64, text: String) -> Result<bool, StoreError> {
        self.replace_registry(expected, next, text).await
    }

    async fn put_sessions(&self, table: SessionTable) -> Result<bool, StoreError> {
        self.keep_sessions(&table).await
    }

    async fn ended(&self, leaf: &NodeName, session: SessionId) -> Result<Option<Seq>, StoreError> {
        self.last_of(leaf, session).await
    }
}
