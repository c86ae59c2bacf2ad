//! Imports: totals from a file, taken as a log of its own.
//!
//! The rows of a file are the records of a stream, numbered from 1: the merge rule then takes each of them
//! once, however often and by whomever they are sent. An import that is undone has a second stream, of the
//! same rows with the other sign.

use crate::cluster::{NodeName, NodeNameError};
use crate::cut::CounterSum;
use crate::key::{Item, Kind, Topic};
use crate::limits::{IDEMPOTENCY_KEY_BYTES, TOTAL_MAX};
use crate::stream::{Lsn, StreamId};
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use xxhash_rust::xxh3::Xxh3;

/// The prefix of the names of imports' streams.
const NAME: &str = "import-";
/// The incarnation of an import's stream.
const FORWARDS: u64 = 1;
/// The incarnation of the stream that undoes an import.
const BACKWARDS: u64 = 2;

/// A file to import, and the id of its import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportFile {
    /// The id, which makes a repeat harmless.
    pub id: String,
    /// The [digest] of the file.
    pub digest: String,
    /// Number of rows.
    pub rows: u64,
}

/// One row of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRow {
    /// Its number in the file, from 1.
    pub number: Lsn,
    /// The topic.
    pub topic: Topic,
    /// The item.
    pub item: Item,
    /// The kind.
    pub kind: Kind,
    /// The amount that is added to the total.
    pub total: i64,
}

/// Whether rows are put in or taken out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Put in.
    Import,
    /// Taken out, as far as they were put in.
    Undo,
}

/// A step of an import. Each may be repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImportStep {
    /// The import begins, or goes on.
    Begin,
    /// Rows, in the order of the file, after those of the steps before.
    Rows(Vec<ImportRow>),
    /// All rows have been sent. Its number is that of the rows that were answered.
    End(u64),
}

/// One step of one import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportPart {
    /// The file.
    pub file: ImportFile,
    /// The direction.
    pub direction: Direction,
    /// The step.
    pub step: ImportStep,
}

/// A reason why a step is refused, and its repeat would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ImportRefusal {
    /// The id is another file's.
    #[error("import '{0}' was of another file: choose another --id. Nothing was changed")]
    OtherFile(String),
    /// The import was undone.
    #[error("import '{0}' was undone: import the file under another --id. Nothing was changed")]
    Undone(String),
    /// There is nothing to undo.
    #[error(
        "there is no import '{0}': --undo takes the file, and the --id, that were imported. Nothing was changed"
    )]
    Unknown(String),
    /// The cluster remembers no more imports.
    #[error("the cluster remembers {0} imports and takes no more. Nothing was changed")]
    Full(usize),
    /// A total would leave its range.
    #[error(
        "a total of topic '{0}' would leave its range of ±{TOTAL_MAX}: undo the import with --undo, or make room and repeat it"
    )]
    Overflow(Topic),
    /// The step is malformed.
    #[error("{0}: send the rows in the order of the file")]
    Malformed(String),
}

/// Rows in one step.
pub const ROWS_PER_STEP: usize = 4_096;

impl ImportPart {
    /// Checks lengths and ranges.
    ///
    /// # Errors
    /// When the step is malformed.
    pub fn check(&self) -> Result<(), ImportRefusal> {
        let malformed = |what: String| Err(ImportRefusal::Malformed(what));
        let ImportFile { id, digest, .. } = &self.file;
        if !(1..=IDEMPOTENCY_KEY_BYTES).contains(&id.len()) || digest.len() > IDEMPOTENCY_KEY_BYTES {
            return malformed(format!("an import's id has 1 to {IDEMPOTENCY_KEY_BYTES} bytes"));
        }
        let ImportStep::Rows(rows) = &self.step else { return Ok(()) };
        if rows.len() > ROWS_PER_STEP {
            return malformed(format!("a step has at most {ROWS_PER_STEP} rows"));
        }
        match rows.iter().find(|row| !(-TOTAL_MAX..=TOTAL_MAX).contains(&row.total)) {
            Some(row) => malformed(format!("the total of row {} is beyond ±{TOTAL_MAX}", row.number)),
            None => Ok(()),
        }
    }
}

impl ImportFile {
    /// The stream that its rows are in.
    ///
    /// # Errors
    /// Never: the name has only allowed characters.
    pub fn stream(&self, direction: Direction) -> Result<StreamId, NodeNameError> {
        let mut hasher = Xxh3::new();
        hasher.update(self.id.as_bytes());
        hasher.update(&[0xff]);
        hasher.update(self.digest.as_bytes());
        let leaf = NodeName::new(&format!("{NAME}{:032x}", hasher.digest128()))?;
        let incarnation = match direction {
            Direction::Import => FORWARDS,
            Direction::Undo => BACKWARDS,
        };
        Ok(StreamId { leaf, incarnation })
    }
}

/// The stream that undoes an import, by the one that its rows are in; `None` for any other.
pub fn backwards(forwards: &StreamId) -> Option<StreamId> {
    let StreamId { leaf, incarnation } = forwards;
    let is_digest = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_import = *incarnation == FORWARDS && leaf.as_str().strip_prefix(NAME).is_some_and(is_digest);
    is_import.then(|| StreamId { leaf: leaf.clone(), incarnation: BACKWARDS })
}

/// Computes the digest of a file.
///
/// # Errors
/// When the file can't be read.
pub fn digest(mut file: impl Read) -> io::Result<String> {
    let (mut hasher, mut block) = (Xxh3::new(), vec![0; 64 << 10]);
    loop {
        let read = file.read(&mut block)?;
        match block.get(..read) {
            Some(bytes) if !bytes.is_empty() => hasher.update(bytes),
            _ => return Ok(format!("{:032x}", hasher.digest128())),
        }
    }
}

/// Adds up rows of one topic: a sum for each counter, or nothing where one is out of range.
pub fn sums<'a>(rows: impl Iterator<Item = &'a ImportRow>, direction: Direction) -> Option<Vec<CounterSum>> {
    let mut sums = std::collections::BTreeMap::<(&Item, &Kind), i64>::new();
    for row in rows {
        let total = match direction {
            Direction::Import => row.total,
            Direction::Undo => row.total.checked_neg()?,
        };
        let sum = sums.entry((&row.item, &row.kind)).or_default();
        *sum = sum.checked_add(total)?;
    }
    let sum = |((item, kind), delta): ((&Item, &Kind), i64)| CounterSum {
        item: item.clone(),
        kind: kind.clone(),
        delta,
    };
    Some(sums.into_iter().map(sum).collect())
}
