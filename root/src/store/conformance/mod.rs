//! Checks the promises of a store, against any of them. A check's error says what
//! was broken. The store has to be a fresh one.

mod checks;
mod forgetting;
mod random;
mod reading;
mod whole;

use super::{Store, StoreError, Whole};
use countree_common::cluster::NodeName;
use countree_common::cut::{Applied, CounterSum, Cut, Outcome};
use countree_common::document::{Counts, Snapshot, Version, counts};
use countree_common::key::{Item, Kind, Topic};
use countree_common::session::{Seq, SessionId};
use countree_common::stream::{Lsn, StreamId};
use countree_common::wire::rpc::SessionTable;
use std::sync::Arc;

pub use random::compare_with_model;
pub use whole::check_whole;

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The store did something else.
    #[error("{promise}: {found}")]
    Promise {
        /// The promise.
        promise: &'static str,
        /// The observation.
        found: String,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The check itself is wrong.
    #[error("a name in the check is refused: {0}")]
    Name(String),
}

/// Runs every check; the result is what was checked, in order.
///
/// # Errors
/// The first promise that is broken.
pub async fn check_all(store: &impl Store) -> Result<Vec<&'static str>, Broken> {
    let mut checked = Vec::new();
    macro_rules! check {
        ($($part:ident::{$($check:ident),* $(,)?})*) => {
            $($(
                $part::$check(store).await?;
                checked.push(stringify!($check));
            )*)*
        };
    }
    check!(checks::{
        an_identity_is_written_by_its_revision,
        a_missing_topic_is_none,
        a_cut_is_merged_once,
        a_gap_is_refused,
        a_probe_changes_nothing,
        streams_are_counted_apart,
        cancelling_sums_count_as_events,
        an_overflow_refuses_the_whole_cut,
        totals_beyond_doubles_are_exact,
        extreme_names_come_back,
        the_era_is_a_floor,
        a_big_cut_goes_in_whole,
        many_cuts_are_answered_in_order,
        the_last_merged_topic_is_listed_first,
        the_registry_is_replaced_only_at_its_revision,
        tables_of_sessions_are_kept,
        a_table_of_sessions_is_dropped_in_time,
    }
    reading::{
        a_scan_finds_every_topic,
        a_document_is_read_whole,
        positions_are_read_alone,
    }
    forgetting::{
        a_forgotten_topic_leaves_its_positions_alone,
        an_import_that_is_forgotten_has_nothing_to_undo,
    });
    Ok(checked)
}

fn ensure<T: PartialEq + std::fmt::Debug>(
    promise: &'static str,
    found: T,
    expected: T,
) -> Result<(), Broken> {
    if found == expected {
        return Ok(());
    }
    let found: String = format!("{found:?} instead of {expected:?}").chars().take(2_000).collect();
    Err(Broken::Promise { promise, found })
}

fn named<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, Broken> {
    result.map_err(|e| Broken::Name(e.to_string()))
}

fn topic(name: &str) -> Result<Topic, Broken> {
    named(Topic::new(name))
}

fn stream(leaf: &str) -> Result<StreamId, Broken> {
    Ok(StreamId { leaf: named(NodeName::new(leaf))?, incarnation: 1 })
}

fn sum(item: &str, kind: &str, delta: i64) -> Result<CounterSum, Broken> {
    Ok(CounterSum { item: named(Item::new(item))?, kind: named(Kind::new(kind))?, delta })
}

/// A cut of `leaf-0/1` with one event for each sum.
fn cut(to: &Topic, range: (Lsn, Lsn), sums: Vec<CounterSum>) -> Result<Cut, Broken> {
    let events = sums.len() as u64;
    Ok(Cut { stream: stream("leaf-0")?, topic: to.clone(), from: range.0, to: range.1, sums, events, era: 0 })
}

/// Merges one cut by itself. Eras, here and in the answers, count from the one that the store serves in.
async fn merge(store: &impl Store, cut: Cut) -> Result<Outcome, Broken> {
    let mut answers = merge_all(store, vec![cut]).await?;
    ensure("one cut has one answer", answers.len(), 1)?;
    answers.pop().ok_or_else(|| Broken::Name("no answer".into()))
}

/// Merges cuts together.
async fn merge_all(store: &impl Store, mut cuts: Vec<Cut>) -> Result<Vec<Outcome>, Broken> {
    let served_in = store.served_in().await?;
    for cut in &mut cuts {
        cut.era += if cut.era > 0 { served_in } else { 0 };
    }
    let answers = store.merge(Arc::from(cuts)).await;
    answers.into_iter().map(|answer| Ok(since(served_in, answer?))).collect()
}

fn since(served_in: u64, mut outcome: Outcome) -> Outcome {
    let since = |version: &mut Version| version.era = version.era.saturating_sub(served_in);
    match &mut outcome {
        Outcome::Applied(applied) => [&mut applied.base, &mut applied.version].into_iter().for_each(since),
        Outcome::Have { version, .. } => since(version),
        Outcome::Overflow => {}
    }
    outcome
}

async fn read_counts(store: &impl Store, topic: &Topic) -> Result<(Version, Counts), Broken> {
    let (found, served_in) = (store.read(topic).await?, store.served_in().await?);
    let none = Snapshot { topic: topic.clone(), version: Version::default(), totals: Vec::new() };
    let Snapshot { mut version, totals, .. } = found.unwrap_or(none);
    version.era = version.era.saturating_sub(served_in);
    Ok((version, counts(totals)))
}

fn version(era: u64, number: u64) -> Version {
    Version { era, number }
}

fn applied(number: u64, totals: &[i64], events: u64) -> Outcome {
    Outcome::Applied(Applied {
        version: version(0, number),
        base: version(0, number.saturating_sub(1)),
        totals: totals.to_vec(),
        events,
        durable: false,
    })
}

fn have(lsn: Lsn, events: u64, number: u64) -> Outcome {
    Outcome::Have { lsn, events, version: version(0, number) }
}

/// Leaves durability out: each store says for itself how durable a merge is.
fn whatever_durability(mut outcome: Outcome) -> Outcome {
    if let Outcome::Applied(applied) = &mut outcome {
        applied.durable = false;
    }
    outcome
}
