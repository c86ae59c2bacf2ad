//! Checks the promises of a store to those who move it as a whole.

use super::{Broken, NodeName, Seq, SessionId, SessionTable, Whole, cut, ensure, merge, named, sum, topic};
use crate::machine::documents::{Document, Position};
use crate::store::CopyMark;
use countree_common::cut::Outcome;
use countree_common::document::Version;
use countree_common::key::{Item, Kind};
use std::collections::BTreeMap;

/// Runs every check of what [`Whole`] says.
///
/// # Errors
/// The first promise that is broken.
pub async fn check_whole(store: &impl Whole) -> Result<(), Broken> {
    documents_are_put_as_they_are(store).await?;
    topics_are_listed_as_told(store).await?;
    tables_of_sessions_are_read_again(store).await?;
    a_copy_is_marked(store).await
}

fn document(counters: u64, factor: i64) -> Result<Document, Broken> {
    let name = |n: u64| Ok::<_, Broken>((named(Item::new(&format!("item {n}")))?, named(Kind::new("a:%"))?));
    let total = |n: u64| Ok::<_, Broken>((name(n)?, factor * n as i64 - 3));
    let totals = (0..counters).map(total).collect::<Result<BTreeMap<_, _>, _>>()?;
    let position = Position { lsn: u64::MAX - 1, events: counters };
    let streams = BTreeMap::from([
        (super::stream("leaf-0")?, position),
        (super::stream("leaf-1")?, Position { lsn: 4, events: 2 }),
    ]);
    Ok(Document { version: Version { era: 1 << 52, number: 17 }, streams, totals, forgotten: counters / 2 })
}

async fn documents_are_put_as_they_are(store: &impl Whole) -> Result<(), Broken> {
    let (one, two, next) = (topic("put 1")?, topic("put 2")?, topic("put next")?);
    // The second takes the first's place, and has less in it.
    for (counters, factor) in [(9_000, 1), (70, 1 << 40), (100, -5)] {
        let (of_one, of_two) = (document(counters, factor)?, document(counters + 33, factor)?);
        store.put_documents(vec![(one.clone(), of_one.clone()), (two.clone(), of_two.clone())]).await?;
        for (topic, put) in [(&one, &of_one), (&two, &of_two)] {
            let found = store.document(topic).await?;
            ensure("a document is what was put", found.as_ref() == Some(put), true)?;
        }
    }
    let like = |from, to| cut(&one, (from, to), vec![sum("item 1", "a:%", 10)?, sum("new", "a:%", 1)?]);
    let outcome = merge(store, like(u64::MAX - 1, u64::MAX)?).await?;
    let totals = match outcome {
        Outcome::Applied(applied) => applied.totals,
        Outcome::Have { .. } | Outcome::Overflow => Vec::new(),
    };
    ensure("it is merged into from where it stands", totals, vec![2, 1])?;
    merge(store, cut(&next, (0, 1), vec![sum("a", "like", 1)?])?).await?;
    let found = store.document(&two).await?;
    ensure("nothing else has changed", found == Some(document(133, -5)?), true)?;
    let found = store.document(&next).await?.map(|document| document.totals.len());
    ensure("a topic that comes later has its own counters", found, Some(1))
}

async fn topics_are_listed_as_told(store: &impl Whole) -> Result<(), Broken> {
    let (one, two) = (topic("put 1")?, topic("put 2")?);
    store.list_last(vec![two.clone(), one.clone()]).await?;
    ensure("the last are listed first", store.topics(2).await?, vec![one, two])
}

async fn tables_of_sessions_are_read_again(store: &impl Whole) -> Result<(), Broken> {
    const KEEP_MS: u64 = 600_000;
    let leaf = named(NodeName::new("leaf-77"))?;
    let sessions: Vec<(SessionId, Seq)> = (1..50).map(|n| (SessionId(n << 90), n as u64)).collect();
    let table = SessionTable { leaf: leaf.clone(), sessions: sessions.clone(), keep_ms: KEEP_MS };
    store.put_sessions(table).await?;
    let (mut found, mut next) = (BTreeMap::new(), None);
    loop {
        let page = store.session_tables(next, 7).await?;
        for table in page.found.into_iter().filter(|table| table.leaf == leaf) {
            ensure("it is kept as long as it was", (1..=KEEP_MS).contains(&table.keep_ms), true)?;
            found.extend(table.sessions);
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    ensure("every session comes back", found.into_iter().collect(), sessions)
}

async fn a_copy_is_marked(store: &impl Whole) -> Result<(), Broken> {
    let mark = CopyMark { from: "redis://there".into() };
    ensure("a store is no copy at first", store.copy_mark().await?, None)?;
    store.set_copy_mark(Some(mark.clone())).await?;
    ensure("one that is filled says so", store.copy_mark().await?, Some(mark))?;
    store.set_copy_mark(None).await?;
    ensure("until it is whole", store.copy_mark().await?, None)
}
