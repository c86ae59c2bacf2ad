//! The Redis store: one hash per topic, a script call per topic or cut, many calls in one round trip.
//!
//! A script touches one key, so that it works while a Redis Cluster moves slots; and what it writes is
//! replicated whole, so that a failover forgets totals and positions together.

mod answer;
mod durability;
mod forgetting;
mod identity;
mod layout;
mod link;
mod mending;
mod merging;
mod process;
mod refusal;
mod scanning;
mod sessions;
mod shards;
mod whole;

use super::whole::refuse_half;
use super::{Cursor, Page, SavedRegistry, Store, StoreError, Whole};
use crate::machine::documents::cache::Memory;
use crate::machine::documents::{Document, Position};
use crate::machine::identity::binding::FoundStore;
use countree_common::cluster::NodeName;
use countree_common::config::manifest::StoreUrl;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::{Snapshot, Version};
use countree_common::forget::Forgetting;
use countree_common::key::Topic;
use countree_common::session::{Seq, SessionId};
use countree_common::store::{StoreId, StoreRecord};
use countree_common::stream::StreamId;
use countree_common::wire::rpc::SessionTable;
use durability::Durability;
use layout::Keys;
use link::Link;
pub use mending::Mended;
use process::Process;
use redis::aio::ConnectionLike;
use redis::{ErrorKind, Pipeline, RedisResult, Script, ServerErrorKind, Value, cmd, from_redis_value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Topics in the list of recent ones.
const RECENT_TOPICS: usize = 10_000;
/// A busy topic is noted as recent this often.
const NOTE_AGAIN: Duration = Duration::from_secs(1);

/// A Redis server or a Redis Cluster.
#[derive(Clone)]
pub struct Redis {
    link: Link,
    keys: Keys,
    memory: Arc<Mutex<Memory>>,
    /// The process that served last.
    process: Arc<tokio::sync::Mutex<Option<Arc<Process>>>>,
    save: Arc<Script>,
    mend: Arc<Script>,
    noted: Arc<Mutex<HashMap<Topic, Instant>>>,
    durability: Arc<Durability>,
    /// The store that is served; `None` where it is not served, but copied or looked at.
    bound: Arc<Mutex<Option<StoreId>>>,
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
    /// When the server does not answer, or does not let us in, and when the store was copied there by half.
    pub async fn open(url: &StoreUrl, cluster: &NodeName) -> Result<Self, StoreError> {
        let store = Self::open_any(url, cluster).await?;
        refuse_half(store.copy_mark().await?)?;
        Ok(store)
    }

    /// [`Redis::open`], also when only half of it was copied there.
    ///
    /// # Errors
    /// When the server does not answer, or does not let us in.
    pub async fn open_any(url: &StoreUrl, cluster: &NodeName) -> Result<Self, StoreError> {
        let mut link = Link::open(url).await?;
        warn_of_eviction(&mut link).await;
        let store = Self {
            link,
            keys: Keys::of(cluster),
            memory: Arc::default(),
            process: Arc::default(),
            save: Arc::new(Script::new(include_str!("save.lua"))),
            mend: mending::script(),
            noted: Arc::default(),
            durability: Arc::default(),
            bound: Arc::default(),
        };
        // Nothing is merged yet: this says in the log what is to be expected.
        if let Err(e) = store.ask_durability().await {
            tracing::debug!("Redis does not say what it may forget: {e}");
        }
        Ok(store)
    }

    /// Whether it is one server, which may be one that loses nothing.
    fn is_single(&self) -> bool {
        matches!(self.link, Link::Single(_))
    }

    /// The process that serves, as far as is known.
    async fn process(&self) -> RedisResult<Arc<Process>> {
        self.process_other_than(None).await
    }

    /// The process that serves, met again if it was taken for `stale` until now.
    async fn process_other_than(&self, stale: Option<&Arc<Process>>) -> RedisResult<Arc<Process>> {
        let mut known = self.process.lock().await;
        match &*known {
            Some(process) if stale.is_none_or(|stale| !Arc::ptr_eq(process, stale)) => Ok(process.clone()),
            _ => {
                let process = Arc::new(Process::meet(&mut self.link.clone(), &self.keys).await?);
                // After its scripts are there: a cluster that takes the store over renames it first, and then takes them away.
                self.check_bound().await?;
                *known = Some(process.clone());
                self.memory.lock().unwrap_or_else(PoisonError::into_inner).clear();
                Ok(process)
            }
        }
    }

    /// Finds out whether merges will be durable.
    async fn ask_durability(&self) -> RedisResult<()> {
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
    async fn write_all(&self, mut pipeline: Pipeline) -> RedisResult<Vec<(Value, bool)>> {
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

    /// A topic's fields, and the era that they are served in.
    async fn fields(&self, topic: &Topic) -> RedisResult<(Vec<(String, String)>, u64)> {
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
    async fn fields_served_by(&self, topic: &Topic, process: &Process) -> RedisResult<Vec<(String, String)>> {
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

    /// Puts merged topics at the top of the recent ones. Best effort: only the list of topics depends on it.
    async fn note_recent(&self, cuts: &[Cut], outcomes: &[Result<Outcome, StoreError>]) {
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

/// An answer that is not of the form that was asked for.
fn answered(e: redis::ParsingError) -> StoreError {
    StoreError::Failed(format!("Redis gave no answer of ours: {e}"))
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
        let outcomes = self.merge_all(&cuts).await;
        self.note_recent(&cuts, &outcomes).await;
        outcomes
    }

    async fn read(&self, topic: &Topic) -> Result<Option<Snapshot>, StoreError> {
        let (fields, era) = self.whole_fields(topic).await?;
        if fields.is_empty() { Ok(None) } else { layout::snapshot(topic, fields, era).map(Some) }
    }

    async fn served_in(&self) -> Result<u64, StoreError> {
        let process = self.process().await?;
        if process.serves_still(&mut self.link.clone(), &self.keys).await? {
            return Ok(process.era);
        }
        Ok(self.process_other_than(Some(&process)).await?.era)
    }

    async fn topics(&self, limit: usize) -> Result<Vec<Topic>, StoreError> {
        let mut list = cmd("ZREVRANGE");
        list.arg(self.keys.recent()).arg(0).arg(limit as i64 - 1);
        let names: Vec<String> = list.query_async(&mut self.link.clone()).await?;
        Ok(names.iter().take(limit).filter_map(|name| Topic::new(name).ok()).collect())
    }

    async fn scan(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Topic>, StoreError> {
        self.scan_topics(after, limit).await
    }

    async fn document(&self, topic: &Topic) -> Result<Option<Document>, StoreError> {
        self.whole_document(topic).await
    }

    async fn forget(&self, topic: &Topic, at: Version) -> Result<Forgetting, StoreError> {
        self.forget_topic(topic, at).await
    }

    async fn forgotten(&self, topics: Arc<[Topic]>) -> Result<Vec<u64>, StoreError> {
        self.events_forgotten(&topics).await
    }

    async fn positions(
        &self,
        topics: Arc<[Topic]>,
        streams: Arc<[StreamId]>,
    ) -> Result<Vec<Vec<Position>>, StoreError> {
        self.stream_positions(&topics, &streams).await
    }

    async fn identity(&self) -> Result<FoundStore, StoreError> {
        self.find_identity().await
    }

    async fn put_identity(&self, record: StoreRecord) -> Result<bool, StoreError> {
        self.replace_identity(record).await
    }

    async fn serve_as(&self, id: StoreId, bars_others: bool) -> Result<(), StoreError> {
        self.bind(id, bars_others).await
    }

    async fn load_registry(&self) -> Result<Option<SavedRegistry>, StoreError> {
        let mut load = cmd("HMGET");
        load.arg(self.keys.registry()).arg("revision").arg("text");
        let (revision, text): (Option<u64>, Option<String>) =
            load.query_async(&mut self.link.clone()).await?;
        // After it: what was read before is of the same store.
        self.check_bound().await?;
        Ok(revision.zip(text))
    }

    async fn save_registry(&self, expected: u64, next: u64, text: String) -> Result<bool, StoreError> {
        let mut call = self.save.key(self.keys.registry());
        call.arg(expected).arg(next).arg(text);
        let replaced: u8 = call.invoke_async(&mut self.link.clone()).await?;
        self.check_bound().await?;
        Ok(replaced == 1)
    }

    async fn put_sessions(&self, table: SessionTable) -> Result<bool, StoreError> {
        self.keep_sessions(&table).await
    }

    async fn ended(&self, leaf: &NodeName, session: SessionId) -> Result<Option<Seq>, StoreError> {
        self.last_of(leaf, session).await
    }
}
