//! Reads and writes the store's record, beside the format and the cluster's name.

use super::failure::failed;
use super::layout::ABOUT;
use crate::machine::identity::binding::FoundStore;
use crate::store::StoreError;
use crate::store::record::{read_record, write_record};
use countree_common::store::StoreRecord;
use redb::{Database, ReadableDatabase, ReadableTable};

const KEY: &str = "identity";

/// See [`Store::identity`](crate::store::Store::identity).
pub(super) fn get(database: &Database) -> Result<FoundStore, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let about = transaction.open_table(ABOUT).map_err(failed)?;
    let found = about.get(KEY).map_err(failed)?;
    let record = found.map(|text| read_record(text.value())).transpose()?;
    Ok(FoundStore { record, is_shard_missing: false })
}

/// See [`Store::put_identity`](crate::store::Store::put_identity).
pub(super) fn put(database: &Database, record: StoreRecord) -> Result<bool, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut about = transaction.open_table(ABOUT).map_err(failed)?;
        let found = about.get(KEY).map_err(failed)?.map(|text| read_record(text.value())).transpose()?;
        if found.map_or(0, |found| found.revision) != record.revision {
            return Ok(false);
        }
        let next = StoreRecord { revision: record.revision + 1, ..record };
        about.insert(KEY, write_record(&next)?.as_str()).map_err(failed)?;
    }
    transaction.commit().map_err(failed)?;
    Ok(true)
}
