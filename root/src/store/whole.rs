//! Moves a store as a whole: the calls that this takes, beside those of [`Store`].

use super::{Cursor, Page, Store, StoreError};
use crate::machine::documents::Document;
use countree_common::key::Topic;
use countree_common::wire::rpc::SessionTable;
use serde::{Deserialize, Serialize};
use std::future::Future;

/// The mark of a store that is filled from another. It is not served as long as it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyMark {
    /// The address that it is filled from, without credentials.
    pub from: String,
}

/// A store that can be written and read in whole.
pub trait Whole: Store {
    /// Puts documents in the place of whatever is stored for their topics. When it fails some of them may be there, in
    /// whole or in part.
    ///
    /// # Errors
    /// When the store does not answer.
    fn put_documents(
        &self,
        documents: Vec<(Topic, Document)>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Lists these topics as those that were merged into last, the last of them first.
    ///
    /// # Errors
    /// When the store does not answer.
    fn list_last(&self, topics: Vec<Topic>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Some of the tables of sessions, as [`Store::scan`] does with topics. A leaf's table may come in several pieces.
    ///
    /// # Errors
    /// As [`Store::scan`].
    fn session_tables(
        &self,
        after: Option<Cursor>,
        limit: usize,
    ) -> impl Future<Output = Result<Page<SessionTable>, StoreError>> + Send;

    /// Whether a copy into it was begun and not finished.
    ///
    /// # Errors
    /// When the store does not answer.
    fn copy_mark(&self) -> impl Future<Output = Result<Option<CopyMark>, StoreError>> + Send;

    /// Says that a copy into it has begun, or, by `None`, that it is finished.
    ///
    /// # Errors
    /// When the store does not answer.
    fn set_copy_mark(&self, mark: Option<CopyMark>) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The mark in the store's text. A text that is no mark is one all the same.
pub(super) fn parse_mark(text: &str) -> CopyMark {
    serde_json::from_str(text).unwrap_or_else(|_| CopyMark { from: text.to_owned() })
}

/// Refuses a store that was copied into by half.
pub(super) fn refuse_half(mark: Option<CopyMark>) -> Result<(), StoreError> {
    match mark {
        Some(CopyMark { from }) => Err(StoreError::HalfCopied { from }),
        None => Ok(()),
    }
}
