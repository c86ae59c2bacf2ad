//! Reports for people: numbers, and pages with plots that open without a network.

pub(crate) mod escape;
pub(crate) mod number;
pub(crate) mod page;
pub(crate) mod plot;
pub(crate) mod spread;

use countree_common::shell::failure::Failure;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// Figures in words and numbers, one to a line.
pub(crate) type Rows = Vec<(&'static str, String)>;

/// Prints a result: one JSON object for programs, or the rows and what else there is for people.
///
/// # Errors
/// When it can't be written as JSON.
pub(crate) fn print(json: bool, result: &impl Serialize, rows: &Rows, more: &str) -> Result<(), Failure> {
    if json {
        println!("{}", serde_json::to_string(result)?);
    } else {
        println!("{}", table(rows, more));
    }
    Ok(())
}

/// Rows for people.
pub(crate) fn table(rows: &Rows, more: &str) -> String {
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{name:<13}{value}");
    }
    text.push_str(more);
    text.trim_end().to_owned()
}

/// Writes a report's page, if one was asked for.
///
/// # Errors
/// When the file can't be written.
pub(crate) fn write(path: Option<&Path>, page: impl FnOnce() -> String) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, page()).map_err(|e| Failure::failed(format!("{}: {e}", path.display())))
}
