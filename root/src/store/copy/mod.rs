//! Copies a store that nobody uses into an empty one of any form.
//!
//! A copy is marked as one until it is complete, and is not served before. It may be broken off at any point and begun
//! again: a repeat writes over what is there. In the end everything is read back and compared.

mod end;
mod error;

use super::{CopyMark, Store, StoreError, Whole};
use crate::machine::Registry;
use crate::machine::documents::Document;
use countree_common::cluster::NodeName;
use countree_common::key::Topic;
use countree_common::shell::clock::wall;
use countree_common::store::{StoreId, StoreRecord};
use serde::Serialize;
use std::collections::BTreeSet;

pub use end::End;
pub use error::CopyError;

/// Topics whose order of arrival is kept.
const LISTED: usize = 10_000;

/// Counts of what was copied and compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Topics.
    pub topics: u64,
    /// Their counters.
    pub counters: u64,
    /// Events that were merged into them.
    pub events: u64,
    /// Ends of sessions.
    pub sessions: u64,
}

impl Copied {
    fn add(&mut self, document: &Document) {
        self.topics += 1;
        self.counters += document.totals.len() as u64;
        let events = document.streams.values().map(|position| position.events);
        self.events = events.fold(self.events, u64::saturating_add);
    }
}

/// Copies a store, and compares the copy with it. `progress` is called with the number of documents copied, and then
/// with that of documents compared.
///
/// # Errors
/// When one of the stores can't be used for that, or they are not the same in the end. The copy says of itself that it
/// is half.
pub async fn copy(
    cluster: &NodeName,
    from: &End,
    to: &End,
    mut progress: impl FnMut(&Copied, bool),
) -> Result<Copied, CopyError> {
    let registry = source_registry(cluster, from).await?;
    claim_target(from, to).await?;
    // Readers of the source saw versions up to this era.
    let era = from.store.served_in().await.map_err(from.failed())?.saturating_add(1);
    let mut copied = Copied::default();
    from.each(async |topics| {
        let mut documents = from.documents(topics).await?;
        for (_, document) in &mut documents {
            raise(document, era);
            copied.add(document);
        }
        to.store.put_documents(documents).await.map_err(to.failed())?;
        progress(&copied, false);
        Ok(())
    })
    .await?;
    from.each_table(async |table| {
        copied.sessions += table.sessions.len() as u64;
        to.store.put_sessions(table).await.map(drop).map_err(to.failed())
    })
    .await?;
    let mut listed = from.store.topics(LISTED).await.map_err(from.failed())?;
    listed.reverse();
    to.store.list_last(listed).await.map_err(to.failed())?;
    verify(from, to, era, copied, |compared| progress(compared, true)).await?;
    let now = from.store.load_registry().await.map_err(from.failed())?;
    if now != registry {
        return Err(CopyError::Changed { store: from.name.clone() });
    }
    put_registry(to, registry).await?;
    hand_over(from, to).await?;
    to.store.set_copy_mark(None).await.map_err(to.failed())?;
    Ok(copied)
}

/// A copy is served in a higher era than its source, so that no version is seen twice.
fn raise(document: &mut Document, era: u64) {
    document.version.era = document.version.era.saturating_add(1).max(era);
}

/// The registry of a store that is there and that nobody uses.
async fn source_registry(cluster: &NodeName, from: &End) -> Result<Option<super::SavedRegistry>, CopyError> {
    if let Some(CopyMark { from: other }) = from.store.copy_mark().await.map_err(from.failed())? {
        return Err(from.failed()(StoreError::HalfCopied { from: other }));
    }
    let registry = from.store.load_registry().await.map_err(from.failed())?;
    let Some((_, text)) = &registry else {
        return if from.is_without_topics().await? {
            Err(CopyError::Nothing { store: from.name.clone(), cluster: cluster.clone() })
        } else {
            Ok(None)
        };
    };
    let parsed = Registry::from_text(text)
        .map_err(|e| from.failed()(StoreError::Damaged(format!("its registry can't be read: {e}"))))?;
    let live = parsed.live(wall());
    if live.is_empty() {
        return Ok(registry);
    }
    let nodes: Vec<_> = live.iter().map(NodeName::as_str).collect();
    Err(CopyError::InUse { store: from.name.clone(), nodes: nodes.join(", ") })
}

