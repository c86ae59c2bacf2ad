//! Reads a file of totals: NDJSON as `countree export` prints it, or CSV.

use crate::commands::export::Line;
use countree_common::import::ImportRow;
use countree_common::key::{Item, Kind, Topic};
use countree_common::limits::TOTAL_MAX;
use countree_common::shell::failure::{Failure, printable};
use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;

const COLUMNS: [&str; 4] = ["topic", "item", "kind", "total"];
/// Bad rows that are reported; the others are only counted.
const NAMED: u64 = 100;

/// A row that can't be imported.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(super) struct BadRow {
    line: u64,
    reason: String,
}

/// The rows of a file, numbered from 1.
pub(super) struct Rows {
    form: Form,
    number: u64,
}

enum Form {
    /// The lines, and the number of lines read.
    Json(Lines<BufReader<File>>, u64),
    Csv(Box<csv::StringRecordsIntoIter<File>>),
}

impl Rows {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure::failed(format!("{}: {e}", path.display()));
        let mut file = BufReader::new(File::open(path).map_err(|e| failed(&e))?);
        let begin = file.fill_buf().map_err(|e| failed(&e))?;
        let form = if begin.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
            Form::Json(file.lines(), 0)
        } else {
            let mut rows = csv::Reader::from_path(path).map_err(|e| failed(&e))?;
            if rows.headers().map_err(|e| failed(&e))? != COLUMNS.as_slice() {
                let columns = COLUMNS.join(",");
                return Err(failed(&format!(
                    "its first line must be {columns}, or each line an object {{\"topic\",\"item\",\"kind\",\"total\"}}"
                )));
            }
            Form::Csv(Box::new(rows.into_records()))
        };
        Ok(Self { form, number: 0 })
    }

    /// Reads the next line that is not empty; returns it with its number.
    fn next_line(&mut self) -> Option<(u64, Result<Line, String>)> {
        match &mut self.form {
            Form::Json(lines, at) => loop {
                let line = lines.next()?;
                *at += 1;
                let line = match line {
                    Ok(line) if line.trim().is_empty() => continue,
                    Ok(line) => {
                        serde_json::from_str(&line).map_err(|e| format!("not of the form of a row ({e})"))
                    }
                    Err(e) => Err(e.to_string()),
                };
                return Some((*at, line));
            },
            Form::Csv(rows) => Some(match rows.next()? {
                Ok(row) => (row.position().map_or(0, csv::Position::line), cells(&row)),
                Err(e) => (e.position().map_or(0, csv::Position::line), Err(e.to_string())),
            }),
        }
    }
}

fn cells(row: &csv::StringRecord) -> Result<Line, String> {
    let cell = |n| row.get(n).unwrap_or_default().to_owned();
    let total = cell(3).trim().parse().map_err(|_| format!("'{}' is no total", cell(3).escape_debug()))?;
    Ok(Line { topic: cell(0), item: cell(1), kind: cell(2), total, exact: None })
}

fn row(number: u64, line: Line) -> Result<ImportRow, String> {
    let said = |e: &dyn std::fmt::Display| e.to_string();
    let total = match line.exact {
        Some(exact) => exact.parse().map_err(|_| format!("'{}' is no total", exact.escape_debug()))?,
        None => line.total,
    };
    if !(-TOTAL_MAX..=TOTAL_MAX).contains(&total) {
        return Err(format!("a total goes to ±{TOTAL_MAX}"));
    }
    Ok(ImportRow {
        number,
        topic: Topic::new(&line.topic).map_err(|e| said(&e))?,
        item: Item::new(&line.item).map_err(|e| said(&e))?,
        kind: Kind::new(&line.kind).map_err(|e| said(&e))?,
        total,
    })
}

impl Iterator for Rows {
    type Item = Result<ImportRow, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        let (line, read) = self.next_line()?;
        self.number += 1;
        let row = read.and_then(|read| row(self.number, read));
        Some(row.map_err(|reason| BadRow { line, reason }))
    }
}

/// Checks the whole file before any row is sent; returns the number of rows.
pub(super) fn check(path: &Path) -> Result<u64, Failure> {
    let (mut rows, mut bad) = (0u64, 0u64);
    for row in Rows::open(path)? {
        match row {
            Ok(_) => rows += 1,
            Err(e) => {
                bad += 1;
                if bad <= NAMED {
                    eprintln!("{}: {}", path.display(), printable(&e.to_string()));
                }
            }
        }
    }
    match (rows, bad) {
        (0, 0) => Err(Failure::failed(format!("{} has no rows: nothing was imported", path.display()))),
        (_, 0) => Ok(rows),
        (_, 1) => Err(Failure::failed("1 row can't be used: nothing was imported; correct it and repeat")),
        _ => Err(Failure::failed(format!(
            "{bad} rows can't be used: nothing was imported; correct them and repeat"
        ))),
    }
}
