//! The registry in Redis, replaced by a script only at the revision that it was read at.

use super::Redis;
use crate::store::{SavedRegistry, StoreError};
use redis::cmd;

impl Redis {
    /// See [`Store::load_registry`](crate::store::Store::load_registry).
    pub(super) async fn read_registry(&self) -> Result<Option<SavedRegistry>, StoreError> {
        let mut load = cmd("HMGET");
        load.arg(self.keys.registry()).arg("revision").arg("text");
        let (revision, text): (Option<u64>, Option<String>) =
            load.query_async(&mut self.link.clone()).await?;
        // After the reading: what was read before is of the same store.
        self.check_bound().await?;
        Ok(revision.zip(text))
    }

    /// See [`Store::save_registry`](crate::store::Store::save_registry).
    pub(super) async fn replace_registry(
        &self,
        expected: u64,
        next: u64,
        text: String,
    ) -> Result<bool, StoreError> {
        let mut call = self.save.key(self.keys.registry());
        call.arg(expected).arg(next).arg(text);
        let replaced: u8 = call.invoke_async(&mut self.link.clone()).await?;
        self.check_bound().await?;
        Ok(replaced == 1)
    }
}
