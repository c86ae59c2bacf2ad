//! `countree replay`: a trace, played through the client.

use crate::arguments::{ReplayArguments, Speed};
use crate::report::{Report, thousands};
use countree_client::{Producer, ProducerOptions};
use countree_common::delta::Delta;
use countree_common::event::Event;
use countree_common::key::Counter;
use countree_common::shell::failure::Failure;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

const COLUMNS: [&str; 6] = ["t_ms", "topic", "item", "kind", "delta", "actor"];

/// What a replay ends with.
#[derive(Debug, Serialize)]
struct Played {
    sent: u64,
    acked: u64,
    rejected: u64,
    in_doubt: u64,
    elapsed_s: f64,
}

pub(super) async fn run(arguments: ReplayArguments, report: Report) -> Result<(), Failure> {
    let rows = open(&arguments.file)?;
    let producer = Producer::new(arguments.cluster.discover().await?, ProducerOptions::default());
    let progress = progress_bar(&arguments.file, report)?;
    let start = now();
    let mut bad_rows = 0;
    for row in rows.into_records() {
        let row = row.map_err(|e| Failure::failed(format!("{}: {e}", arguments.file.display())))?;
        progress.set_position(row.position().map_or(0, csv::Position::byte));
        let Some((t_ms, event)) = read(&row) else {
            bad_rows += 1;
            continue;
        };
        if let Speed::Times(times) = arguments.speed {
            let due = start + Duration::from_millis(t_ms).div_f64(times);
            tokio::time::sleep_until(due.into()).await;
        }
        producer.send(&event.counter, event.delta).await?;
    }
    let tally = producer.close().await?;
    progress.finish_and_clear();
    let played = Played {
        sent: tally.sent + bad_rows,
        acked: tally.acked,
        rejected: tally.rejected + bad_rows,
        in_doubt: tally.in_doubt,
        elapsed_s: now().duration_since(start).as_secs_f64(),
    };
    report.print(&played, || show(&played));
    if played.in_doubt > 0 {
        return Err(Failure::failed(format!(
            "{} events have no answer: they may be counted or not",
            played.in_doubt
        )));
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a replay keeps the trace's time")]
fn now() -> Instant {
    Instant::now()
}

fn open(path: &Path) -> Result<csv::Reader<File>, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::failed(format!("{}: {e}", path.display()));
    let mut rows = csv::Reader::from_path(path).map_err(|e| failed(&e))?;
    let header = rows.headers().map_err(|e| failed(&e))?;
    if header != COLUMNS.as_slice() {
        return Err(failed(&format!("not a trace: its first line must be {}", COLUMNS.join(","))));
    }
    Ok(rows)
}

fn read(row: &csv::StringRecord) -> Option<(u64, Event)> {
    let counter = Counter::new(row.get(1)?, row.get(2)?, row.get(3)?).ok()?;
    let delta = Delta::new(row.get(4)?.parse().ok()?).ok()?;
    Some((row.get(0)?.parse().ok()?, Event { counter, delta }))
}

fn progress_bar(path: &Path, report: Report) -> Result<ProgressBar, Failure> {
    if report.json || !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let bytes = std::fs::metadata(path)?.len();
    let style = ProgressStyle::with_template("{bar:40} {percent}% {elapsed} elapsed, {eta} to go")?;
    Ok(ProgressBar::new(bytes).with_style(style))
}

fn show(played: &Played) -> String {
    let Played { sent, acked, rejected, in_doubt, elapsed_s } = played;
    let number = |n: &u64| thousands(i64::try_from(*n).unwrap_or(i64::MAX));
    let doubt = if *in_doubt > 0 { format!(", in doubt {}", number(in_doubt)) } else { String::new() };
    format!(
        "sent {}, acked {}, rejected {}{doubt}, in {elapsed_s:.2} s",
        number(sent),
        number(acked),
        number(rejected)
    )
}
