//! Reads a topic's fields under the era of the process that serves.

use super::Redis;
use super::server_process::ServerProcess;
use countree_common::key::Topic;
use redis::{ErrorKind, RedisResult, ServerErrorKind, Value, cmd, from_redis_value};

impl Redis {
    /// A topic's fields, and the era that they are served in.
    pub(super) async fn fields(&self, topic: &Topic) -> RedisResult<(Vec<(String, String)>, u64)> {
        let mut process = self.process().await?;
        let mut met_again = false;
        loop {
            match self.fields_served_by(topic, &process).await {
                Err(e) if e.kind() == ErrorKind::Server(ServerErrorKind::NoScript) && !met_again => {
                    process = self.process_other_than(Some(&process)).await?;
                    met_again = true;
                }
                result => return result.map(|fields| (fields, process.era)),
            }
        }
    }

    /// A topic's fields, unless another process than this one has answered.
    async fn fields_served_by(
        &self,
        topic: &Topic,
        process: &ServerProcess,
    ) -> RedisResult<Vec<(String, String)>> {
        let key = self.keys.topic(topic);
        let mut read = cmd("HGETALL");
        read.arg(&key);
        // After the reading: had a new process answered that, it would answer this too.
        let mut seen = cmd("EVALSHA");
        seen.arg(&process.seen.hash).arg(1).arg(&key);
        let mut link = self.link.clone();
        if self.is_single() {
            let fields = link.all_of(&[read, seen]).await?.into_iter().next();
            return Ok(from_redis_value(fields.unwrap_or(Value::Nil))?);
        }
        // By themselves, so that they find their way while slots move.
        let fields = read.query_async(&mut link).await?;
        seen.query_async::<()>(&mut link).await?;
        Ok(fields)
    }
}
