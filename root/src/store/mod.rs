//! Where topic documents and the registry are kept.
//!
//! One trait, two stores, and one suite in [`conformance`] that holds both to the same promises.

#![allow(clippy::disallowed_methods, reason = "a store is where the outside world begins")]

mod binding;
pub mod conformance;
pub mod copy;
pub mod embedded;
pub mod redis;
mod scan;
mod whole;

use crate::machine::documents::{Document, Position};
use crate::machine::identity::binding::FoundStore;
use countree_common::cluster::NodeName;
use countree_common::config::manifest::StoreUrl;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::{Snapshot, Version};
use countree_common::forget::Forgetting;
use countree_common::key::Topic;
use countree_common::session::{Seq, SessionId};
use countree_common::shell::shutdown::Shutdown;
use countree_common::store::{StoreId, StoreRecord};
use countree_common::stream::StreamId;
use countree_common::wire::rpc::SessionTable;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use binding::{BindError, Binding, BoundStore, bind};
pub use embedded::Embedded;
pub use redis::Redis;
pub use scan::{Cursor, Page};
pub use whole::{CopyMark, Whole};

/// Between two tries to open a store.
const OPEN_GAP: Duration = Duration::from_millis(250);

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
    /// A copy into it was begun and not finished.
    #[error(
        "it holds a part of a copy of {from}: finish it with countree store copy (the same command again), or empty it"
    )]
    HalfCopied {
        /// The store that it is a copy of.
        from: String,
    },
    /// Another store stands where the one was that is served.
    #[error(
        "store {found} stands where store {bound} was: nothing is merged into it; /readyz of a root says more, and what to do"
    )]
    Other {
        /// The store that is there.
        found: StoreId,
        /// The store that is served.
        bound: StoreId,
    },
    /// What is scanned is in the hands of other servers than when the scan began.
    #[error("the servers of the store changed while it was scanned: begin the scan again")]
    ScanBroken,
    /// What is stored is not what was written; it was changed by other hands, or is damaged.
    #[error("the store holds something else than Countree wrote: {0}")]
    Damaged(String),
}

impl StoreError {
    /// Whether waiting may help.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused { .. } | Self::Silent)
    }
}

/// A revision of the registry and its text. Revisions go up, from 1.
pub type SavedRegistry = (u64, String);

