//! Forgets a topic: names and totals go, positions stay, all in one transaction.

use super::documents::raise_era;
use super::failure::{failed, misnamed};
use super::index::Index;
use super::layout::{ERAS, FORGOTTEN, NAMES, STREAMS, TOPICS, TOTALS, TURNS, of_topic};
use super::{name, reading};
use crate::machine::documents::{Document, Position};
use crate::store::StoreError;
use countree_common::document::Version;
use countree_common::forget::{ForgetOutcome, Tombstone};
use countree_common::key::Topic;
use redb::{Database, ReadableDatabase, ReadableTable};
use std::sync::{Mutex, PoisonError};

/// A turn that no topic has: the first is 1.
pub(super) const NO_TURN: u64 = 0;

/// See [`Store::forget`](crate::store::Store::forget).
pub(super) fn forget(
    database: &Database,
    index: &Mutex<Index>,
    served_in: u64,
    topic: &Topic,
    at: Version,
) -> Result<ForgetOutcome, StoreError> {
    let mut index = index.lock().unwrap_or_else(PoisonError::into_inner);
    let transaction = database.begin_write().map_err(failed)?;
    let forgetting = {
        let mut topics = transaction.open_table(TOPICS).map_err(failed)?;
        let Some(header) = topics.get(topic.as_str()).map_err(failed)?.map(|found| found.value()) else {
            return Ok(ForgetOutcome::Unknown);
        };
        let mut streams = transaction.open_table(STREAMS).map_err(failed)?;
        let mut forgotten = transaction.open_table(FORGOTTEN).map_err(failed)?;
        let mut names = transaction.open_table(NAMES).map_err(failed)?;
        let (number, era, turn, topic_number) = header;
        let mut document = Document {
            version: Version { era, number },
            streams: reading::streams_of(&streams, topic)?,
            forgotten: forgotten.get(topic.as_str()).map_err(failed)?.map_or(0, |events| events.value()),
            ..Document::default()
        };
        // Whether there is any total is all that matters of them.
        if let Some(first) = names.range(of_topic(topic_number)).map_err(failed)?.next() {
            let counter = name::unpack(first.map_err(failed)?.1.value()).map_err(misnamed)?;
            document.totals.insert(counter, 0);
        }
        let forgetting = document.forget(at, served_in, true);
        let ForgetOutcome::Forgotten(Tombstone { version, events, was_gone: false, .. }) = forgetting else {
            return Ok(forgetting);
        };
        for (stream, Position { lsn, events }) in &document.streams {
            streams.insert((topic.as_str(), stream.to_string().as_str()), (*lsn, *events)).map_err(failed)?;
        }
        names.retain_in(of_topic(topic_number), |_, _| false).map_err(failed)?;
        let mut totals = transaction.open_table(TOTALS).map_err(failed)?;
        totals.retain_in(of_topic(topic_number), |_, _| false).map_err(failed)?;
        transaction.open_table(TURNS).map_err(failed)?.remove(turn).map_err(failed)?;
        forgotten.insert(topic.as_str(), events).map_err(failed)?;
        let header = (version.number, version.era, NO_TURN, topic_number);
        topics.insert(topic.as_str(), header).map_err(failed)?;
        raise_era(&mut transaction.open_table(ERAS).map_err(failed)?, version.era)?;
        forgetting
    };
    // Before the commit: whatever comes of that, the numbers are read again.
    index.remove(topic);
    transaction.commit().map_err(failed)?;
    Ok(forgetting)
}

/// See [`Store::forgotten`](crate::store::Store::forgotten).
pub(super) fn forgotten(database: &Database, topics: &[Topic]) -> Result<Vec<u64>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let table = transaction.open_table(FORGOTTEN).map_err(failed)?;
    let events =
        |topic: &Topic| Ok(table.get(topic.as_str()).map_err(failed)?.map_or(0, |found| found.value()));
    topics.iter().map(events).collect()
}
