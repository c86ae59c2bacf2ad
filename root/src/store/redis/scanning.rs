//! Reads all topics, whole documents, and positions alone.
//!
//! * `SCAN` goes over one primary after the other. A cursor means something to one process and one division of the
//!   slots alone: another ends the scan, or topics could be missed.
//! * `HGETALL` of a large document would hold up all other clients of the server. It is read in pages, and again if it
//!   was merged into meanwhile.

use super::layout::{gather, position, stream_field};
use super::{Redis, answered};
use crate::machine::documents::{Document, Position};
use crate::store::{Cursor, Page, StoreError};
use countree_common::key::Topic;
use countree_common::stream::StreamId;
use redis::{Cmd, RedisResult, Value, cmd, from_redis_value};
use std::collections::HashMap;
use tokio::task::JoinSet;

/// A document of more fields is read in pages.
const FIELDS_AT_ONCE: usize = 8_192;
/// Fields in a page, about.
const FIELDS_IN_PAGE: usize = 2_048;
/// A document that is merged into each time is read at once, in the end.
const TRIES: usize = 3;
/// Positions in one command: a server that is busy with it answers nobody else.
const POSITIONS_AT_ONCE: usize = 1_024;
/// Commands that are under way at a time.
const COMMANDS_AT_ONCE: usize = 128;

/// The position of a scan.
struct ScanPosition {
    servers: u64,
    primary: usize,
    cursor: u64,
}

impl ScanPosition {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut next = || words.next()?.parse().ok();
        let (servers, primary, cursor) = (next()?, next()?, next()?);
        Some(Self { servers, primary: usize::try_from(primary).ok()?, cursor })
    }

    fn into_cursor(self) -> Cursor {
        Cursor::new(format!("{} {} {}", self.servers, self.primary, self.cursor))
    }
}

