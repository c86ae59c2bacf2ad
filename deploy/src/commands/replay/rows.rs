//! Reads the rows of a trace, and reports rows that can't be used.

use countree_common::delta::{Delta, DeltaError};
use countree_common::event::Event;
use countree_common::key::{Counter, NameError};
use countree_common::limits::DELTA_MAX;
use csv::{ByteRecord, StringRecord, Terminator};
use std::fmt;
use std::io::{Chain, Read};

/// A trace's first line.
const COLUMNS: [&str; 6] = ["t_ms", "topic", "item", "kind", "delta", "actor"];
/// An empty line of a file whose lines end with `\r\n`.
const EMPTY_LINE: &[u8] = b"\r";
/// The longest row. Names and numbers are far shorter: a longer row means a quote that was never closed.
const ROW_BYTES: u64 = 64 << 10;

/// The lines of the file that a row takes; more than one where a quoted name has line breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        if first < last { write!(f, "lines {first} to {last}") } else { write!(f, "line {first}") }
    }
}

/// A row that can be played.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Its time by the trace's clock, in milliseconds.
    pub(super) t_ms: u64,
    pub(super) event: Event,
}

/// The reason that a row can't be used. Later rows can.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RowError {
    #[error("it has {0} fields; a row has {n}", n = COLUMNS.len())]
    Fields(usize),
    #[error("t_ms is '{0}'; it takes whole milliseconds")]
    Time(String),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("delta is '{0}'; it takes a whole number from -{DELTA_MAX} to {DELTA_MAX} other than 0")]
    NoNumber(String),
    #[error(transparent)]
    Delta(#[from] DeltaError),
}

/// The reason that nothing after this point can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum TraceError {
    #[error("not a trace: its first line must be {columns}", columns = COLUMNS.join(","))]
    Header,
    #[error("{lines}: field {field} is not UTF-8")]
    NotUtf8 { lines: Lines, field: usize },
    #[error("{lines}: a quote is opened there and not closed")]
    Quote { lines: Lines },
    #[error("it can't be read: {0}")]
    Unreadable(csv::Error),
}

impl TraceError {
    /// The unreadable lines, where they are known.
    pub(super) fn lines(&self) -> Option<Lines> {
        match self {
            Self::NotUtf8 { lines, .. } | Self::Quote { lines } => Some(*lines),
            Self::Header | Self::Unreadable(_) => None,
        }
    }
}

/// A row and its lines.
pub(super) type Found = (Lines, Result<Row, RowError>);

/// A trace that is being read.
pub(super) struct Trace<R> {
    csv: csv::Reader<Chain<R, &'static [u8]>>,
    row: ByteRecord,
    from_line: u64,
}

impl<R: Read> Trace<R> {
    /// Reads the header. Rows that begin before `from_line` are skipped.
    ///
    /// # Errors
    /// When it is no trace.
    pub(super) fn open(file: R, from_line: u64) -> Result<Self, TraceError> {
        // With one kind of line end, which the last line has, too, a row's lines can be told from where it ends.
        let mut form = csv::ReaderBuilder::new();
        let mut csv =
            form.flexible(true).terminator(Terminator::Any(b'\n')).from_reader(file.chain(&b"\n"[..]));
        let header = csv.byte_headers().map_err(TraceError::Unreadable)?;
        let names = header.iter().map(|name| name.strip_suffix(b"\r").unwrap_or(name));
        if !names.eq(COLUMNS.iter().map(|column| column.as_bytes())) {
            return Err(TraceError::Header);
        }
        Ok(Self { csv, row: ByteRecord::new(), from_line })
    }

    /// Bytes of the file that have been read.
    pub(super) fn bytes(&self) -> u64 {
        self.csv.position().byte()
    }

    /// The line that is read next.
    pub(super) fn lines(&self) -> Lines {
        let line = self.csv.position().line().max(self.from_line);
        Lines { first: line, last: line }
    }

    /// The next row and its lines; `None` at the end.
    ///
    /// # Errors
    /// When nothing can be read from there on.
    pub(super) fn next(&mut self) -> Result<Option<Found>, TraceError> {
        let lines = loop {
            let start = self.csv.position().byte();
            if !self.csv.read_byte_record(&mut self.row).map_err(TraceError::Unreadable)? {
                return Ok(None);
            }
            let lines = self.row_lines();
            if lines.first < self.from_line || self.row.as_slice() == EMPTY_LINE {
                continue;
            }
            if self.is_open() || self.bytes() - start > ROW_BYTES {
                return Err(TraceError::Quote { lines });
            }
            break lines;
        };
        let row = StringRecord::from_byte_record(self.row.clone()).map_err(|e| {
            let field = e.utf8_error().field() + 1;
            TraceError::NotUtf8 { lines, field }
        })?;
        Ok(Some((lines, read(&row))))
    }
}

impl<R: Read> Trace<R> {
    /// The lines of the row that was read last.
    fn row_lines(&self) -> Lines {
        let line_breaks = self.row.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        let last = self.csv.position().line().saturating_sub(1);
        // One that is open to the end has taken in the line break that stands there.
        Lines { first: last.saturating_sub(line_breaks) + u64::from(self.is_open()), last }
    }

    /// Whether the row that was read last has a quote that is open to the end of the file.
    fn is_open(&self) -> bool {
        self.csv.get_ref().get_ref().1.is_empty() && self.row.as_slice().ends_with(b"\n")
    }
}

fn read(row: &StringRecord) -> Result<Row, RowError> {
    let fields: Vec<&str> = row.iter().collect();
    let &[t_ms, topic, item, kind, delta, _actor] = fields.as_slice() else {
        return Err(RowError::Fields(fields.len()));
    };
    let counter = Counter::new(topic, item, kind)?;
    let delta = Delta::new(delta.parse().map_err(|_| RowError::NoNumber(delta.to_owned()))?)?;
    let t_ms = t_ms.parse().map_err(|_| RowError::Time(t_ms.to_owned()))?;
    Ok(Row { t_ms, event: Event { counter, delta } })
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
