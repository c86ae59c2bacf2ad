//! A store's record as text.

use super::StoreError;
use countree_common::store::StoreRecord;

pub(super) fn read_record(text: &str) -> Result<StoreRecord, StoreError> {
    StoreRecord::from_text(text)
        .map_err(|e| StoreError::Damaged(format!("its identity is '{}': {e}", text.escape_debug())))
}

pub(super) fn write_record(record: &StoreRecord) -> Result<String, StoreError> {
    record.to_text().map_err(|e| StoreError::Failed(e.to_string()))
}