impl Redis {
    /// See [`Store::scan`](crate::store::Store::scan).
    pub(super) async fn scan_topics(
        &self,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Topic>, StoreError> {
        let prefix = self.keys.topics();
        let Page { found, next } = self.scan_keys(&prefix, after, limit).await?;
        // A key with no topic's name is not a topic's.
        let topics =
            found.iter().filter_map(|key| Topic::from_utf8(key.strip_prefix(prefix.as_bytes())?).ok());
        Ok(Page { found: topics.collect(), next })
    }

    /// Reads a page of the keys that begin with the prefix.
    pub(super) async fn scan_keys(
        &self,
        prefix: &str,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Vec<u8>>, StoreError> {
        let mut link = self.link.clone();
        let servers = link.servers().await?.ok_or(StoreError::ScanBroken)?;
        let place = match &after {
            None => ScanPosition { servers: servers.mark, primary: 0, cursor: 0 },
            Some(cursor) => ScanPosition::parse(cursor.as_str()).ok_or(StoreError::ScanBroken)?,
        };
        if place.servers != servers.mark {
            return Err(StoreError::ScanBroken);
        }
        let mut scan = cmd("SCAN");
        scan.arg(place.cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(limit.max(1));
        let answer = link.ask_primary(&servers, place.primary, scan).await?;
        let (cursor, found): (u64, Vec<Vec<u8>>) = from_redis_value(answer).map_err(answered)?;
        let primary = if cursor == 0 { place.primary + 1 } else { place.primary };
        if primary < servers.primaries {
            return Ok(Page { found, next: Some(ScanPosition { primary, cursor, ..place }.into_cursor()) });
        }
        if link.servers().await?.is_none_or(|now| now.mark != servers.mark) {
            return Err(StoreError::ScanBroken);
        }
        Ok(Page { found, next: None })
    }

    /// See [`Store::document`](crate::store::Store::document).
    pub(super) async fn whole_document(&self, topic: &Topic) -> Result<Option<Document>, StoreError> {
        let fields = match self.paged_fields(topic).await? {
            Some(fields) => fields,
            None => self.whole_fields(topic).await?.0,
        };
        if fields.is_empty() {
            return Ok(None);
        }
        let mut document = Document::default();
        gather(topic, &fields, &mut document)?;
        Ok(Some(document))
    }

    /// The fields of a large document, read in pages; `None` for one that is to be read at once.
    async fn paged_fields(&self, topic: &Topic) -> RedisResult<Option<Vec<(String, String)>>> {
        for _ in 0..TRIES {
            let (process, before) = (self.process().await?, self.head(topic).await?);
            if before.1 <= FIELDS_AT_ONCE {
                return Ok(None);
            }
            let fields = self.field_pages(topic).await?;
            let after = self.head(topic).await?;
            // A key that has moved between servers makes the cursor worthless, and fields are missed.
            let is_half = before.0.iter().flatten().any(|head| head.starts_with("half of "));
            let is_whole = before == after && fields.len() == after.1 && !is_half;
            if is_whole && process.serves(&mut self.link.clone()).await? {
                return Ok(Some(fields.into_iter().collect()));
            }
        }
        Ok(None)
    }

    /// Version and era as they are written, and how many fields there are.
    async fn head(&self, topic: &Topic) -> RedisResult<(Vec<Option<String>>, usize)> {
        let key = self.keys.topic(topic);
        let mut link = self.link.clone();
        let version = cmd("HMGET").arg(&key).arg("version").arg("era").query_async(&mut link).await?;
        Ok((version, cmd("HLEN").arg(&key).query_async(&mut link).await?))
    }

    async fn field_pages(&self, topic: &Topic) -> RedisResult<HashMap<String, String>> {
        let (mut fields, mut cursor) = (HashMap::new(), 0u64);
        loop {
            let mut scan = cmd("HSCAN");
            scan.arg(self.keys.topic(topic)).arg(cursor).arg("COUNT").arg(FIELDS_IN_PAGE);
            let page: Vec<(String, String)>;
            (cursor, page) = scan.query_async(&mut self.link.clone()).await?;
            fields.extend(page);
            if cursor == 0 {
                return Ok(fields);
            }
        }
    }

    /// See [`Store::positions`](crate::store::Store::positions).
    pub(super) async fn stream_positions(
        &self,
        topics: &[Topic],
        streams: &[StreamId],
    ) -> Result<Vec<Vec<Position>>, StoreError> {
        let fields: Vec<_> = streams.iter().map(stream_field).collect();
        let chunks: Vec<_> = fields.chunks(POSITIONS_AT_ONCE).collect();
        let of_topic = |topic: &Topic| {
            let key = self.keys.topic(topic);
            chunks
                .iter()
                .map(move |fields| cmd("HMGET").arg(&key).arg(*fields).to_owned())
                .collect::<Vec<_>>()
        };
        let commands: Vec<Cmd> = topics.iter().flat_map(of_topic).collect();
        let mut answers = self.ask_all(commands).await?.into_iter();
        let mut positions = Vec::with_capacity(topics.len());
        for topic in topics {
            let mut of_topic = Vec::with_capacity(streams.len());
            for (fields, answer) in chunks.iter().zip(answers.by_ref()) {
                let values: Vec<Option<String>> = from_redis_value(answer).map_err(answered)?;
                for (field, value) in fields.iter().zip(values) {
                    let damaged =
                        || StoreError::Damaged(format!("the field {field} of topic {topic} is no position"));
                    let found = value.map(|value| position(&value).ok_or_else(damaged)).transpose()?;
                    of_topic.push(found.unwrap_or_default());
                }
            }
            positions.push(of_topic);
        }
        Ok(positions)
    }

    /// The answers to commands of one key each, in their order.
    pub(super) async fn ask_all(&self, commands: Vec<Cmd>) -> Result<Vec<Value>, StoreError> {
        let mut answers = Vec::with_capacity(commands.len());
        for commands in commands.chunks(COMMANDS_AT_ONCE) {
            answers.extend(if self.is_single() {
                self.link.clone().all_of(commands).await?
            } else {
                self.ask_each(commands).await?
            });
        }
        Ok(answers)
    }

    /// Asks all at once, each by itself: a Redis Cluster takes no pipeline across slots.
    async fn ask_each(&self, commands: &[Cmd]) -> Result<Vec<Value>, StoreError> {
        let mut tasks = JoinSet::new();
        for (place, command) in commands.iter().cloned().enumerate() {
            let mut link = self.link.clone();
            tasks.spawn(async move { (place, command.query_async::<Value>(&mut link).await) });
        }
        let mut answers = vec![Value::Nil; commands.len()];
        while let Some(finished) = tasks.join_next().await {
            let (place, answer) =
                finished.map_err(|e| StoreError::Failed(format!("a call to Redis was abandoned: {e}")))?;
            if let Some(slot) = answers.get_mut(place) {
                *slot = answer?;
            }
        }
        Ok(answers)
    }
}
