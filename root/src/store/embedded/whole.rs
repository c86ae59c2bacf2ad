//! Writes documents as they are, and reads what a copy of the store takes.

use super::documents::raise_era;
use super::failure::failed;
use super::forgetting::NO_TURN;
use super::layout::{
    ABOUT, ERAS, FORGOTTEN, NAMES, NEXT, NEXT_TOPIC, STREAMS, TOPICS, TOTALS, TURNS, of_topic, place,
};
use super::sessions::SESSIONS;
use super::{Embedded, blocks, name};
use crate::machine::documents::{Document, Position};
use crate::store::whole::parse_mark;
use crate::store::{CopyMark, Cursor, Page, StoreError, Whole};
use countree_common::cluster::NodeName;
use countree_common::key::Topic;
use countree_common::session::SessionId;
use countree_common::shell::clock::wall;
use countree_common::wire::rpc::SessionTable;
use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};
use std::ops::Bound;
use std::sync::PoisonError;

const COPY: &str = "copy";

fn put_documents(database: &Database, documents: &[(Topic, Document)]) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    for (topic, document) in documents {
        remove(&transaction, topic)?;
        put(&transaction, topic, document)?;
        raise_era(&mut transaction.open_table(ERAS).map_err(failed)?, document.version.era)?;
    }
    transaction.commit().map_err(failed)
}

/// Takes a topic out with all that belongs to it.
fn remove(transaction: &WriteTransaction, topic: &Topic) -> Result<(), StoreError> {
    let topic = topic.as_str();
    let mut topics = transaction.open_table(TOPICS).map_err(failed)?;
    let Some((_, _, turn, number)) = topics.remove(topic).map_err(failed)?.map(|found| found.value()) else {
        return Ok(());
    };
    transaction.open_table(TURNS).map_err(failed)?.remove(turn).map_err(failed)?;
    transaction.open_table(FORGOTTEN).map_err(failed)?.remove(topic).map_err(failed)?;
    let mut names = transaction.open_table(NAMES).map_err(failed)?;
    names.retain_in(of_topic(number), |_, _| false).map_err(failed)?;
    let mut totals = transaction.open_table(TOTALS).map_err(failed)?;
    totals.retain_in(of_topic(number), |_, _| false).map_err(failed)?;
    let mut streams = transaction.open_table(STREAMS).map_err(failed)?;
    let mut of_it = Vec::new();
    for entry in streams.range((topic, "")..).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (of, stream) = entry.0.value();
        if of != topic {
            break;
        }
        of_it.push(stream.to_owned());
    }
    for stream in of_it {
        streams.remove((topic, stream.as_str())).map_err(failed)?;
    }
    Ok(())
}

fn put(transaction: &WriteTransaction, topic: &Topic, document: &Document) -> Result<(), StoreError> {
    let mut next = transaction.open_table(NEXT).map_err(failed)?;
    let number = next.get(NEXT_TOPIC).map_err(failed)?.map_or(0, |next| next.value());
    next.insert(NEXT_TOPIC, number.saturating_add(1)).map_err(failed)?;
    let mut streams = transaction.open_table(STREAMS).map_err(failed)?;
    for (stream, Position { lsn, events }) in &document.streams {
        streams.insert((topic.as_str(), stream.to_string().as_str()), (*lsn, *events)).map_err(failed)?;
    }
    let mut names = transaction.open_table(NAMES).map_err(failed)?;
    let mut bytes = Vec::new();
    for (at, (item, kind)) in (0..).zip(document.totals.keys()) {
        bytes.clear();
        name::pack(item, kind, &mut bytes);
        names.insert(place(number, at), bytes.as_slice()).map_err(failed)?;
    }
    let mut totals = transaction.open_table(TOTALS).map_err(failed)?;
    let values: Vec<_> = document.totals.values().copied().collect();
    for (at, block) in (0..).zip(blocks::all(&values)) {
        totals.insert(place(number, at), block.as_slice()).map_err(failed)?;
    }
    if document.forgotten > 0 {
        let mut forgotten = transaction.open_table(FORGOTTEN).map_err(failed)?;
        forgotten.insert(topic.as_str(), document.forgotten).map_err(failed)?;
    }
    let is_gone = document.totals.is_empty() && document.forgotten > 0;
    let turn = if is_gone { NO_TURN } else { last_turn(transaction, topic)? };
    let mut topics = transaction.open_table(TOPICS).map_err(failed)?;
    let version = document.version;
    topics.insert(topic.as_str(), (version.number, version.era, turn, number)).map_err(failed)?;
    Ok(())
}

