//! Writes documents as they are, and reads what a copy of the store takes.

use super::layout::{stream_field, total_field};
use super::recent::{RECENT_TOPICS, micros_since_1970};
use super::{Redis, answered};
use crate::machine::documents::{Document, Position};
use crate::store::whole::parse_mark;
use crate::store::{CopyMark, Cursor, Page, StoreError, Whole};
use countree_common::cluster::NodeName;
use countree_common::key::Topic;
use countree_common::session::SessionId;
use countree_common::wire::rpc::SessionTable;
use redis::{Cmd, cmd, from_redis_value};
use std::sync::PoisonError;

/// Fields in one command: a server that is busy with it answers nobody else.
const FIELDS_AT_ONCE: usize = 2_048;

impl Redis {
    /// The commands that write a document; the version comes last, so that half of one has none.
    fn put_commands(&self, topic: &Topic, document: &Document) -> Vec<Cmd> {
        let key = self.keys.topic(topic);
        let streams = document
            .streams
            .iter()
            .map(|(stream, Position { lsn, events })| (stream_field(stream), format!("{lsn} {events}")));
        let totals =
            document.totals.iter().map(|((item, kind), total)| (total_field(item, kind), total.to_string()));
        let era = ("era".to_owned(), document.version.era.to_string());
        let version = ("version".to_owned(), document.version.number.to_string());
        let forgotten =
            (document.forgotten > 0).then(|| ("forgotten".to_owned(), document.forgotten.to_string()));
        let fields: Vec<_> = streams.chain(totals).chain(forgotten).chain([era, version]).collect();
        let mut commands = vec![cmd("DEL").arg(&key).to_owned()];
        for fields in fields.chunks(FIELDS_AT_ONCE) {
            let mut set = cmd("HSET");
            set.arg(&key);
            for (field, value) in fields {
                set.arg(field).arg(value);
            }
            commands.push(set);
        }
        commands
    }

    async fn put_document(&self, topic: &Topic, document: &Document) -> Result<(), StoreError> {
        let mut link = self.link.clone();
        for command in self.put_commands(topic, document) {
            command.query_async::<()>(&mut link).await?;
        }
        Ok(())
    }

    async fn session_table(&self, leaf: NodeName) -> Result<Option<SessionTable>, StoreError> {
        let key = self.keys.sessions(&leaf);
        let mut link = self.link.clone();
        let left: i64 = cmd("PTTL").arg(&key).query_async(&mut link).await?;
        let sessions: Vec<(String, u64)> = cmd("HGETALL").arg(&key).query_async(&mut link).await?;
        let strange =
            || StoreError::Damaged(format!("the table of sessions of {leaf} is not what Countree writes"));
        let session = |(session, last): (String, u64)| {
            u128::from_str_radix(&session, 16)
                .map(|session| (SessionId(session), last))
                .map_err(|_| strange())
        };
        let sessions = sessions.into_iter().map(session).collect::<Result<Vec<_>, _>>()?;
        let keep_ms = u64::try_from(left).unwrap_or_default();
        // A table whose time has come meanwhile is gone.
        Ok((keep_ms > 0 && !sessions.is_empty()).then_some(SessionTable { leaf, sessions, keep_ms }))
    }
}

impl Whole for Redis {
    async fn put_documents(&self, documents: Vec<(Topic, Document)>) -> Result<(), StoreError> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if !self.is_single() {
            for (topic, document) in &documents {
                self.put_document(topic, document).await?;
            }
            return Ok(());
        }
        let commands: Vec<_> =
            documents.iter().flat_map(|(topic, document)| self.put_commands(topic, document)).collect();
        self.ask_all(commands).await.map(drop)
    }

    async fn list_last(&self, topics: Vec<Topic>) -> Result<(), StoreError> {
        let listed = topics.iter().rev().take(RECENT_TOPICS).rev();
        let mut add = cmd("ZADD");
        add.arg(self.keys.recent());
        for (score, topic) in (micros_since_1970().saturating_sub(topics.len() as u64)..).zip(listed) {
            add.arg(score).arg(topic.as_str());
        }
        if topics.is_empty() {
            return Ok(());
        }
        Ok(add.query_async(&mut self.link.clone()).await?)
    }

    async fn session_tables(
        &self,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<SessionTable>, StoreError> {
        let prefix = self.keys.sessions_prefix();
        let Page { found, next } = self.scan_keys(&prefix, after, limit).await?;
        let mut tables = Vec::new();
        for key in found {
            let leaf = key.strip_prefix(prefix.as_bytes()).and_then(|leaf| std::str::from_utf8(leaf).ok());
            let Some(Ok(leaf)) = leaf.map(NodeName::new) else { continue };
            tables.extend(self.session_table(leaf).await?);
        }
        Ok(Page { found: tables, next })
    }

    async fn copy_mark(&self) -> Result<Option<CopyMark>, StoreError> {
        let found = cmd("GET").arg(self.keys.copy()).query_async(&mut self.link.clone()).await?;
        let found: Option<String> = from_redis_value(found).map_err(answered)?;
        Ok(found.map(|text| parse_mark(&text)))
    }

    async fn set_copy_mark(&self, mark: Option<CopyMark>) -> Result<(), StoreError> {
        let command = match mark {
            Some(mark) => {
                let text = serde_json::to_string(&mark).map_err(|e| StoreError::Failed(e.to_string()))?;
                cmd("SET").arg(self.keys.copy()).arg(text).to_owned()
            }
            None => cmd("DEL").arg(self.keys.copy()).to_owned(),
        };
        Ok(command.query_async(&mut self.link.clone()).await?)
    }
}
