//! Session tables: the last counted batch of each session of a leaf that has left.
//!
//! `countree:CLUSTER:sessions:LEAF` is a hash with a field for each session, 32 hexadecimal digits, and the
//! session's last counted batch. The server drops it when no leaf can want to know any more.

use super::{Redis, durability};
use crate::store::StoreError;
use countree_common::cluster::NodeName;
use countree_common::session::{Seq, SessionId};
use countree_common::wire::rpc::SessionTable;
use redis::aio::ConnectionLike;
use redis::{Pipeline, RedisResult, Value, cmd};

/// Sessions in one command: a server that is busy with it answers nobody else.
const CHUNK: usize = 4_096;

impl Redis {
    /// See [`Store::put_sessions`](crate::store::Store::put_sessions).
    pub(super) async fn keep_sessions(&self, table: &SessionTable) -> Result<bool, StoreError> {
        self.check_bound().await?;
        let key = self.keys.sessions(&table.leaf);
        let mut pipeline = Pipeline::new();
        for sessions in table.sessions.chunks(CHUNK) {
            let mut set = cmd("HSET");
            set.arg(&key);
            for (session, last) in sessions {
                set.arg(session.to_string()).arg(last);
            }
            pipeline.add_command(set);
        }
        let mut expire = cmd("PEXPIRE");
        expire.arg(&key).arg(table.keep_ms.max(1));
        pipeline.add_command(expire);
        let writes = pipeline.len();
        // A leaf that leaves can't wait until it is time to ask again.
        let is_asked = self.is_single();
        if is_asked {
            durability::ask(&mut pipeline);
        }
        let expected = pipeline.len();
        let mut answers = self.link.clone().req_packed_commands(&pipeline, 0, expected).await?;
        let about_durability = answers.split_off(writes.min(answers.len()));
        let stored: RedisResult<Vec<Value>> = answers.into_iter().map(Value::extract_error).collect();
        stored?;
        // Its leaf goes once it believes that this is kept.
        self.check_bound().await?;
        Ok(is_asked && self.durability.learn(&about_durability))
    }

    /// See [`Store::ended`](crate::store::Store::ended).
    pub(super) async fn last_of(
        &self,
        leaf: &NodeName,
        session: SessionId,
    ) -> Result<Option<Seq>, StoreError> {
        let mut get = cmd("HGET");
        get.arg(self.keys.sessions(leaf)).arg(session.to_string());
        let last = get.query_async(&mut self.link.clone()).await?;
        self.check_bound().await?;
        Ok(last)
    }
}
