//! Merges cuts into the file, all of a batch in one transaction.

use super::documents::Documents;
use super::failure::failed;
use super::index::Index;
use crate::store::StoreError;
use countree_common::cut::{Cut, Outcome};
use redb::Database;
use std::sync::Mutex;

/// Merges all of the cuts, or none. When the transaction fails, what the index has learned from it is wrong.
pub(super) fn merge(
    database: &Database,
    index: &Mutex<Index>,
    served_in: u64,
    cuts: &[Cut],
) -> Result<Vec<Outcome>, StoreError> {
    let mut index = index.lock().unwrap_or_else(|poisoned| {
        index.clear_poison();
        let mut index = poisoned.into_inner();
        index.clear();
        index
    });
    let outcomes = merge_with(database, &mut index, served_in, cuts);
    if outcomes.is_err() {
        index.clear();
    }
    outcomes
}

fn merge_with(
    database: &Database,
    index: &mut Index,
    served_in: u64,
    cuts: &[Cut],
) -> Result<Vec<Outcome>, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    let mut documents = Documents::open(&transaction, index, served_in)?;
    let outcomes = cuts.iter().map(|cut| documents.merge(cut)).collect::<Result<Vec<_>, _>>()?;
    drop(documents);
    transaction.commit().map_err(failed)?;
    Ok(outcomes)
}
