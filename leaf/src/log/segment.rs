//! Reads and writes segments: records one after another, the last of them perhaps torn by a crash.

use super::record::{self, HEADER_BYTES, Record};
use countree_common::cluster::NodeName;
use countree_common::stream::Lsn;

/// Damage to a log. The leaf does not start on it, so nothing is counted wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// A record that had been on disk can't be read any more.
    #[error(
        "the log is damaged at byte {offset} of its segment: record {lsn} had been stored and can't be read. \
         Restore the file, or move the stream's folder away and declare its unmerged events lost"
    )]
    Damaged {
        /// Its offset in the segment.
        offset: usize,
        /// The record's LSN.
        lsn: Lsn,
    },
    /// A whole record that this build can't read. Taken for torn, it would be cut off, acked or not.
    #[error(
        "record {lsn} of the log is whole, and this build can't read its kind ({kind}): a newer build wrote it. Start \
         that build (docs/upgrading.md)"
    )]
    Newer {
        /// The record's LSN.
        lsn: Lsn,
        /// Its kind.
        kind: u8,
    },
    /// A segment that is missing, or one that belongs elsewhere.
    #[error(
        "record {expected} of the log should come next and {found} does: a segment is missing or misplaced"
    )]
    Gap {
        /// The LSN that should come.
        expected: Lsn,
        /// The LSN that comes.
        found: Lsn,
    },
    /// Another leaf's log: under this leaf's name the store would count all of it again.
    #[error("this is the log of {found}, not of {expected}: give each leaf its own data folder")]
    WrongLeaf {
        /// The leaf that it is of.
        found: NodeName,
        /// The leaf that it should be of.
        expected: NodeName,
    },
    /// A record's content contradicts the records before it.
    #[error("record {lsn} of the log can't be understood: {what}")]
    Inconsistent {
        /// The record's LSN.
        lsn: Lsn,
        /// The fault.
        what: &'static str,
    },
}

/// The end of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With its last record.
    Clean,
    /// With bytes that are no record and never were acked: cut them off here.
    Torn {
        /// The length of the good part.
        offset: usize,
    },
}

/// Reads a segment whose first record is `first`, handing each record to `visit`. `is_last` says whether a
/// torn end is possible: only the newest segment of a stream was being written when it crashed.
///
/// # Errors
/// When a record is damaged or out of order, or `visit` refuses one.
pub fn read<'a>(
    bytes: &'a [u8],
    first: Lsn,
    is_last: bool,
    mut visit: impl FnMut(Lsn, Record<'a>) -> Result<(), LogError>,
) -> Result<(Lsn, End), LogError> {
    let mut offset = 0;
    let mut expected = first;
    while offset < bytes.len() {
        let rest = &bytes[offset..];
        let Some((place, record)) = record::take(rest) else {
            if let Some(kind) = record::whole_kind(rest) {
                return Err(LogError::Newer { lsn: expected, kind });
            }
            if !is_last || was_stored(rest, expected) {
                return Err(LogError::Damaged { offset, lsn: expected });
            }
            return Ok((expected - 1, End::Torn { offset }));
        };
        if place.lsn != expected {
            return Err(LogError::Gap { expected, found: place.lsn });
        }
        visit(expected, record)?;
        offset += place.bytes;
        expected += 1;
    }
    Ok((expected - 1, End::Clean))
}

/// Whether a record behind the unreadable one proves that `lsn` had been on disk. A write that was torn
/// may well have left later bytes of itself behind, but none that knew it to be durable.
fn was_stored(bytes: &[u8], lsn: Lsn) -> bool {
    (1..bytes.len().saturating_sub(HEADER_BYTES)).any(|at| {
        let tail = &bytes[at..];
        plausible(tail, lsn)
            && record::take(tail).is_some_and(|(place, _)| place.lsn > lsn && place.durable >= lsn)
    })
}

/// Whether the bytes could be a record not far behind `lsn`; spares most of the checksums.
fn plausible(bytes: &[u8], lsn: Lsn) -> bool {
    let mut fields = record::Fields(bytes);
    let length = fields.u32().unwrap_or(u32::MAX) as usize;
    let found = bytes.get(8..16).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    length <= bytes.len() && found.is_some_and(|f| f > lsn && f - lsn <= 1 << 32)
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
