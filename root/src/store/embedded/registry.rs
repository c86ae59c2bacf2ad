//! The registry in the file, replaced only at the revision that it was read at.

use super::failure::failed;
use super::layout::REGISTRY;
use crate::store::{SavedRegistry, StoreError};
use redb::{Database, ReadableDatabase, ReadableTable};

pub(super) fn load(database: &Database) -> Result<Option<SavedRegistry>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let table = transaction.open_table(REGISTRY).map_err(failed)?;
    let saved = table.get("").map_err(failed)?;
    Ok(saved.map(|saved| (saved.value().0, saved.value().1.to_owned())))
}

pub(super) fn save(database: &Database, expected: u64, next: u64, text: &str) -> Result<bool, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut table = transaction.open_table(REGISTRY).map_err(failed)?;
        let revision = table.get("").map_err(failed)?.map_or(0, |saved| saved.value().0);
        if revision != expected {
            return Ok(false);
        }
        table.insert("", (next, text)).map_err(failed)?;
    }
    transaction.commit().map_err(failed)?;
    Ok(true)
}
