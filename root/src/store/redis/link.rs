//! The connection: to one server that comes back by itself, or to a Redis Cluster.

use crate::store::StoreError;
use countree_common::config::manifest::StoreUrl;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, Value};
use std::time::Duration;

/// A server that has not answered after this long is silent.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_ATTEMPTS: usize = 2;
const RECONNECT_DELAY: Duration = Duration::from_millis(50);
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(1);

/// Copies share their connections.
#[derive(Clone)]
pub(super) enum Link {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
}

impl Link {
    pub(super) async fn open(url: &StoreUrl) -> Result<Self, StoreError> {
        let link = match url {
            StoreUrl::Redis(server) => single(server).await,
            StoreUrl::RedisCluster(servers) => cluster(servers).await,
            StoreUrl::Embedded => return Err(StoreError::Failed("the embedded store is no Redis".into())),
        };
        link.map_err(|e| match e.kind() {
            ErrorKind::AuthenticationFailed => {
                StoreError::Failed(format!("{url} refuses the password in cluster.store: {e}"))
            }
            _ => StoreError::Unreachable { address: url.to_string(), reason: e.to_string() },
        })
    }
}

async fn single(server: &str) -> Result<Link, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_number_of_retries(CONNECT_ATTEMPTS)
        .set_min_delay(RECONNECT_DELAY)
        .set_max_delay(RECONNECT_DELAY_MAX);
    ConnectionManager::new_with_config(redis::Client::open(server)?, config).await.map(Link::Single)
}

async fn cluster(servers: &[String]) -> Result<Link, RedisError> {
    let client = ClusterClientBuilder::new(servers.iter().map(String::as_str))
        .response_timeout(RESPONSE_TIMEOUT)
        .connection_timeout(CONNECT_TIMEOUT)
        .build()?;
    client.get_async_connection().await.map(Link::Cluster)
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(link) => link.req_packed_command(cmd),
            Self::Cluster(link) => link.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(link) => link.req_packed_commands(cmd, offset, count),
            Self::Cluster(link) => link.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(link) => link.get_db(),
            Self::Cluster(link) => link.get_db(),
        }
    }
}

impl From<RedisError> for StoreError {
    fn from(e: RedisError) -> Self {
        Self::Failed(format!("Redis: {e}"))
    }
}
