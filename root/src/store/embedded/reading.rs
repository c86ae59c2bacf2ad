//! Reads topic documents.

use super::failure::{failed, misnamed};
use super::layout::{FORGOTTEN, NAMES, STREAMS, TOPICS, TOTALS, TURNS, of_topic};
use super::{blocks, name};
use crate::machine::documents::{Document, Position};
use crate::store::{Cursor, Page, StoreError};
use countree_common::document::{CounterTotal, Snapshot, Version};
use countree_common::key::Topic;
use countree_common::stream::StreamId;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};
use std::collections::BTreeMap;
use std::ops::Bound;

/// A topic's totals at the version that is stored.
pub(super) fn snapshot(database: &Database, topic: &Topic) -> Result<Option<Snapshot>, StoreError> {
    snapshot_in(&database.begin_read().map_err(failed)?, topic)
}

fn snapshot_in(transaction: &ReadTransaction, topic: &Topic) -> Result<Option<Snapshot>, StoreError> {
    let topics = transaction.open_table(TOPICS).map_err(failed)?;
    let Some(header) = topics.get(topic.as_str()).map_err(failed)? else { return Ok(None) };
    let (number, era, _, topic_number) = header.value();
    let mut values = Vec::new();
    let blocks = transaction.open_table(TOTALS).map_err(failed)?;
    for block in blocks.range(of_topic(topic_number)).map_err(failed)? {
        values.extend(blocks::totals(block.map_err(failed)?.1.value()));
    }
    let names = transaction.open_table(NAMES).map_err(failed)?;
    let mut totals = Vec::with_capacity(values.len());
    for (name, total) in names.range(of_topic(topic_number)).map_err(failed)?.zip(&values) {
        let (item, kind) = name::unpack(name.map_err(failed)?.1.value()).map_err(misnamed)?;
        totals.push(CounterTotal { item, kind, total: *total });
    }
    if totals.len() != values.len() {
        return Err(StoreError::Damaged(format!("topic {topic} has totals of counters without a name")));
    }
    Ok(Some(Snapshot { topic: topic.clone(), version: Version { era, number }, totals }))
}

/// A topic's whole document.
pub(super) fn document(database: &Database, topic: &Topic) -> Result<Option<Document>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let Some(Snapshot { version, totals, .. }) = snapshot_in(&transaction, topic)? else { return Ok(None) };
    let streams = streams_of(&transaction.open_table(STREAMS).map_err(failed)?, topic)?;
    let totals = totals.into_iter().map(|counter| ((counter.item, counter.kind), counter.total)).collect();
    let forgotten = transaction.open_table(FORGOTTEN).map_err(failed)?;
    let forgotten = forgotten.get(topic.as_str()).map_err(failed)?.map_or(0, |events| events.value());
    Ok(Some(Document { version, streams, totals, forgotten }))
}

/// A topic's positions.
pub(super) fn streams_of(
    table: &impl ReadableTable<(&'static str, &'static str), (u64, u64)>,
    topic: &Topic,
) -> Result<BTreeMap<StreamId, Position>, StoreError> {
    let mut streams = BTreeMap::new();
    for entry in table.range((topic.as_str(), "")..).map_err(failed)? {
        let (key, value) = entry.map_err(failed)?;
        let (of, stream) = key.value();
        if of != topic.as_str() {
            break;
        }
        let stream = stream.parse().map_err(|e| StoreError::Damaged(format!("topic {topic}: {e}")))?;
        let (lsn, events) = value.value();
        streams.insert(stream, Position { lsn, events });
    }
    Ok(streams)
}

/// See [`Store::positions`](crate::store::Store::positions).
pub(super) fn positions(
    database: &Database,
    topics: &[Topic],
    streams: &[StreamId],
) -> Result<Vec<Vec<Position>>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let table = transaction.open_table(STREAMS).map_err(failed)?;
    let names: Vec<_> = streams.iter().map(StreamId::to_string).collect();
    let position = |topic: &Topic, stream: &String| {
        let found = table.get((topic.as_str(), stream.as_str())).map_err(failed)?;
        let (lsn, events) = found.map(|found| found.value()).unwrap_or_default();
        Ok(Position { lsn, events })
    };
    topics.iter().map(|topic| names.iter().map(|stream| position(topic, stream)).collect()).collect()
}

/// A page of the topics, by their names.
pub(super) fn scan(
    database: &Database,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Page<Topic>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let topics = transaction.open_table(TOPICS).map_err(failed)?;
    let from = after.as_ref().map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_str()));
    let found = topics.range::<&str>((from, Bound::Unbounded)).map_err(failed)?.take(limit.max(1));
    let found: Vec<_> = found
        .map(|entry| Topic::new(entry.map_err(failed)?.0.value()).map_err(misnamed))
        .collect::<Result<_, _>>()?;
    let next = found.last().filter(|_| found.len() >= limit).map(|last| Cursor::new(last.as_str()));
    Ok(Page { found, next })
}

/// The topics that were merged into last.
pub(super) fn topics(database: &Database, limit: usize) -> Result<Vec<Topic>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let turns = transaction.open_table(TURNS).map_err(failed)?;
    let latest = turns.range::<u64>(..).map_err(failed)?.rev().take(limit);
    latest.map(|entry| Topic::new(entry.map_err(failed)?.1.value()).map_err(misnamed)).collect()
}
