//! Where topic documents and the registry are kept.
//!
//! One trait, two stores, and one suite in [`conformance`] that holds both to the same promises.

#![allow(clippy::disallowed_methods, reason = "a store is where the outside world begins")]

pub mod conformance;
pub mod embedded;
pub mod redis;

use countree_common::cluster::NodeName;
use countree_common::config::manifest::StoreUrl;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::Snapshot;
use countree_common::key::Topic;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use embedded::Embedded;
pub use redis::Redis;

/// Why a store did not answer. What was asked of it may have happened or not; a repeat is harmless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No server there.
    #[error("no Redis answers at {address} ({reason}): start one, or set cluster.store")]
    Unreachable {
        /// Where it was looked for, without credentials.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// The server answers, and does not do it as things are.
    #[error("Redis does not do it now: {advice} ({reason})")]
    Refused {
        /// What the server said.
        reason: String,
        /// What the operator can do.
        advice: &'static str,
    },
    /// The server takes the question and does not answer.
    #[error(
        "Redis has not answered in time: see whether it is overloaded, stopped or cut off; it is asked again"
    )]
    Silent,
    /// The server, or the disk, could not do it now.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The embedded store's disk could not do it now.
    #[error("the store's disk failed ({reason}): make room if it is full; it is tried again")]
    Disk {
        /// What the system said.
        reason: String,
        /// Whether it is for want of room.
        is_full: bool,
    },
    /// The file is in use.
    #[error("{path} is held by a running cluster: stop that one, or use another data folder")]
    Held {
        /// The file.
        path: PathBuf,
    },
    /// The file is another cluster's.
    #[error("{path} belongs to cluster '{owner}', not '{cluster}': use another data folder, or that name")]
    WrongCluster {
        /// The file.
        path: PathBuf,
        /// The cluster it belongs to.
        owner: String,
        /// The cluster that wanted it.
        cluster: NodeName,
    },
    /// The file was written by another version of Countree.
    #[error("{path} has format {found}; this version reads format {expected}")]
    WrongFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
        /// What is read here.
        expected: &'static str,
    },
    /// What is stored is not what was written; it was changed by other hands, or is damaged.
    #[error("the store holds something else than Countree wrote: {0}")]
    Damaged(String),
}

/// A revision of the registry and its text. Revisions count the saves, from 1.
pub type SavedRegistry = (u64, String);

/// A store of topic documents, and of the registry.
pub trait Store: Send + Sync + 'static {
    /// Merges each cut as [`crate::machine::document::judge`] says, in their order. One answer for each,
    /// in the same order; an error stands for a cut that was merged or not. The cuts have to be
    /// [sound](crate::machine::document::check).
    fn merge(&self, cuts: Arc<[Cut]>) -> impl Future<Output = Vec<Result<Outcome, StoreError>>> + Send;

    /// A topic's document; `None` when nothing was ever merged into it.
    ///
    /// # Errors
    /// When the store does not answer.
    fn read(&self, topic: &Topic) -> impl Future<Output = Result<Option<Snapshot>, StoreError>> + Send;

    /// Some topics, the last merged first. Best effort: it may miss some.
    ///
    /// # Errors
    /// When the store does not answer.
    fn topics(&self, limit: usize) -> impl Future<Output = Result<Vec<Topic>, StoreError>> + Send;

    /// The registry; `None` before the first save.
    ///
    /// # Errors
    /// When the store does not answer.
    fn load_registry(&self) -> impl Future<Output = Result<Option<SavedRegistry>, StoreError>> + Send;

    /// Replaces the registry by revision `expected + 1` iff it is at `expected` (0: there is none).
    ///
    /// # Errors
    /// When the store does not answer; it may have been replaced.
    fn save_registry(
        &self,
        expected: u64,
        text: String,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// The store that a cluster was told to use.
#[derive(Debug)]
pub enum AnyStore {
    /// One file.
    Embedded(Embedded),
    /// A Redis server or a Redis Cluster.
    Redis(Redis),
}

/// Opens the cluster's store and asks it for a sign of life.
///
/// # Errors
/// When it does not answer, or is not this cluster's.
pub async fn open(url: &StoreUrl, data_dir: &Path, cluster: &NodeName) -> Result<AnyStore, StoreError> {
    Ok(match url {
        StoreUrl::Embedded => AnyStore::Embedded(Embedded::open(data_dir, cluster).await?),
        StoreUrl::Redis(_) | StoreUrl::RedisCluster(_) => AnyStore::Redis(Redis::open(url, cluster).await?),
    })
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

    async fn topics(&self, limit: usize) -> Result<Vec<Topic>, StoreError> {
        dispatch!(self, topics(limit))
    }

    async fn load_registry(&self) -> Result<Option<SavedRegistry>, StoreError> {
        dispatch!(self, load_registry())
    }

    async fn save_registry(&self, expected: u64, text: String) -> Result<bool, StoreError> {
        dispatch!(self, save_registry(expected, text))
    }
}
