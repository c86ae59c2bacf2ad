//! Turns what redb says into errors of the store.

use crate::store::StoreError;
use countree_common::key::NameError;
use std::io::ErrorKind;

pub(super) fn failed(e: impl Into<redb::Error>) -> StoreError {
    match e.into() {
        redb::Error::Corrupted(what) => StoreError::Damaged(what),
        redb::Error::Io(e) => {
            let is_full = matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
            StoreError::Disk { reason: e.to_string(), is_full }
        }
        e @ redb::Error::PreviousIo => StoreError::Disk { reason: e.to_string(), is_full: false },
        e => StoreError::Failed(e.to_string()),
    }
}

pub(super) fn misnamed(e: NameError) -> StoreError {
    StoreError::Damaged(e.to_string())
}
