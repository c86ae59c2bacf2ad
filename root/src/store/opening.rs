//! Opens the store that a cluster is configured to use.

use super::{AnyStore, Embedded, Redis, StoreError};
use countree_common::cluster::NodeName;
use countree_common::config::manifest::StoreUrl;
use countree_common::shell::shutdown::Shutdown;
use std::path::Path;
use std::time::{Duration, Instant};

/// The time between two tries to open a store.
const OPEN_GAP: Duration = Duration::from_millis(250);

/// Opens the cluster's store and asks it for a sign of life.
///
/// # Errors
/// When it does not answer, or is not this cluster's.
pub async fn open(url: &StoreUrl, data_dir: &Path, cluster: &NodeName) -> Result<AnyStore, StoreError> {
    Ok(match url {
        StoreUrl::Embedded => AnyStore::Embedded(Embedded::open(data_dir, cluster).await?),
        StoreUrl::Redis(_) | StoreUrl::RedisCluster(_) => AnyStore::Redis(Redis::open(url, cluster).await?),
    })
}

/// Opens like [`open`], but also a store that was copied there only by half.
///
/// # Errors
/// When it does not answer, or is not this cluster's.
pub async fn open_any(url: &StoreUrl, data_dir: &Path, cluster: &NodeName) -> Result<AnyStore, StoreError> {
    Ok(match url {
        StoreUrl::Embedded => AnyStore::Embedded(Embedded::open_any(data_dir, cluster).await?),
        StoreUrl::Redis(_) | StoreUrl::RedisCluster(_) => {
            AnyStore::Redis(Redis::open_any(url, cluster).await?)
        }
    })
}

/// Opens like [`open`], and waits for a server that is not up, or does not serve yet: at most `timeout`, and until
/// `stop`.
///
/// # Errors
/// As in [`open`], once the time is up.
pub async fn open_within(
    url: &StoreUrl,
    data_dir: &Path,
    cluster: &NodeName,
    timeout: Duration,
    stop: &Shutdown,
) -> Result<AnyStore, StoreError> {
    let (began, mut said) = (Instant::now(), None);
    loop {
        let error = match open(url, data_dir, cluster).await {
            Err(e) if e.may_pass() && began.elapsed() < timeout && !stop.has_begun() => e,
            result => return result,
        };
        if said.as_ref() != Some(&error) {
            tracing::warn!("waiting for the store: {error}");
            said = Some(error);
        }
        tokio::select! {
            () = tokio::time::sleep(OPEN_GAP) => {}
            () = stop.begun() => {}
        }
    }
}
