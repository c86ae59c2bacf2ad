//! Puts rows of an import into a topic document: as cuts of the import's own stream, whose LSNs are the rows' numbers.
//!
//! To undo an import its stream is first led past its end, in each topic from where it stands, so that no row comes in
//! late. How far it stood there is in its LSN from then on, and tells which rows have to be taken out.

use super::document::Position;
use countree_common::cut::Cut;
use countree_common::import::{Direction, ImportFile, ImportRefusal, ImportRow, sums};
use countree_common::key::Topic;
use countree_common::stream::Lsn;

/// The positions of an import in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// That of its stream.
    pub forwards: Position,
    /// That of the stream that undoes it.
    pub backwards: Position,
}

/// The next step for rows of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing: they are where they should be. This number of them counts.
    Done(u64),
    /// This is to be merged; then look again.
    Merge(Cut),
}

/// The next step with these rows, which are all rows of the topic that the file has after those of earlier steps.
///
/// # Errors
/// When they can't go in.
pub fn step(
    file: &ImportFile,
    direction: Direction,
    topic: &Topic,
    rows: &[ImportRow],
    held: Held,
) -> Result<Step, ImportRefusal> {
    let numbers = rows.iter().map(|row| row.number);
    if !numbers.clone().is_sorted_by(|a, b| a < b) || numbers.clone().any(|n| n == 0 || n > file.rows) {
        return Err(ImportRefusal::Malformed(format!(
            "the rows of topic '{topic}' are not numbered upwards from 1"
        )));
    }
    let stands_at = held.forwards.lsn;
    let (from, counted) = match (direction, stood_at(file, stands_at)) {
        (Direction::Import, None) => (stands_at, rows),
        (Direction::Import, Some(_)) => return Err(ImportRefusal::Undone(file.id.clone())),
        (Direction::Undo, None) => return fence(file, topic, stands_at).map(Step::Merge),
        (Direction::Undo, Some(stood_at)) => {
            let in_it = rows.iter().take_while(|row| row.number <= stood_at).count();
            (held.backwards.lsn, rows.get(..in_it).unwrap_or_default())
        }
    };
    let left = counted.iter().skip_while(|row| row.number <= from);
    let Some(last) = left.clone().last() else { return Ok(Step::Done(counted.len() as u64)) };
    let sums = sums(left.clone(), direction).ok_or_else(|| ImportRefusal::Overflow(topic.clone()))?;
    let (to, events) = (last.number, left.count() as u64);
    cut(file, direction, topic, (from, to), sums, events).map(Step::Merge)
}

/// The position of the import's stream when it was led past its end; `None` when it was not.
fn stood_at(file: &ImportFile, lsn: Lsn) -> Option<Lsn> {
    lsn.checked_sub(file.rows.saturating_add(1))
}

fn fence(file: &ImportFile, topic: &Topic, stands_at: Lsn) -> Result<Cut, ImportRefusal> {
    let past = file.rows.saturating_add(1).saturating_add(stands_at);
    cut(file, Direction::Import, topic, (stands_at, past), Vec::new(), 0)
}

fn cut(
    file: &ImportFile,
    direction: Direction,
    topic: &Topic,
    (from, to): (Lsn, Lsn),
    sums: Vec<countree_common::cut::CounterSum>,
    events: u64,
) -> Result<Cut, ImportRefusal> {
    let stream = file.stream(direction).map_err(|e| ImportRefusal::Malformed(e.to_string()))?;
    Ok(Cut { stream, topic: topic.clone(), from, to, sums, events, era: 0 })
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
