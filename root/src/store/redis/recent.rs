//! Keeps the list of recent topics: the last merged first, best effort.

use super::Redis;
use crate::store::StoreError;
use countree_common::cut::{Cut, Outcome};
use countree_common::key::Topic;
use redis::{Pipeline, cmd};
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Topics in the list of recent ones.
pub(super) const RECENT_TOPICS: usize = 10_000;
/// A busy topic is noted as recent this often.
const NOTE_AGAIN: Duration = Duration::from_secs(1);

impl Redis {
    /// See [`Store::topics`](crate::store::Store::topics).
    pub(super) async fn recent_topics(&self, limit: usize) -> Result<Vec<Topic>, StoreError> {
        let mut list = cmd("ZREVRANGE");
        list.arg(self.keys.recent()).arg(0).arg(limit as i64 - 1);
        let names: Vec<String> = list.query_async(&mut self.link.clone()).await?;
        Ok(names.iter().take(limit).filter_map(|name| Topic::new(name).ok()).collect())
    }

    /// Puts merged topics at the top of the recent ones. Best effort: only the list of topics depends on it.
    pub(super) async fn note_recent(&self, cuts: &[Cut], outcomes: &[Result<Outcome, StoreError>]) {
        // A topic that has no counters is not listed.
        let applied = cuts
            .iter()
            .zip(outcomes)
            .filter(|(cut, o)| !cut.sums.is_empty() && matches!(o, Ok(Outcome::Applied(_))));
        let topics = self.not_noted_lately(applied.map(|(cut, _)| &cut.topic));
        if topics.is_empty() {
            return;
        }
        let mut add = cmd("ZADD");
        add.arg(self.keys.recent());
        // A microsecond apart keeps the order within the batch.
        for (score, topic) in (micros_since_1970().saturating_sub(topics.len() as u64)..).zip(topics) {
            add.arg(score).arg(topic.as_str());
        }
        let mut trim = cmd("ZREMRANGEBYRANK");
        trim.arg(self.keys.recent()).arg(0).arg(-1 - RECENT_TOPICS as i64);
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.add_command(add).add_command(trim);
        if let Err(e) = pipeline.exec_async(&mut self.link.clone()).await {
            tracing::debug!("the recent topics could not be noted: {e}");
        }
    }

    fn not_noted_lately<'a>(&self, topics: impl Iterator<Item = &'a Topic>) -> Vec<Topic> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() > RECENT_TOPICS {
            noted.clear();
        }
        let now = Instant::now();
        let mut due = Vec::new();
        for topic in topics {
            if noted.get(topic).is_none_or(|at| now.duration_since(*at) >= NOTE_AGAIN) {
                noted.insert(topic.clone(), now);
                due.push(topic.clone());
            }
        }
        due
    }
}

pub(super) fn micros_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
