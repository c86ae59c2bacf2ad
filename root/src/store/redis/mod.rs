//! The Redis store: one hash per topic, one script call per cut, many calls in one round trip.
//!
//! A script touches one key, so that it works while a Redis Cluster moves slots; and what it writes is
//! replicated whole, so that a failover forgets totals and positions together.

mod answer;
mod durability;
mod layout;
mod link;
mod refusal;

use super::{SavedRegistry, Store, StoreError};
use answer::{is_missing_script, outcome};
use countree_common::cluster::NodeName;
use countree_common::config::manifest::StoreUrl;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::Snapshot;
use countree_common::key::Topic;
use durability::Durability;
use layout::{Keys, stream_field, total_field};
use link::Link;
use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, Script, Value, cmd};
use refusal::is_on_the_move;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

/// Topics in the list of recent ones.
const RECENT_TOPICS: usize = 10_000;
/// A busy topic is noted as recent this often.
const NOTE_AGAIN: Duration = Duration::from_secs(1);

/// A Redis server or a Redis Cluster.
#[derive(Clone)]
pub struct Redis {
    link: Link,
    keys: Keys,
    merge: Arc<Script>,
    save: Arc<Script>,
    noted: Arc<Mutex<HashMap<Topic, Instant>>>,
    durability: Arc<Durability>,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects, and warns of a server that is set to forget.
    ///
    /// # Errors
    /// When the server does not answer, or does not let us in.
    pub async fn open(url: &StoreUrl, cluster: &NodeName) -> Result<Self, StoreError> {
        let mut link = Link::open(url).await?;
        warn_of_eviction(&mut link).await;
        let store = Self {
            link,
            keys: Keys::of(cluster),
            merge: Arc::new(Script::new(include_str!("merge.lua"))),
            save: Arc::new(Script::new(include_str!("save.lua"))),
            noted: Arc::default(),
            durability: Arc::default(),
        };
        // Nothing is merged yet: this says in the log what is to be expected.
        if let Err(e) = store.call(&[]).await {
            tracing::debug!("Redis does not say what it may forget: {e}");
        }
        Ok(store)
    }

    fn merge_command(&self, cut: &Cut) -> Cmd {
        let mut command = cmd("EVALSHA");
        command.arg(self.merge.get_hash()).arg(1).arg(self.keys.topic(&cut.topic));
        command.arg(stream_field(&cut.stream)).arg(cut.from).arg(cut.to).arg(cut.events).arg(cut.era);
        command.arg(cut.sums.len());
        for sum in &cut.sums {
            command.arg(total_field(&sum.item, &sum.kind));
        }
        for sum in &cut.sums {
            command.arg(sum.delta);
        }
        command
    }

    /// Sends the cuts in one round trip; in a Redis Cluster they have to be of one topic. One answer for each.
    async fn merge_together(&self, cuts: &[&Cut]) -> Vec<Result<Outcome, StoreError>> {
        let mut answers = match self.call(cuts).await {
            Ok(answers) => answers,
            Err(e) if cuts.len() > 1 && is_on_the_move(&e) => return self.merge_one_by_one(cuts).await,
            Err(e) => return vec![Err(e.into()); cuts.len()],
        };
        // A server that has restarted, or has just become the primary, does not know the script.
        let missed: Vec<_> =
            (0..cuts.len()).filter(|i| answers.get(*i).is_some_and(|(a, _)| is_missing_script(a))).collect();
        if !missed.is_empty() {
            let again: Vec<_> = missed.iter().filter_map(|i| cuts.get(*i).copied()).collect();
            match self.load_and_call(&again).await {
                Ok(repeated) => missed.into_iter().zip(repeated).for_each(|(i, answer)| {
                    if let Some(slot) = answers.get_mut(i) {
                        *slot = answer;
                    }
                }),
                Err(e) => tracing::debug!("the merge script could not be loaded: {e}"),
            }
        }
        answers.into_iter().map(|(answer, durable)| outcome(answer, durable)).collect()
    }

    /// While a slot moves, a redirection is good for one command only.
    async fn merge_one_by_one(&self, cuts: &[&Cut]) -> Vec<Result<Outcome, StoreError>> {
        let mut outcomes = Vec::with_capacity(cuts.len());
        for cut in cuts.chunks(1) {
            outcomes.extend(Box::pin(self.merge_together(cut)).await);
        }
        outcomes
    }

