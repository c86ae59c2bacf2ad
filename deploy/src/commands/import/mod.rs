//! Runs `countree import`: adds the totals of a file; a repeat adds no row twice.

mod file;

use crate::arguments::{ClusterArguments, ImportArguments};
use crate::report::{Report, thousands};
use countree_common::import::{Direction, ImportFile, ImportPart, ImportRow, ImportStep, digest};
use countree_common::limits::IDEMPOTENCY_KEY_BYTES;
use countree_common::shell::failure::Failure;
use countree_common::shell::overview::Imported;
use file::{Rows, check};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

const PATH: &str = "/v1/imports";
/// Time for a recovering cluster to become ready.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);
/// Rows in a request, and the bytes of their names.
const ROWS: usize = 1_000;
const NAME_BYTES: usize = 256 << 10;

#[derive(Debug, Serialize)]
struct Output<'a> {
    id: &'a str,
    rows: u64,
    #[serde(rename = "undone")]
    is_undone: bool,
}

pub(super) async fn run(arguments: ImportArguments, report: Report) -> Result<(), Failure> {
    let ImportArguments { file: path, id, undo, cluster } = arguments;
    if id.as_ref().is_some_and(|id| !(1..=IDEMPOTENCY_KEY_BYTES).contains(&id.len())) {
        return Err(Failure::usage(format!("--id takes 1 to {IDEMPOTENCY_KEY_BYTES} bytes")));
    }
    let rows = check(&path)?;
    let digest = digest_of(&path)?;
    let file = ImportFile { id: id.unwrap_or_else(|| digest.clone()), digest, rows };
    let direction = if undo { Direction::Undo } else { Direction::Import };
    let import = Import { file: &file, direction, cluster: &cluster };
    import.step(ImportStep::Begin).await?;
    let counted = import.send(&path, report).await?;
    if digest_of(&path)? != file.digest {
        let path = path.display();
        return Err(Failure::failed(format!(
            "{path} was changed while it was read: undo what was imported with --undo and the file as it was"
        )));
    }
    import.step(ImportStep::End(counted)).await?;
    let output = Output { id: &file.id, rows: counted, is_undone: undo };
    let number = thousands(i64::try_from(counted).unwrap_or(i64::MAX));
    let done = if undo { "undone" } else { "imported" };
    report.print(&output, || format!("{done}: {number} rows, under the id {}", file.id));
    Ok(())
}

fn digest_of(path: &Path) -> Result<String, Failure> {
    let read = File::open(path).and_then(digest);
    read.map_err(|e| Failure::failed(format!("{}: {e}", path.display())))
}

struct Import<'a> {
    file: &'a ImportFile,
    direction: Direction,
    cluster: &'a ClusterArguments,
}

impl Import<'_> {
    /// Takes a step, with retries while the cluster can't: a repeat is harmless.
    async fn step(&self, step: ImportStep) -> Result<u64, Failure> {
        let part = ImportPart { file: self.file.clone(), direction: self.direction, step };
        let body = serde_json::to_vec(&part)?;
        let imported: Imported = self.cluster.post_retrying(PATH, &body, RETRY_TIMEOUT).await?;
        Ok(imported.rows)
    }

    /// Sends all rows; returns the number that the cluster counts.
    async fn send(&self, path: &Path, report: Report) -> Result<u64, Failure> {
        let progress = progress(self.file.rows, report)?;
        let (mut counted, mut bytes, mut rows) = (0, 0, Vec::with_capacity(ROWS));
        for row in Rows::open(path)? {
            let row: ImportRow = row.map_err(|e| Failure::failed(format!("{}: {e}", path.display())))?;
            bytes += row.topic.as_str().len() + row.item.as_str().len() + row.kind.as_str().len();
            progress.set_position(row.number);
            rows.push(row);
            if rows.len() == ROWS || bytes >= NAME_BYTES {
                counted += self.step(ImportStep::Rows(std::mem::take(&mut rows))).await?;
                bytes = 0;
            }
        }
        if !rows.is_empty() {
            counted += self.step(ImportStep::Rows(rows)).await?;
        }
        progress.finish_and_clear();
        Ok(counted)
    }
}

fn progress(rows: u64, report: Report) -> Result<ProgressBar, Failure> {
    if report.json || !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{bar:40} {percent}% {elapsed} elapsed, {eta} to go")?;
    Ok(ProgressBar::new(rows).with_style(style))
}
