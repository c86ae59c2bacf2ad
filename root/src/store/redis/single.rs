//! The connection to one Redis server, which is renewed when it leads nowhere.

use super::refusal::means;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, Pipeline, RedisError, RedisResult, Value};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A server that has not answered after this long is silent.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_ATTEMPTS: usize = 2;
const RECONNECT_DELAY: Duration = Duration::from_millis(50);
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(1);
/// A connection that leads to the wrong server is given up for a new one no more often than this.
const RENEW_GAP: Duration = Duration::from_secs(1);

/// One server, found anew by its name when the connection leads nowhere: after a failover the name may
/// stand for another machine, while the old one still holds the connection open.
#[derive(Clone)]
pub(super) struct Single {
    client: Arc<Client>,
    current: Arc<Mutex<Current>>,
}

struct Current {
    manager: ConnectionManager,
    since: Instant,
}

impl Single {
    pub(super) async fn open(server: &str) -> RedisResult<Self> {
        let client = Arc::new(Client::open(server)?);
        let manager = ConnectionManager::new_with_config(Client::clone(&client), config()).await?;
        let current = Current { manager, since: Instant::now() };
        Ok(Self { client, current: Arc::new(Mutex::new(current)) })
    }

    pub(super) fn current(&self) -> (ConnectionManager, Instant) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        (current.manager.clone(), current.since)
    }

    /// Gives up the connection of `since`, unless that has been done.
    fn renew(&self, since: Instant) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.since != since || since.elapsed() < RENEW_GAP {
            return;
        }
        match ConnectionManager::new_lazy_with_config(Client::clone(&self.client), config()) {
            Ok(manager) => *current = Current { manager, since: Instant::now() },
            Err(e) => tracing::debug!("the connection to Redis could not be renewed: {e}"),
        }
    }

    pub(super) async fn command(&self, command: &Cmd) -> RedisResult<Value> {
        let (mut manager, since) = self.current();
        let result = manager.send_packed_command(command).await;
        if leads_nowhere(result.as_ref().map(std::slice::from_ref)) {
            self.renew(since);
        }
        result
    }

    pub(super) async fn commands(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let (mut manager, since) = self.current();
        let result = manager.send_packed_commands(pipeline, offset, count).await;
        if leads_nowhere(result.as_deref()) {
            self.renew(since);
        }
        result
    }
}

/// Whether another connection may do better: this one is silent, or its server is no primary any more.
fn leads_nowhere(result: Result<&[Value], &RedisError>) -> bool {
    match result {
        Ok(answers) => answers.iter().any(|a| matches!(a, Value::ServerError(e) if means(e, "READONLY"))),
        Err(e) => e.is_timeout() || e.code() == Some("READONLY"),
    }
}

fn config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_number_of_retries(CONNECT_ATTEMPTS)
        .set_min_delay(RECONNECT_DELAY)
        .set_max_delay(RECONNECT_DELAY_MAX)
}
