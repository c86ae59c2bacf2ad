//! Session tables: the last counted batch of each session of a leaf that has left.

use super::failure::failed;
use crate::store::StoreError;
use countree_common::cluster::NodeName;
use countree_common::session::{Seq, SessionId};
use countree_common::wire::rpc::SessionTable;
use redb::{Database, ReadableDatabase, TableDefinition};

/// (Leaf, session) → (last counted batch, kept until this time in milliseconds since 1970).
pub(super) const SESSIONS: TableDefinition<'_, (&str, u128), (u64, u64)> = TableDefinition::new("sessions");

/// Keeps a table, and drops what need not be kept any more.
pub(super) fn put(database: &Database, table: &SessionTable, now_ms: u64) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut kept = transaction.open_table(SESSIONS).map_err(failed)?;
        kept.retain(|_, (_, until)| until > now_ms).map_err(failed)?;
        let until = now_ms.saturating_add(table.keep_ms);
        for (session, last) in &table.sessions {
            kept.insert((table.leaf.as_str(), session.0), (*last, until)).map_err(failed)?;
        }
    }
    transaction.commit().map_err(failed)
}

/// The last counted batch of a session, if it is kept.
pub(super) fn ended(
    database: &Database,
    leaf: &NodeName,
    session: SessionId,
    now_ms: u64,
) -> Result<Option<Seq>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let kept = transaction.open_table(SESSIONS).map_err(failed)?;
    let found = kept.get((leaf.as_str(), session.0)).map_err(failed)?.map(|found| found.value());
    Ok(found.filter(|(_, until)| *until > now_ms).map(|(last, _)| last))
}
