//! Says why a leaf did not start.

use crate::shell::disk::DiskError;
use countree_common::shell::folder::FolderError;
use countree_common::shell::identity::IdentityError;
use countree_common::shell::membership::JoinRefused;
use countree_common::shell::store_memory::MemoryError;
use countree_common::wire::codec::CodecError;
use std::io;

/// The reason why a leaf did not start. Nothing was accepted.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The log can't be used.
    #[error("the leaf does not start on this log: {0}")]
    Disk(#[from] DiskError),
    /// The log could not be begun.
    #[error("the log could not be begun: {0}")]
    Log(#[from] CodecError),
    /// The certificates can't be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The socket or a thread could not be had.
    #[error("{what}: {source}")]
    Io {
        /// The attempt that failed.
        what: String,
        /// The system's error.
        source: io::Error,
    },
    /// The folder's memory of its store can't be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The folder belongs to another store.
    #[error(transparent)]
    Refused(#[from] JoinRefused),
    /// It was stopped before a root had answered.
    #[error("stopped before any root had answered")]
    Stopped,
}

impl StartError {
    /// An error of the system, with the thing that was tried.
    pub(super) fn io(what: &str, source: io::Error) -> Self {
        Self::Io { what: what.to_owned(), source }
    }
}
