//! Checks the promises of a store about forgotten topics.

use super::{Broken, Cut, NodeName, Store, StreamId, Version, cut, ensure, merge, named, stream, sum, topic};
use crate::machine::documents::{Document, Position};
use countree_common::cut::Outcome;
use countree_common::forget::{ForgetOutcome, Tombstone};
use countree_common::key::Topic;
use std::sync::Arc;

/// More counters than one command or block holds.
const COUNTERS: i64 = 9_000;

/// Forgets a topic in a store and in a model of its document, and compares.
async fn forget(
    store: &impl Store,
    topic: &Topic,
    at: Version,
    model: &mut Document,
) -> Result<ForgetOutcome, Broken> {
    let served_in = store.served_in().await?;
    let any_durability = |forgetting| match forgetting {
        ForgetOutcome::Forgotten(gone) => ForgetOutcome::Forgotten(Tombstone { durable: false, ..gone }),
        other => other,
    };
    let found = any_durability(store.forget(topic, at).await?);
    ensure("a store forgets by the rule", found, model.forget(at, served_in, false))?;
    let stored = store.document(topic).await?.unwrap_or_default();
    ensure("what is left is what the rule leaves", &stored == model, true)?;
    let forgotten = store.forgotten(Arc::from([topic.clone()])).await?;
    ensure("events that are forgotten are counted", forgotten, vec![model.forgotten])?;
    Ok(found)
}

/// Merges a cut in a store and in a model of its document.
async fn merge_both(store: &impl Store, cut: Cut, model: &mut Document) -> Result<Outcome, Broken> {
    model.merge(&cut, store.served_in().await?, false);
    merge(store, cut).await
}

/// The version of a document, as it is served.
async fn stands_at(store: &impl Store, topic: &Topic) -> Result<Version, Broken> {
    Ok(store.read(topic).await?.map_or(Version::default(), |found| found.version))
}

async fn is_listed(store: &impl Store, topic: &Topic) -> Result<bool, Broken> {
    Ok(store.topics(10).await?.contains(topic))
}

pub(super) async fn a_forgotten_topic_leaves_its_positions_alone(store: &impl Store) -> Result<(), Broken> {
    let (topic, mut model) = (topic("forgotten")?, Document::default());
    let nothing = forget(store, &topic, Version::default(), &mut model).await?;
    ensure("nothing is forgotten of a topic never counted", nothing, ForgetOutcome::Unknown)?;

    let many = (0..COUNTERS).map(|n| sum(&format!("item {n}"), "a:b", n)).collect::<Result<Vec<_>, _>>()?;
    let first = cut(&topic, (0, 4), many)?;
    let other = Cut { stream: stream("leaf-1")?, ..cut(&topic, (0, 9), vec![sum("a", "like", 3)?])? };
    merge_both(store, first.clone(), &mut model).await?;
    let before = stands_at(store, &topic).await?;
    merge_both(store, other.clone(), &mut model).await?;
    let at = stands_at(store, &topic).await?;
    let moved = forget(store, &topic, before, &mut model).await?;
    ensure(
        "it is forgotten at the version that was named, and at no other",
        moved,
        ForgetOutcome::Moved(at),
    )?;

    let gone = forget(store, &topic, at, &mut model).await?;
    let tombstone = Version { era: at.era + 1, number: at.number + 1 };
    let expected = Tombstone { version: tombstone, events: 9_001, was_gone: false, durable: false };
    ensure("then its totals are gone", gone, ForgetOutcome::Forgotten(expected))?;
    let found = store.read(&topic).await?;
    let found = found.map(|found| (found.version, found.totals.len()));
    ensure("there is a version, and no name", found, Some((tombstone, 0)))?;
    ensure("it is not listed", is_listed(store, &topic).await?, false)?;
    let again = forget(store, &topic, at, &mut model).await?;
    let same = ForgetOutcome::Forgotten(Tombstone { was_gone: true, ..expected });
    ensure("a repeat is answered the same", again, same)?;

    for late in [first, other] {
        let outcome = merge_both(store, late.clone(), &mut model).await?;
        let is_refused = matches!(outcome, Outcome::Have { lsn, .. } if lsn == late.to);
        ensure("what was merged before comes in no more", is_refused, true)?;
    }
    ensure("and brings nothing back", stands_at(store, &topic).await?, tombstone)?;
    ensure("nor into the list", is_listed(store, &topic).await?, false)?;

    let next = cut(&topic, (4, 5), vec![sum("item 1", "a:b", 10)?, sum("new", "a:b", 1)?])?;
    let totals = match merge_both(store, next, &mut model).await? {
        Outcome::Applied(applied) => applied.totals,
        Outcome::Have { .. } | Outcome::Overflow => Vec::new(),
    };
    ensure("what comes later counts from 0", totals, vec![10, 1])?;
    let at = stands_at(store, &topic).await?;
    ensure("at a higher version", at, Version { number: tombstone.number + 1, ..tombstone })?;
    ensure("it is listed again", is_listed(store, &topic).await?, true)?;
    forget(store, &topic, tombstone, &mut model).await?;
    let again = forget(store, &topic, at, &mut model).await?;
    let version = Version { era: at.era + 1, number: at.number + 1 };
    let expected = Tombstone { version, events: 9_003, was_gone: false, durable: false };
    ensure("and may be forgotten again", again, ForgetOutcome::Forgotten(expected))
}

pub(super) async fn an_import_that_is_forgotten_has_nothing_to_undo(
    store: &impl Store,
) -> Result<(), Broken> {
    let (topic, mut model) = (topic("forgotten import")?, Document::default());
    let name = named(NodeName::new("import-0123456789abcdef0123456789abcdef"))?;
    let rows = StreamId { leaf: name.clone(), incarnation: 1 };
    let import = Cut { stream: rows, ..cut(&topic, (0, 7), vec![sum("a", "like", 3)?])? };
    merge_both(store, import, &mut model).await?;
    let at = stands_at(store, &topic).await?;
    forget(store, &topic, at, &mut model).await?;
    let undo = [StreamId { leaf: name, incarnation: 2 }];
    let found = store.positions(Arc::from([topic.clone()]), Arc::from(undo.as_slice())).await?;
    ensure("an undo finds its rows taken out", found, vec![vec![Position { lsn: 7, events: 1 }]])
}
