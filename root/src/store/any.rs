//! Either of the two stores, behind one type.

use super::{CopyMark, Cursor, Embedded, Page, Redis, SavedRegistry, Store, StoreError, Whole};
use crate::machine::documents::{Document, Position};
use crate::machine::identity::binding::FoundStore;
use countree_common::cluster::NodeName;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::{Snapshot, Version};
use countree_common::forget::ForgetOutcome;
use countree_common::key::Topic;
use countree_common::session::{Seq, SessionId};
use countree_common::store::{StoreId, StoreRecord};
use countree_common::stream::StreamId;
use countree_common::wire::rpc::SessionTable;
use std::sync::Arc;

/// The store that a cluster is configured to use.
#[derive(Debug)]
pub enum AnyStore {
    /// One file.
    Embedded(Embedded),
    /// A Redis server or a Redis Cluster.
    Redis(Redis),
}

macro_rules! dispatch {
    ($store:expr, $method:ident($($argument:expr),*)) => {
        match $store {
            AnyStore::Embedded(store) => store.$method($($argument),*).await,
            AnyStore::Redis(store) => store.$method($($argument),*).await,
        }
    };
}

impl Store for AnyStore {
    async fn merge(&self, cuts: Arc<[Cut]>) -> Vec<Result<Outcome, StoreError>> {
        dispatch!(self, merge(cuts))
    }

    async fn read(&self, topic: &Topic) -> Result<Option<Snapshot>, StoreError> {
        dispatch!(self, read(topic))
    }

    async fn served_in(&self) -> Result<u64, StoreError> {
        dispatch!(self, served_in())
    }

    async fn topics(&self, limit: usize) -> Result<Vec<Topic>, StoreError> {
        dispatch!(self, topics(limit))
    }

    async fn scan(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Topic>, StoreError> {
        dispatch!(self, scan(after, limit))
    }

    async fn document(&self, topic: &Topic) -> Result<Option<Document>, StoreError> {
        dispatch!(self, document(topic))
    }

    async fn forget(&self, topic: &Topic, at: Version) -> Result<ForgetOutcome, StoreError> {
        dispatch!(self, forget(topic, at))
    }

    async fn forgotten(&self, topics: Arc<[Topic]>) -> Result<Vec<u64>, StoreError> {
        dispatch!(self, forgotten(topics))
    }

    async fn positions(
        &self,
        topics: Arc<[Topic]>,
        streams: Arc<[StreamId]>,
    ) -> Result<Vec<Vec<Position>>, StoreError> {
        dispatch!(self, positions(topics, streams))
    }

    async fn identity(&self) -> Result<FoundStore, StoreError> {
        dispatch!(self, identity())
    }

    async fn put_identity(&self, record: StoreRecord) -> Result<bool, StoreError> {
        dispatch!(self, put_identity(record))
    }

    async fn serve_as(&self, id: StoreId, bars_others: bool) -> Result<(), StoreError> {
        dispatch!(self, serve_as(id, bars_others))
    }

    async fn load_registry(&self) -> Result<Option<SavedRegistry>, StoreError> {
        dispatch!(self, load_registry())
    }

    async fn save_registry(&self, expected: u64, next: u64, text: String) -> Result<bool, StoreError> {
        dispatch!(self, save_registry(expected, next, text))
    }

    async fn put_sessions(&self, table: SessionTable) -> Result<bool, StoreError> {
        dispatch!(self, put_sessions(table))
    }

    async fn ended(&self, leaf: &NodeName, session: SessionId) -> Result<Option<Seq>, StoreError> {
        dispatch!(self, ended(leaf, session))
    }
}

impl Whole for AnyStore {
    async fn put_documents(&self, documents: Vec<(Topic, Document)>) -> Result<(), StoreError> {
        dispatch!(self, put_documents(documents))
    }

    async fn list_last(&self, topics: Vec<Topic>) -> Result<(), StoreError> {
        dispatch!(self, list_last(topics))
    }

    async fn session_tables(
        &self,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<SessionTable>, StoreError> {
        dispatch!(self, session_tables(after, limit))
    }

    async fn copy_mark(&self) -> Result<Option<CopyMark>, StoreError> {
        dispatch!(self, copy_mark())
    }

    async fn set_copy_mark(&self, mark: Option<CopyMark>) -> Result<(), StoreError> {
        dispatch!(self, set_copy_mark(mark))
    }
}
