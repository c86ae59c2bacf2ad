//! The setting that names the store.

use std::str::FromStr;

/// The store that keeps totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// One file under the data folder; for one machine.
    Embedded,
    /// One Redis server: `redis://…` or `rediss://…`.
    Redis(String),
    /// A Redis Cluster: the URLs of some of its nodes.
    RedisCluster(Vec<String>),
}

impl FromStr for StoreUrl {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        if let Some(hosts) = text.strip_prefix("redis-cluster://") {
            let urls: Vec<_> =
                hosts.split(',').filter(|h| !h.is_empty()).map(|h| format!("redis://{h}")).collect();
            return if urls.is_empty() { Err(()) } else { Ok(Self::RedisCluster(urls)) };
        }
        let rest = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://"));
        rest.filter(|r| !r.is_empty()).map(|_| Self::Redis(text.to_owned())).ok_or(())
    }
}

impl StoreUrl {
    /// The text of the setting, credentials included.
    pub fn to_setting(&self) -> String {
        match self {
            Self::Embedded => "embedded".to_owned(),
            Self::Redis(url) => url.clone(),
            Self::RedisCluster(urls) => {
                let hosts: Vec<_> = urls.iter().map(|u| u.trim_start_matches("redis://")).collect();
                format!("redis-cluster://{}", hosts.join(","))
            }
        }
    }
}

impl std::fmt::Display for StoreUrl {
    /// Writes the setting without credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bare = |url: &str| match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
            _ => url.to_owned(),
        };
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Redis(url) => f.write_str(&bare(url)),
            Self::RedisCluster(urls) => {
                let hosts: Vec<_> = urls.iter().map(|u| bare(u).replace("redis://", "")).collect();
                write!(f, "redis-cluster://{}", hosts.join(","))
            }
        }
    }
}
