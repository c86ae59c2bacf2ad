//! Checks reads of a whole store, and of documents beside their totals.

use super::{
    Broken, Cut, NodeName, Store, StreamId, cut, ensure, merge, merge_all, named, stream, sum, topic,
};
use crate::machine::documents::{Document, Position};
use countree_common::key::Topic;
use std::collections::BTreeSet;
use std::sync::Arc;

/// More than some pages hold.
const TOPICS: u64 = 500;
const PAGE: usize = 16;

pub(super) async fn a_scan_finds_every_topic(store: &impl Store) -> Result<(), Broken> {
    let topics = (0..TOPICS).map(|n| topic(&format!("scanned {n} ☃ [*"))).collect::<Result<Vec<_>, _>>()?;
    for topics in topics.chunks(100) {
        let cuts = topics.iter().map(|topic| cut(topic, (0, 1), vec![sum("a", "like", 1)?]));
        merge_all(store, cuts.collect::<Result<_, _>>()?).await?;
    }
    let never = topic("scanned never")?;
    merge(store, cut(&never, (0, 0), Vec::new())?).await?;
    let (mut found, mut next) = (BTreeSet::new(), None);
    loop {
        let page = store.scan(next, PAGE).await?;
        found.extend(page.found);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    let missed = topics.iter().filter(|topic| !found.contains(*topic)).count();
    ensure("every topic is found", missed, 0)?;
    ensure("one that nothing was merged into is not", found.contains(&never), false)?;
    for topic in found.iter().filter(|topic| topic.as_str().starts_with("scanned")) {
        ensure("what is found is a topic", store.document(topic).await?.is_some(), true)?;
    }
    Ok(())
}

pub(super) async fn a_document_is_read_whole(store: &impl Store) -> Result<(), Broken> {
    const COUNTERS: i64 = 10_000;
    let topic = topic("whole")?;
    ensure("a topic never counted has none", store.document(&topic).await?, None)?;
    let served_in = store.served_in().await?;
    let mut model = Document::default();
    let many =
        (0..COUNTERS).map(|n| sum(&format!("item {n}"), "a:b", n - 7)).collect::<Result<Vec<_>, _>>()?;
    let other = Cut { stream: stream("leaf-1")?, ..cut(&topic, (0, u64::MAX), vec![sum("a", "like", 3)?])? };
    for cut in [cut(&topic, (0, 4), vec![sum("a", "like", 1)?])?, other, cut(&topic, (4, 9), many)?] {
        model.merge(&cut, served_in, false);
        merge(store, cut).await?;
        let found = store.document(&topic).await?;
        ensure("it is totals, positions and version", found.as_ref() == Some(&model), true)?;
    }
    Ok(())
}

pub(super) async fn positions_are_read_alone(store: &impl Store) -> Result<(), Broken> {
    const STREAMS: u64 = 1_500;
    let (one, two, none) = (topic("positions 1")?, topic("positions 2")?, topic("positions 3")?);
    let streams = (1..=STREAMS).map(numbered).collect::<Result<Vec<_>, _>>()?;
    let ends = [(&one, 1, 7), (&one, STREAMS, 8), (&two, 1_100, u64::MAX)];
    for (topic, number, to) in ends {
        let like = cut(topic, (0, to), vec![sum("a", "like", 1)?, sum("b", "like", 1)?])?;
        merge(store, Cut { stream: numbered(number)?, ..like }).await?;
    }
    let read = async |topics: &[&Topic], streams: &[StreamId]| {
        let topics: Arc<[Topic]> = topics.iter().copied().cloned().collect();
        store.positions(topics, Arc::from(streams)).await
    };
    let found = read(&[&two, &none, &one], &streams).await?;
    ensure("each topic has a list", found.len(), 3)?;
    for (topic, found) in [&two, &none, &one].into_iter().zip(found) {
        ensure("each stream has a position", found.len() as u64, STREAMS)?;
        for (number, found) in (1..).zip(found) {
            let end = ends.iter().find(|(of, stream, _)| *of == topic && *stream == number);
            let expected = end.map_or(Position::default(), |(.., lsn)| Position { lsn: *lsn, events: 2 });
            ensure("it is where the stream stands", found, expected)?;
        }
    }
    ensure("no streams have no positions", read(&[&one], &[]).await?, vec![Vec::new()])?;
    ensure("no topics have no lists", read(&[], &streams).await?, Vec::new())
}

fn numbered(incarnation: u64) -> Result<StreamId, Broken> {
    Ok(StreamId { leaf: named(NodeName::new("leaf-7"))?, incarnation })
}