/// A store of topic documents, and of the registry.
pub trait Store: Send + Sync + 'static {
    /// Merges each cut as [`crate::machine::documents::judge`] says, in their order. One answer for each,
    /// in the same order; an error stands for a cut that was merged or not. The cuts have to be
    /// [sound](crate::machine::documents::check).
    fn merge(&self, cuts: Arc<[Cut]>) -> impl Future<Output = Vec<Result<Outcome, StoreError>>> + Send;

    /// A topic's document; `None` when nothing was ever merged into it.
    ///
    /// # Errors
    /// When the store does not answer.
    fn read(&self, topic: &Topic) -> impl Future<Output = Result<Option<Snapshot>, StoreError>> + Send;

    /// The era that the store serves in at the moment; see [`served`](crate::machine::documents::served). It goes up
    /// when another server process has taken over.
    ///
    /// # Errors
    /// When the store does not answer.
    fn served_in(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Some topics, the last merged first. Best effort: it may miss some.
    ///
    /// # Errors
    /// When the store does not answer.
    fn topics(&self, limit: usize) -> impl Future<Output = Result<Vec<Topic>, StoreError>> + Send;

    /// Some of all topics that were ever merged into, about `limit` of them; the first without a cursor. Every topic that is
    /// there from the first page to the last comes in one of them; it may come twice.
    ///
    /// # Errors
    /// When the store does not answer; [`StoreError::ScanBroken`] when the scan has to begin again.
    fn scan(
        &self,
        after: Option<Cursor>,
        limit: usize,
    ) -> impl Future<Output = Result<Page<Topic>, StoreError>> + Send;

    /// A topic's document as it is stored, at the version that is stored and not the one that is
    /// [served](crate::machine::documents::served); `None` when nothing was ever merged into it.
    ///
    /// # Errors
    /// When the store does not answer.
    fn document(&self, topic: &Topic) -> impl Future<Output = Result<Option<Document>, StoreError>> + Send;

    /// Forgets a topic if its document stands at that version, as [`Document::forget`] says, as one atomic write. It is not
    /// listed any more.
    ///
    /// # Errors
    /// When the store does not answer: it may be forgotten. Any answer to a repeat says that the earlier one will not be
    /// carried out any more.
    fn forget(
        &self,
        topic: &Topic,
        at: Version,
    ) -> impl Future<Output = Result<Forgetting, StoreError>> + Send;

    /// How many events of each of these topics are forgotten.
    ///
    /// # Errors
    /// When the store does not answer.
    fn forgotten(&self, topics: Arc<[Topic]>) -> impl Future<Output = Result<Vec<u64>, StoreError>> + Send;

    /// What the documents of these topics hold of these leaf streams: a list for each topic, in the order of the topics, with
    /// a position for each stream, in the order of the streams. It reads no totals, whatever their number.
    ///
    /// # Errors
    /// When the store does not answer, and when one of the positions is not what was written.
    fn positions(
        &self,
        topics: Arc<[Topic]>,
        streams: Arc<[StreamId]>,
    ) -> impl Future<Output = Result<Vec<Vec<Position>>, StoreError>> + Send;

    /// What the store says of itself; nothing before a process has served it for the first time.
    ///
    /// # Errors
    /// When the store does not answer.
    fn identity(&self) -> impl Future<Output = Result<FoundStore, StoreError>> + Send;

    /// Writes what the store says of itself, if its revision is still the one of `record`; then it is the next.
    ///
    /// # Errors
    /// When the store does not answer; it may have been written.
    fn put_identity(&self, record: StoreRecord) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// From now on nothing is merged here and no registry is read unless the store says to be this one, or says nothing,
    /// having been emptied: see [`may_merge`](crate::machine::identity::standing::may_merge). With `bars_others` that holds at once for
    /// a cluster that serves it under another identity.
    ///
    /// # Errors
    /// When the store does not answer.
    fn serve_as(&self, id: StoreId, bars_others: bool)
    -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The registry; `None` before the first save.
    ///
    /// # Errors
    /// When the store does not answer, or is not the one that is served.
    fn load_registry(&self) -> impl Future<Output = Result<Option<SavedRegistry>, StoreError>> + Send;

    /// Replaces the registry by revision `next` iff it is at `expected` (0: there is none).
    ///
    /// # Errors
    /// When the store does not answer; it may have been replaced.
    fn save_registry(
        &self,
        expected: u64,
        next: u64,
        text: String,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Keeps how the sessions of a leaf ended, for as long as the table says; a session that is kept already is
    /// kept anew. Returns whether that survives a crash of the store, in the sense of
    /// [`Applied::durable`](countree_common::cut::Applied::durable).
    ///
    /// # Errors
    /// When the store does not answer; some of it may be kept.
    fn put_sessions(&self, table: SessionTable) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The last counted batch of a session, if its leaf has published it and it is kept still.
    ///
    /// # Errors
    /// When the store does not answer.
    fn ended(
        &self,
        leaf: &NodeName,
        session: SessionId,
    ) -> impl Future<Output = Result<Option<Seq>, StoreError>> + Send;
}

/// A store's record from its text.
fn read_record(text: &str) -> Result<StoreRecord, StoreError> {
    StoreRecord::from_text(text)
        .map_err(|e| StoreError::Damaged(format!("its identity is '{}': {e}", text.escape_debug())))
}

fn write_record(record: &StoreRecord) -> Result<String, StoreError> {
    record.to_text().map_err(|e| StoreError::Failed(e.to_string()))
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

/// [`open`], also when only half of it was copied there.
///
/// # Errors
/// When it does not answer, or is not this cluster's.
pub async fn open_any(url: &StoreUrl, data_dir: &Path, cluster: &NodeName) -> Result<AnyStore, StoreError> {
    Ok(match url {
        StoreUrl::Embedded => AnyStore::Embedded(Embedded::open_any(data_dir, cluster).await?),
        StoreUrl::Redis(_) | StoreUrl::RedisCluster(_) => {
            AnyStore::Redis(Redis::open_any(url, cluster).await?)
        }
    })
}

/// Like [`open`], and waits for a server that is not up, or does not serve yet: at most `patience`, and until `stop`.
///
/// # Errors
/// As in [`open`], once the time is up.
pub async fn open_within(
    url: &StoreUrl,
    data_dir: &Path,
    cluster: &NodeName,
    patience: Duration,
    stop: &Shutdown,
) -> Result<AnyStore, StoreError> {
    let (began, mut said) = (Instant::now(), None);
    loop {
        let error = match open(url, data_dir, cluster).await {
            Err(e) if e.may_pass() && began.elapsed() < patience && !stop.has_begun() => e,
            result => return result,
        };
        if said.as_ref() != Some(&error) {
            tracing::warn!("waiting for the store: {error}");
            said = Some(error);
        }
        tokio::select! {
            () = tokio::time::sleep(OPEN_GAP) => {}
            () = stop.begun() => {}
        }
    }
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

    async fn forget(&self, topic: &Topic, at: Version) -> Result<Forgetting, StoreError> {
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
