//! The store: keeps topic documents and the registry.
//!
//! One trait, two stores, and one suite in [`conformance`] that holds both to the same promises.

#![allow(clippy::disallowed_methods, reason = "a store is where the outside world begins")]

mod any;
mod binding;
pub mod conformance;
pub mod copy;
pub mod embedded;
mod error;
mod opening;
mod record;
pub mod redis;
mod scan;
mod whole;

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
use std::future::Future;
use std::sync::Arc;

pub use any::AnyStore;
pub use binding::{BindError, Binding, BoundStore, bind};
pub use embedded::Embedded;
pub use error::StoreError;
pub use opening::{open, open_any, open_within};
pub use redis::Redis;
pub use scan::{Cursor, Page};
pub use whole::{CopyMark, Whole};

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

    /// Some of all topics that were ever merged into, about `limit` of them; the first without a cursor. Every topic
    /// that is there from the first page to the last comes in one of them; it may come twice.
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

    /// Forgets a topic if its document stands at that version, as [`Document::forget`] says, as one atomic write. It is
    /// not listed any more.
    ///
    /// # Errors
    /// When the store does not answer: the topic may be forgotten. Any answer to a repeat says that the earlier call
    /// will not be carried out any more.
    fn forget(
        &self,
        topic: &Topic,
        at: Version,
    ) -> impl Future<Output = Result<ForgetOutcome, StoreError>> + Send;

    /// The number of events of each of these topics that are forgotten.
    ///
    /// # Errors
    /// When the store does not answer.
    fn forgotten(&self, topics: Arc<[Topic]>) -> impl Future<Output = Result<Vec<u64>, StoreError>> + Send;

    /// The positions of these leaf streams in the documents of these topics: a list for each topic, in the order of the
    /// topics, with a position for each stream, in the order of the streams. It reads no totals, whatever their number.
    ///
    /// # Errors
    /// When the store does not answer, and when one of the positions is not what was written.
    fn positions(
        &self,
        topics: Arc<[Topic]>,
        streams: Arc<[StreamId]>,
    ) -> impl Future<Output = Result<Vec<Vec<Position>>, StoreError>> + Send;

    /// The store's record; `None` before a process has served it for the first time.
    ///
    /// # Errors
    /// When the store does not answer.
    fn identity(&self) -> impl Future<Output = Result<FoundStore, StoreError>> + Send;

    /// Writes what the store says of itself, if its revision is still the one of `record`; then it is the next.
    ///
    /// # Errors
    /// When the store does not answer; it may have been written.
    fn put_identity(&self, record: StoreRecord) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// From now on nothing is merged here and no registry is read unless the store says to be this one, or says
    /// nothing, having been emptied: see [`may_merge`](crate::machine::identity::standing::may_merge). With
    /// `bars_others` that holds at once for a cluster that serves it under another identity.
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