    /// One answer for each cut, and whether what it tells of is durable.
    async fn call(&self, cuts: &[&Cut]) -> Result<Vec<(Value, bool)>, RedisError> {
        // The nodes of a Redis Cluster have replicas.
        let is_asked = matches!(self.link, Link::Single(_)) && self.durability.is_asked();
        let questions = if is_asked { durability::QUESTIONS } else { 0 };
        let expected = cuts.len() + questions;
        if expected == 0 {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::with_capacity(expected);
        for cut in cuts {
            pipeline.add_command(self.merge_command(cut));
        }
        if is_asked {
            durability::ask(&mut pipeline);
        }
        let mut answers = self.link.clone().req_packed_commands(&pipeline, 0, expected).await?;
        if answers.len() != expected {
            return Err((ErrorKind::UnexpectedReturnType, "Redis left calls without an answer").into());
        }
        let about_durability = answers.split_off(cuts.len());
        let durable = is_asked && self.durability.learn(&about_durability);
        Ok(answers.into_iter().map(|answer| (answer, durable)).collect())
    }

    async fn load_and_call(&self, cuts: &[&Cut]) -> Result<Vec<(Value, bool)>, RedisError> {
        self.merge.load_async(&mut self.link.clone()).await?;
        self.call(cuts).await
    }

    /// Each topic's cuts by themselves, all topics at once: a Redis Cluster takes no pipeline across slots.
    async fn merge_by_topic(&self, cuts: Arc<[Cut]>) -> Vec<Result<Outcome, StoreError>> {
        let mut by_topic = BTreeMap::<&Topic, Vec<usize>>::new();
        for (place, cut) in cuts.iter().enumerate() {
            by_topic.entry(&cut.topic).or_default().push(place);
        }
        let mut tasks = JoinSet::new();
        for places in by_topic.into_values() {
            let (store, cuts) = (self.clone(), cuts.clone());
            tasks.spawn(async move {
                let together: Vec<_> = places.iter().filter_map(|place| cuts.get(*place)).collect();
                let outcomes = store.merge_together(&together).await;
                (places, outcomes)
            });
        }
        let unknown = StoreError::Failed("a call to Redis was abandoned".into());
        let mut answers = vec![Err(unknown); cuts.len()];
        while let Some(finished) = tasks.join_next().await {
            let Ok((places, outcomes)) = finished else { continue };
            for (place, outcome) in places.into_iter().zip(outcomes) {
                if let Some(slot) = answers.get_mut(place) {
                    *slot = outcome;
                }
            }
        }
        answers
    }

    /// Puts merged topics at the top of the recent ones. Best effort: only the list of topics depends on it.
    async fn note_recent(&self, cuts: &[Cut], outcomes: &[Result<Outcome, StoreError>]) {
        let applied = cuts.iter().zip(outcomes).filter(|(_, o)| matches!(o, Ok(Outcome::Applied(_))));
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

fn micros_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A server that evicts keys when its memory is full forgets topics, totals and positions alike.
async fn warn_of_eviction(link: &mut Link) {
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

impl Store for Redis {
    async fn merge(&self, cuts: Arc<[Cut]>) -> Vec<Result<Outcome, StoreError>> {
        let outcomes = match self.link {
            Link::Single(_) => self.merge_together(&cuts.iter().collect::<Vec<_>>()).await,
            Link::Cluster(_) => self.merge_by_topic(cuts.clone()).await,
        };
        self.note_recent(&cuts, &outcomes).await;
        outcomes
    }

    async fn read(&self, topic: &Topic) -> Result<Option<Snapshot>, StoreError> {
        let mut read = cmd("HGETALL");
        read.arg(self.keys.topic(topic));
        let fields: Vec<(String, String)> = read.query_async(&mut self.link.clone()).await?;
        if fields.is_empty() { Ok(None) } else { layout::snapshot(topic, fields).map(Some) }
    }

    async fn topics(&self, limit: usize) -> Result<Vec<Topic>, StoreError> {
        let mut list = cmd("ZREVRANGE");
        list.arg(self.keys.recent()).arg(0).arg(limit as i64 - 1);
        let names: Vec<String> = list.query_async(&mut self.link.clone()).await?;
        Ok(names.iter().take(limit).filter_map(|name| Topic::new(name).ok()).collect())
    }

    async fn load_registry(&self) -> Result<Option<SavedRegistry>, StoreError> {
        let mut load = cmd("HMGET");
        load.arg(self.keys.registry()).arg("revision").arg("text");
        let (revision, text): (Option<u64>, Option<String>) =
            load.query_async(&mut self.link.clone()).await?;
        Ok(revision.zip(text))
    }

    async fn save_registry(&self, expected: u64, text: String) -> Result<bool, StoreError> {
        let mut call = self.save.key(self.keys.registry());
        call.arg(expected).arg(expected + 1).arg(text);
        let replaced: u8 = call.invoke_async(&mut self.link.clone()).await?;
        Ok(replaced == 1)
    }
}