/// Puts a topic last in the turns.
fn last_turn(transaction: &WriteTransaction, topic: &Topic) -> Result<u64, StoreError> {
    let mut turns = transaction.open_table(TURNS).map_err(failed)?;
    let turn = turns.last().map_err(failed)?.map_or(0, |(turn, _)| turn.value()) + 1;
    turns.insert(turn, topic.as_str()).map_err(failed)?;
    Ok(turn)
}

fn list_last(database: &Database, listed: &[Topic]) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut topics = transaction.open_table(TOPICS).map_err(failed)?;
        for topic in listed {
            let found = topics.get(topic.as_str()).map_err(failed)?.map(|found| found.value());
            let Some((number, era, turn, topic_number)) = found else { continue };
            transaction.open_table(TURNS).map_err(failed)?.remove(turn).map_err(failed)?;
            let turn = last_turn(&transaction, topic)?;
            topics.insert(topic.as_str(), (number, era, turn, topic_number)).map_err(failed)?;
        }
    }
    transaction.commit().map_err(failed)
}

/// Reads tables of one session each: the ends of sessions of one leaf are not kept for the same time.
fn session_tables(
    database: &Database,
    after: Option<Cursor>,
    limit: usize,
    now_ms: u64,
) -> Result<Page<SessionTable>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let sessions = transaction.open_table(SESSIONS).map_err(failed)?;
    let place = after.as_ref().and_then(|cursor| {
        let (session, leaf) = cursor.as_str().split_once(' ')?;
        Some((leaf, u128::from_str_radix(session, 16).ok()?))
    });
    let from = place.map_or(Bound::Unbounded, Bound::Excluded);
    let (mut found, mut next, mut seen) = (Vec::new(), None, 0);
    for entry in sessions.range::<(&str, u128)>((from, Bound::Unbounded)).map_err(failed)? {
        let (key, value) = entry.map_err(failed)?;
        let ((leaf, session), (last, until)) = (key.value(), value.value());
        if until > now_ms {
            let leaf = NodeName::new(leaf).map_err(|e| StoreError::Damaged(e.to_string()))?;
            found.push(SessionTable {
                leaf,
                sessions: vec![(SessionId(session), last)],
                keep_ms: until - now_ms,
            });
        }
        seen += 1;
        if seen == limit.max(1) {
            next = Some(Cursor::new(format!("{session:032x} {leaf}")));
            break;
        }
    }
    Ok(Page { found, next })
}

/// See [`Whole::copy_mark`].
pub(super) fn copy_mark(database: &Database) -> Result<Option<CopyMark>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let about = transaction.open_table(ABOUT).map_err(failed)?;
    Ok(about.get(COPY).map_err(failed)?.map(|found| parse_mark(found.value())))
}

fn set_copy_mark(database: &Database, mark: Option<&CopyMark>) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut about = transaction.open_table(ABOUT).map_err(failed)?;
        match mark {
            Some(mark) => {
                let text = serde_json::to_string(mark).map_err(|e| StoreError::Failed(e.to_string()))?;
                about.insert(COPY, text.as_str()).map_err(failed)?;
            }
            None => drop(about.remove(COPY).map_err(failed)?),
        }
    }
    transaction.commit().map_err(failed)
}

impl Whole for Embedded {
    async fn put_documents(&self, documents: Vec<(Topic, Document)>) -> Result<(), StoreError> {
        let index = self.index.clone();
        self.with(move |database| {
            // What it has learned of these topics is not so any more.
            index.lock().unwrap_or_else(PoisonError::into_inner).clear();
            put_documents(database, &documents)
        })
        .await
    }

    async fn list_last(&self, topics: Vec<Topic>) -> Result<(), StoreError> {
        self.with(move |database| list_last(database, &topics)).await
    }

    async fn session_tables(
        &self,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<SessionTable>, StoreError> {
        self.with(move |database| session_tables(database, after, limit, wall().0)).await
    }

    async fn copy_mark(&self) -> Result<Option<CopyMark>, StoreError> {
        self.with(copy_mark).await
    }

    async fn set_copy_mark(&self, mark: Option<CopyMark>) -> Result<(), StoreError> {
        self.with(move |database| set_copy_mark(database, mark.as_ref())).await
    }
}
