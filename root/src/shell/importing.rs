//! Merges rows of an import like the cuts of a leaf, so that viewers of their topics see them at once.

use super::core::{CoreHandle, Input};
use crate::machine::documents::import::{Held, Step, step};
use crate::machine::registry::registrar::Ask;
use crate::store::{AnyStore, Store, StoreError};
use countree_common::cut::{Cut, Outcome};
use countree_common::import::{Direction, ImportPart, ImportRefusal, ImportRow, ImportStep};
use countree_common::key::Topic;
use countree_common::wire::rpc::Reply;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The most tries to merge rows. One fails when somebody else imports the same file at the same time.
const TRIES: usize = 16;

/// The question that a step of an import puts to the registry; `None` when it is about rows.
pub(super) fn ask(part: &ImportPart) -> Option<Ask> {
    let (file, direction) = (part.file.clone(), part.direction);
    match part.step {
        ImportStep::Begin => Some(Ask::BeginImport { file, direction }),
        ImportStep::End(rows) => Some(Ask::EndImport { file, direction, rows }),
        ImportStep::Rows(_) => None,
    }
}

/// Merges rows, or takes them out, and checks that this was done.
pub(super) async fn put(store: &AnyStore, core: &CoreHandle, part: &ImportPart) -> Reply {
    let ImportStep::Rows(rows) = &part.step else {
        return Reply::Failed("a step without rows is the registry's".into());
    };
    let mut by_topic = BTreeMap::<Topic, Vec<ImportRow>>::new();
    for row in rows {
        by_topic.entry(row.topic.clone()).or_default().push(row.clone());
    }
    let mut counted = 0;
    for _ in 0..TRIES {
        let cuts = match look(store, part, &mut by_topic, &mut counted).await {
            Ok(Ok(cuts)) => cuts,
            Ok(Err(refusal)) => return Reply::Import(Err(refusal)),
            Err(e) => return Reply::Failed(e.to_string()),
        };
        if cuts.is_empty() {
            return Reply::Import(Ok(counted));
        }
        if let Err(reply) = merge(core, cuts).await {
            return reply;
        }
    }
    Reply::Failed("the same import is sent by somebody else as well: repeat it".into())
}

/// Finds the cuts that are left to be merged of each topic; topics with nothing left are taken out.
async fn look(
    store: &AnyStore,
    part: &ImportPart,
    by_topic: &mut BTreeMap<Topic, Vec<ImportRow>>,
    counted: &mut u64,
) -> Result<Result<Vec<Cut>, ImportRefusal>, StoreError> {
    let streams = [Direction::Import, Direction::Undo].map(|direction| part.file.stream(direction));
    let Ok(streams) = streams.into_iter().collect::<Result<Arc<[_]>, _>>() else {
        return Ok(Err(ImportRefusal::Malformed("the import has no name".into())));
    };
    let topics: Vec<Topic> = by_topic.keys().cloned().collect();
    let positions = store.positions(Arc::from(topics.as_slice()), streams).await?;
    let mut cuts = Vec::new();
    for (topic, positions) in topics.into_iter().zip(positions) {
        let position = |n: usize| positions.get(n).copied().unwrap_or_default();
        let held = Held { forwards: position(0), backwards: position(1) };
        let rows = by_topic.get(&topic).map(Vec::as_slice).unwrap_or_default();
        match step(&part.file, part.direction, &topic, rows, held) {
            Ok(Step::Merge(cut)) => cuts.push(cut),
            Ok(Step::Done(rows)) => {
                *counted += rows;
                by_topic.remove(&topic);
            }
            Err(refusal) => return Ok(Err(refusal)),
        }
    }
    Ok(Ok(cuts))
}

/// Has cuts merged; an error is the answer.
async fn merge(core: &CoreHandle, cuts: Vec<Cut>) -> Result<(), Reply> {
    let stopping = || Reply::Failed("this root is stopping: ask another".into());
    let (reply, answer) = oneshot::channel();
    core.inputs.send(Input::MergeLocally(cuts, reply)).await.map_err(|_| stopping())?;
    for outcome in answer.await.map_err(|_| stopping())? {
        match outcome.outcome {
            Some(Outcome::Applied(_) | Outcome::Have { .. }) => {}
            Some(Outcome::Overflow) => {
                return Err(Reply::Import(Err(ImportRefusal::Overflow(outcome.topic))));
            }
            None => {
                let reason = "the store has not answered, or too much waits for it: repeat it";
                return Err(Reply::Failed(reason.into()));
            }
        }
    }
    Ok(())
}
