//! Forgets a topic.

use super::answer::{forgetting, is_missing_script};
use super::server_process::ServerProcess;
use super::{Redis, answered, durability};
use crate::store::StoreError;
use countree_common::document::Version;
use countree_common::forget::ForgetOutcome;
use countree_common::key::Topic;
use redis::{Pipeline, RedisResult, Value, cmd, from_redis_value};
use std::sync::PoisonError;

impl Redis {
    /// See [`Store::forget`](crate::store::Store::forget).
    pub(super) async fn forget_topic(&self, topic: &Topic, at: Version) -> Result<ForgetOutcome, StoreError> {
        let process = self.process().await?;
        let mut answer = self.ask_to_forget(topic, at, &process).await;
        if answer.as_ref().is_ok_and(|(answer, _)| is_missing_script(answer)) {
            let process = self.process_other_than(Some(&process)).await?;
            answer = self.ask_to_forget(topic, at, &process).await;
        }
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).forget(topic);
        let (answer, durable) = answer?;
        let forgetting = forgetting(answer, durable)?;
        if matches!(forgetting, ForgetOutcome::Forgotten(_)) {
            self.unlist(topic).await?;
        }
        Ok(forgetting)
    }

    /// The script's answer, and whether what it tells of is durable.
    async fn ask_to_forget(
        &self,
        topic: &Topic,
        at: Version,
        process: &ServerProcess,
    ) -> RedisResult<(Value, bool)> {
        let mut call = cmd("EVALSHA");
        call.arg(&process.forget.hash).arg(1).arg(self.keys.topic(topic)).arg(at.era).arg(at.number);
        let mut pipeline = Pipeline::with_capacity(1 + durability::QUESTIONS);
        pipeline.add_command(call);
        Ok(self.write_all(pipeline).await?.pop().unwrap_or((Value::Nil, false)))
    }

    /// Takes a topic out of the list of recent ones; merges that come later put it back.
    async fn unlist(&self, topic: &Topic) -> RedisResult<()> {
        let mut remove = cmd("ZREM");
        remove.arg(self.keys.recent()).arg(topic.as_str());
        remove.query_async::<()>(&mut self.link.clone()).await?;
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).remove(topic);
        Ok(())
    }

    /// See [`Store::forgotten`](crate::store::Store::forgotten).
    pub(super) async fn events_forgotten(&self, topics: &[Topic]) -> Result<Vec<u64>, StoreError> {
        let ask = |topic: &Topic| cmd("HGET").arg(self.keys.topic(topic)).arg("forgotten").to_owned();
        let answers = self.ask_all(topics.iter().map(ask).collect()).await?;
        let events = |answer| from_redis_value::<Option<u64>>(answer).map(Option::unwrap_or_default);
        answers.into_iter().map(|answer| events(answer).map_err(answered)).collect()
    }
}
