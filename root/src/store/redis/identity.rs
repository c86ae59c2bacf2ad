//! Reads and writes the store's identity: its record, in the hash `countree:CLUSTER:identity`, with the fields
//! `revision` and `text` as the registry has them.
//!
//! One key proves one shard. So in a Redis Cluster every primary has one more, `countree:CLUSTER:identity:{TAG}`, with
//! a hash tag of its slots and the identity in it; the record lists the tags. They move with their slots, as the totals
//! do.

use super::Redis;
use super::refusal::not_ours;
use super::shards::{holds, tag_in};
use crate::machine::identity::binding::FoundStore;
use crate::machine::identity::standing::may_merge;
use crate::store::StoreError;
use crate::store::record::{read_record, write_record};
use countree_common::store::StoreId;
use countree_common::store::StoreRecord;
use redis::{RedisResult, cmd};
use std::collections::BTreeSet;
use std::sync::PoisonError;

impl Redis {
    /// See [`Store::identity`](crate::store::Store::identity).
    pub(super) async fn find_identity(&self) -> Result<FoundStore, StoreError> {
        let mut get = cmd("HMGET");
        get.arg(self.keys.identity()).arg("revision").arg("text");
        let (revision, text): (Option<u64>, Option<String>) = get.query_async(&mut self.link.clone()).await?;
        let Some((revision, text)) = revision.zip(text) else { return Ok(FoundStore::default()) };
        let record = StoreRecord { revision, ..read_record(&text)? };
        let is_shard_missing = !self.is_proved(&record).await?;
        Ok(FoundStore { record: Some(record), is_shard_missing })
    }

    /// See [`Store::serve_as`](crate::store::Store::serve_as).
    pub(super) async fn bind(&self, id: StoreId, bars_others: bool) -> Result<(), StoreError> {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        // Without their scripts the roots of other clusters meet the server anew, and find whose it is.
        if bars_others && let Err(e) = self.link.clone().forget_scripts().await {
            tracing::warn!(
                "other clusters find out by themselves, within a second, that this store was taken over: {e}"
            );
        }
        *self.process.lock().await = None;
        Ok(())
    }

    /// Fails if another store stands in the place of the one that is served.
    pub(super) async fn check_bound(&self) -> RedisResult<()> {
        let bound = *self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bound) = bound else { return Ok(()) };
        let mut get = cmd("HGET");
        get.arg(self.keys.identity()).arg("text");
        let text: Option<String> = get.query_async(&mut self.link.clone()).await?;
        // Text that can't be read is reported where the identity is read.
        let found = text.and_then(|text| read_record(&text).ok()).map(|record| record.id);
        match found.filter(|_| !may_merge(bound, found)) {
            Some(found) => Err(not_ours(found, bound)),
            None => Ok(()),
        }
    }

    /// Whether every shard that the record lists says the same identity.
    async fn is_proved(&self, record: &StoreRecord) -> RedisResult<bool> {
        for tag in &record.shards {
            let mut get = cmd("GET");
            get.arg(self.keys.shard(tag));
            let found: Option<String> = get.query_async(&mut self.link.clone()).await?;
            if found != Some(record.id.to_string()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// See [`Store::put_identity`](crate::store::Store::put_identity).
    pub(super) async fn replace_identity(&self, mut record: StoreRecord) -> Result<bool, StoreError> {
        if self.is_single() {
            return self.save_identity(&record).await;
        }
        // A shard is listed once it can prove itself: a reader in between takes nothing for lost.
        let mut shards = std::mem::take(&mut record.shards);
        if !self.save_identity(&record).await? {
            return Ok(false);
        }
        shards.append(&mut self.new_shards(&shards).await?);
        for tag in &shards {
            let mut set = cmd("SET");
            set.arg(self.keys.shard(tag)).arg(record.id.to_string());
            set.query_async::<()>(&mut self.link.clone()).await?;
        }
        let listed = StoreRecord { revision: record.revision + 1, shards, ..record };
        // Another root that was faster may have listed them too.
        self.save_identity(&listed).await?;
        Ok(true)
    }

    async fn save_identity(&self, record: &StoreRecord) -> Result<bool, StoreError> {
        let mut call = self.save.key(self.keys.identity());
        call.arg(record.revision).arg(record.revision + 1).arg(write_record(record)?);
        let replaced: u8 = call.invoke_async(&mut self.link.clone()).await?;
        Ok(replaced == 1)
    }

    /// Finds tags for the primaries that have none of these in their slots. Nothing can be said of primaries while
    /// slots move.
    async fn new_shards(&self, known: &BTreeSet<String>) -> RedisResult<BTreeSet<String>> {
        let servers = self.link.clone().servers().await?;
        let slots = servers.map(|servers| servers.slots).unwrap_or_default();
        let unproved = slots.iter().filter(|ranges| !known.iter().any(|tag| holds(ranges, tag)));
        Ok(unproved.filter_map(|ranges| tag_in(ranges)).collect())
    }
}
