//! Runs `countree replay`: plays a trace through the client.

mod rows;

use crate::arguments::{ReplayArguments, Speed};
use crate::report::{Report, thousands};
use crate::shutdown;
use countree_client::{ClientError, Producer, ProducerOptions};
use countree_common::shell::failure::{Failure, printable};
use indicatif::{ProgressBar, ProgressStyle};
use rows::{Found, Lines, Row, RowError, Trace, TraceError};
use serde::Serialize;
use std::fs::File;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Unusable rows that are reported; the others are only counted.
const ROWS_NAMED: u64 = 1_000;

/// The result of a replay.
#[derive(Debug, Default, Serialize)]
struct Played {
    /// Rows read, with the unusable ones.
    sent: u64,
    acked: u64,
    rejected: u64,
    in_doubt: u64,
    elapsed_s: f64,
    /// The line to continue from, when the replay ended before the trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_line: Option<u64>,
}

/// The reason that a replay ended before its trace.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    /// A signal came before this line was sent.
    #[error("stopped: go on with --from-line {0}")]
    Asked(u64),
    #[error(
        "{error}. What comes before is sent. Mend it and go on with --from-line {line}, or leave it out and \
         go on with --from-line {after}"
    )]
    Trace { error: TraceError, line: u64, after: u64 },
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Stopped {
    /// All rows before this line are sent, and none from there on.
    fn next_line(&self) -> Option<u64> {
        match self {
            Self::Asked(line) | Self::Trace { line, .. } => Some(*line),
            Self::Client(_) => None,
        }
    }
}

pub(super) async fn run(arguments: ReplayArguments, report: Report) -> Result<(), Failure> {
    let shown = arguments.file.display();
    let file = File::open(&arguments.file).map_err(|e| Failure::failed(format!("{shown}: {e}")))?;
    let progress = progress_bar(&file, report)?;
    let trace =
        Trace::open(file, arguments.from_line).map_err(|e| Failure::failed(format!("{shown}: {e}")))?;
    let producer = Producer::new(arguments.cluster.discover().await?, ProducerOptions::default());
    let begun = now();
    let mut replay = Replay { trace, progress, speed: arguments.speed, first: None, unusable: 0 };
    let mut stopped = replay.play(&producer).await.err();
    let closing = producer.clone().close().await;
    if let (Err(e), None) = (closing, &stopped) {
        stopped = Some(e.into());
    }
    let tally = producer.tally();
    replay.progress.finish_and_clear();
    let played = Played {
        sent: tally.sent + replay.unusable,
        acked: tally.acked,
        rejected: tally.rejected + replay.unusable,
        in_doubt: tally.in_doubt,
        elapsed_s: now().duration_since(begun).as_secs_f64(),
        next_line: stopped.as_ref().and_then(Stopped::next_line),
    };
    report.print(&played, || show(&played));
    verdict(&played, replay.unusable, stopped, &tally.errors)
        .map_err(|why| Failure::failed(format!("{shown}: {why}")))
}

/// Checks that every row was counted; the error says which were not, and what to do.
fn verdict(
    played: &Played,
    unusable: u64,
    stopped: Option<Stopped>,
    errors: &[String],
) -> Result<(), String> {
    let mut wrong: Vec<String> = stopped.map(|stopped| stopped.to_string()).into_iter().collect();
    if unusable > 0 {
        let unnamed = unusable.saturating_sub(ROWS_NAMED);
        let more = if unnamed > 0 { format!(", {unnamed} of them not named above") } else { String::new() };
        wrong.push(format!("{unusable} rows can't be used and are not counted{more}"));
    }
    let refused = played.rejected - unusable;
    let why = errors.last().map(|e| format!(" ({e})")).unwrap_or_default();
    if refused > 0 {
        wrong.push(format!("{refused} events were refused and are not counted{why}"));
    }
    if played.in_doubt > 0 {
        wrong.push(format!("{} events have no answer{why}: they may be counted or not", played.in_doubt));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// A trace that is being played.
struct Replay {
    trace: Trace<File>,
    progress: ProgressBar,
    speed: Speed,
    /// The moment at which the first row is played, and its time by the trace's clock, which may count from any
    /// moment.
    first: Option<(Instant, u64)>,
    unusable: u64,
}

impl Replay {
    /// Plays to the end.
    async fn play(&mut self, producer: &Producer) -> Result<(), Stopped> {
        let stop = shutdown::on_signal();
        while let Some((lines, row)) = self.next()? {
            let Row { t_ms, event } = match row {
                Ok(row) => row,
                Err(e) => {
                    self.name(lines, &e);
                    continue;
                }
            };
            tokio::select! {
                biased;
                () = stop.begun() => return Err(Stopped::Asked(lines.first)),
                () = self.due(t_ms) => {}
            }
            producer.send_event(&event.counter, event.delta).await?;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Found>, Stopped> {
        let next = self.trace.next().map_err(|error| {
            let Lines { first: line, last } = error.lines().unwrap_or_else(|| self.trace.lines());
            Stopped::Trace { error, line, after: last + 1 }
        })?;
        self.progress.set_position(self.trace.bytes());
        Ok(next)
    }

    /// Waits until a row's time has come.
    async fn due(&mut self, t_ms: u64) {
        let Speed::Times(times) = self.speed else { return };
        let (start, first_ms) = *self.first.get_or_insert_with(|| (now(), t_ms));
        let after = Duration::from_millis(t_ms.saturating_sub(first_ms)).as_secs_f64() / times;
        let due = Duration::try_from_secs_f64(after).ok().and_then(|after| start.checked_add(after));
        match due {
            Some(due) => tokio::time::sleep_until(due.into()).await,
            // Beyond the range of the clock.
            None => std::future::pending().await,
        }
    }

    fn name(&mut self, lines: Lines, why: &RowError) {
        self.unusable += 1;
        if self.unusable <= ROWS_NAMED {
            self.progress.suspend(|| eprintln!("{lines}: {}", printable(&why.to_string())));
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a replay keeps the trace's time")]
fn now() -> Instant {
    Instant::now()
}

fn progress_bar(file: &File, report: Report) -> Result<ProgressBar, Failure> {
    if report.json || !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let bytes = file.metadata()?.len();
    let style = ProgressStyle::with_template("{bar:40} {percent}% {elapsed} elapsed, {eta} to go")?;
    Ok(ProgressBar::new(bytes).with_style(style))
}

fn show(played: &Played) -> String {
    let Played { sent, acked, rejected, in_doubt, elapsed_s, .. } = played;
    let number = |n: &u64| thousands(i64::try_from(*n).unwrap_or(i64::MAX));
    let doubt = if *in_doubt > 0 { format!(", in doubt {}", number(in_doubt)) } else { String::new() };
    format!(
        "sent {}, acked {}, rejected {}{doubt}, in {elapsed_s:.2} s",
        number(sent),
        number(acked),
        number(rejected)
    )
}
