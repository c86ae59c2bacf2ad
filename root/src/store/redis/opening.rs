//! Connects to Redis, and warns of settings that make it forget.

use super::Redis;
use super::connection::RedisConnection;
use super::layout::Keys;
use super::mending;
use crate::store::whole::refuse_half;
use crate::store::{StoreError, Whole};
use countree_common::cluster::NodeName;
use countree_common::config::manifest::StoreUrl;
use redis::{Script, cmd};
use std::collections::HashMap;
use std::sync::Arc;

impl Redis {
    /// Connects, and warns of a server that is set to forget.
    ///
    /// # Errors
    /// When the server does not answer, or does not let us in, and when the store was copied there by half.
    pub async fn open(url: &StoreUrl, cluster: &NodeName) -> Result<Self, StoreError> {
        let store = Self::open_any(url, cluster).await?;
        refuse_half(store.copy_mark().await?)?;
        Ok(store)
    }

    /// Opens like [`Redis::open`], but also a store that was copied there only by half.
    ///
    /// # Errors
    /// When the server does not answer, or does not let us in.
    pub async fn open_any(url: &StoreUrl, cluster: &NodeName) -> Result<Self, StoreError> {
        let mut link = RedisConnection::open(url).await?;
        warn_of_eviction(&mut link).await;
        let store = Self {
            link,
            keys: Keys::of(cluster),
            cache: Arc::default(),
            process: Arc::default(),
            save: Arc::new(Script::new(include_str!("save.lua"))),
            mend: mending::script(),
            noted: Arc::default(),
            durability: Arc::default(),
            bound: Arc::default(),
        };
        // Nothing is merged yet: this says in the log what is to be expected.
        if let Err(e) = store.ask_durability().await {
            tracing::debug!("Redis does not say what it may forget: {e}");
        }
        Ok(store)
    }
}

/// A server that evicts keys when its memory is full forgets topics, totals and positions alike.
async fn warn_of_eviction(link: &mut RedisConnection) {
    let policy =
        cmd("CONFIG").arg("GET").arg("maxmemory-policy").query_async::<HashMap<String, String>>(link).await;
    match policy.as_ref().map(|found| found.get("maxmemory-policy").map(String::as_str)) {
        Ok(Some("noeviction")) => {}
        Ok(Some(policy)) => {
            tracing::warn!(policy, "Redis may evict topics: set maxmemory-policy to noeviction");
        }
        Ok(None) | Err(_) => {
            tracing::info!("Redis does not tell its maxmemory-policy: make sure that it is noeviction");
        }
    }
}
