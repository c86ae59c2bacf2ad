//! Sends commands that write, and asks in the same round trip whether they are durable.

use super::{Redis, durability};
use redis::aio::ConnectionLike;
use redis::{ErrorKind, Pipeline, RedisResult, Value};

impl Redis {
    /// Finds out whether merges will be durable.
    pub(super) async fn ask_durability(&self) -> RedisResult<()> {
        if self.is_single() && self.durability.is_asked() {
            let mut pipeline = Pipeline::with_capacity(durability::QUESTIONS);
            durability::ask(&mut pipeline);
            let mut link = self.link.clone();
            let answers = link.req_packed_commands(&pipeline, 0, durability::QUESTIONS).await?;
            self.durability.learn(&answers);
        }
        Ok(())
    }

    /// Sends commands that write, in one round trip: an answer for each, and whether what it tells of is durable.
    pub(super) async fn write_all(&self, mut pipeline: Pipeline) -> RedisResult<Vec<(Value, bool)>> {
        let writes = pipeline.len();
        // The nodes of a Redis Cluster have replicas.
        let is_asked = self.is_single() && self.durability.is_asked();
        if is_asked {
            durability::ask(&mut pipeline);
        }
        let expected = pipeline.len();
        let mut answers = self.link.clone().req_packed_commands(&pipeline, 0, expected).await?;
        if answers.len() != expected {
            return Err((ErrorKind::UnexpectedReturnType, "Redis left calls without an answer").into());
        }
        let about_durability = answers.split_off(writes);
        let durable = is_asked && self.durability.learn(&about_durability);
        Ok(answers.into_iter().map(|answer| (answer, durable)).collect())
    }
}