/// Marks an empty store as a copy under way; one that bears that mark may be gone on with.
async fn claim_target(from: &End, to: &End) -> Result<(), CopyError> {
    match to.store.copy_mark().await.map_err(to.failed())? {
        Some(mark) if mark.from == from.name => return Ok(()),
        Some(mark) => return Err(CopyError::OtherCopy { store: to.name.clone(), from: mark.from }),
        None => {}
    }
    let has_registry = to.store.load_registry().await.map_err(to.failed())?.is_some();
    if has_registry || !to.is_without_topics().await? {
        return Err(CopyError::NotEmpty { store: to.name.clone() });
    }
    let mark = CopyMark { from: from.name.clone() };
    to.store.set_copy_mark(Some(mark)).await.map_err(to.failed())
}

/// Gives the copy an identity of its own, and says of the source that the copy has taken its place. A source that was
/// never served by a process that gives identities has none to hand over.
async fn hand_over(from: &End, to: &End) -> Result<(), CopyError> {
    let Some(record) = from.store.identity().await.map_err(from.failed())?.record else { return Ok(()) };
    // There is one when an earlier try came as far as this.
    let begun = to.store.identity().await.map_err(to.failed())?.record;
    let (id, revision) =
        begun.map_or_else(|| (StoreId(rand::random()), 0), |begun| (begun.id, begun.revision));
    let copy = StoreRecord { revision, shards: BTreeSet::new(), ..record.with_identity(id, false) };
    if !to.store.put_identity(copy).await.map_err(to.failed())? {
        return Err(CopyError::Changed { store: to.name.clone() });
    }
    let superseded = StoreRecord { superseded_by: Some(id), ..record };
    if !from.store.put_identity(superseded).await.map_err(from.failed())? {
        return Err(CopyError::Changed { store: from.name.clone() });
    }
    Ok(())
}

async fn verify(
    from: &End,
    to: &End,
    era: u64,
    copied: Copied,
    mut progress: impl FnMut(&Copied),
) -> Result<(), CopyError> {
    let different = |what: String| CopyError::Different { what, store: to.name.clone() };
    let mut compared = Copied { sessions: copied.sessions, ..Copied::default() };
    from.each(async |topics| {
        let (mut documents, copies) = (from.documents(topics).await?, to.documents(topics).await?);
        documents.iter_mut().for_each(|(_, document)| raise(document, era));
        if documents != copies {
            let is_lacking = |document: &&(Topic, Document)| !copies.contains(document);
            let first = documents.iter().find(is_lacking).map(|(topic, _)| topic.to_string());
            return Err(different(format!("topic {}", first.unwrap_or_default())));
        }
        copies.iter().for_each(|(_, document)| compared.add(document));
        progress(&compared);
        Ok(())
    })
    .await?;
    let there = to.each(async |_| Ok(())).await?;
    if compared != copied || there != copied.topics {
        return Err(different(format!(
            "the number of topics, {} and {there}, or what is in them,",
            copied.topics
        )));
    }
    from.each_table(async |table| {
        for (session, last) in table.sessions {
            let kept = to.store.ended(&table.leaf, session).await.map_err(to.failed())?;
            // It may have come to its end meanwhile.
            if kept != Some(last)
                && from.store.ended(&table.leaf, session).await.map_err(from.failed())?.is_some()
            {
                return Err(different(format!("the end of session {session} with {}", table.leaf)));
            }
        }
        Ok(())
    })
    .await
}

async fn put_registry(to: &End, registry: Option<super::SavedRegistry>) -> Result<(), CopyError> {
    let Some((revision, text)) = registry else { return Ok(()) };
    let there = to.store.load_registry().await.map_err(to.failed())?.map_or(0, |(revision, _)| revision);
    if !to.store.save_registry(there, revision, text).await.map_err(to.failed())? {
        return Err(CopyError::Changed { store: to.name.clone() });
    }
    Ok(())
}
