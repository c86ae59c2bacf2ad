//! One of the two stores of a copy, read page by page.

use super::CopyError;
use crate::machine::documents::Document;
use crate::store::{AnyStore, Cursor, Page, Store, StoreError, Whole};
use countree_common::key::Topic;
use countree_common::wire::rpc::SessionTable;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Topics in a page.
const PAGE: usize = 256;
/// Documents that are in memory together.
const DOCUMENTS: usize = 16;

/// One of the two stores.
#[derive(Debug, Clone)]
pub struct End {
    /// The store, opened with [`open_any`](super::open_any).
    pub store: Arc<AnyStore>,
    /// Its address for people, without credentials.
    pub name: String,
}

impl End {
    pub(super) fn failed(&self) -> impl Fn(StoreError) -> CopyError + use<> {
        let store = self.name.clone();
        move |error| CopyError::Store { store: store.clone(), error }
    }

    /// These topics' documents; topics that are not there are left out.
    pub(super) async fn documents(&self, topics: &[Topic]) -> Result<Vec<(Topic, Document)>, CopyError> {
        let mut tasks = JoinSet::new();
        for topic in topics.iter().cloned() {
            let store = self.store.clone();
            tasks.spawn(async move { (store.document(&topic).await, topic) });
        }
        let mut documents = Vec::new();
        while let Some(read) = tasks.join_next().await {
            let ended = |e| self.failed()(StoreError::Failed(format!("a reading was abandoned: {e}")));
            let (document, topic) = read.map_err(ended)?;
            documents.extend(document.map_err(self.failed())?.map(|document| (topic, document)));
        }
        documents.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(documents)
    }

    /// Goes over all topics, each once, some at a time.
    pub(super) async fn each(
        &self,
        mut visit: impl AsyncFnMut(&[Topic]) -> Result<(), CopyError>,
    ) -> Result<u64, CopyError> {
        let (mut seen, mut next) = (HashSet::new(), None::<Cursor>);
        loop {
            let Page { mut found, next: after } = self.store.scan(next, PAGE).await.map_err(self.failed())?;
            found.retain(|topic| seen.insert(hash(topic)));
            for topics in found.chunks(DOCUMENTS) {
                visit(topics).await?;
            }
            match after {
                Some(after) => next = Some(after),
                None => return Ok(seen.len() as u64),
            }
        }
    }

    /// Whether the store holds no topic.
    pub(super) async fn is_without_topics(&self) -> Result<bool, CopyError> {
        let mut next = None;
        loop {
            let page = self.store.scan(next, PAGE).await.map_err(self.failed())?;
            next = page.next;
            if !page.found.is_empty() || next.is_none() {
                return Ok(page.found.is_empty());
            }
        }
    }

    /// Goes over all tables of sessions.
    pub(super) async fn each_table(
        &self,
        mut visit: impl AsyncFnMut(SessionTable) -> Result<(), CopyError>,
    ) -> Result<(), CopyError> {
        let mut next = None;
        loop {
            let page = self.store.session_tables(next, PAGE).await.map_err(self.failed())?;
            for table in page.found {
                visit(table).await?;
            }
            next = page.next;
            if next.is_none() {
                return Ok(());
            }
        }
    }
}

/// Topics are remembered by this while they are counted.
fn hash(topic: &Topic) -> u64 {
    let mut hasher = DefaultHasher::new();
    topic.hash(&mut hasher);
    hasher.finish()
}
