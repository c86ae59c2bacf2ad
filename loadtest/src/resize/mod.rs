//! Runs `loadtest resize`: resizes every tier again and again under load by `countree apply`, and checks that every
//! acked event was counted once.

mod figures;
mod load;
mod walk;

use crate::arguments::{ResizeArguments, Target};
use crate::clock::now;
use crate::cluster::endpoints::Endpoints;
use crate::cluster::server::{self, Server};
use crate::load::latency::AckLatency;
use crate::load::settle::settled;
use crate::report;
use countree_common::key::Counter;
use countree_common::shell::failure::Failure;
use countree_common::shell::overview::Audit;
use countree_common::shell::shutdown::Shutdown;
use figures::{Figures, Moves, Resize};
use load::{Seen, Stage, TOPICS, Totals, topic};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::task::JoinSet;
use walk::Walk;

/// Load before the first resize and after the last.
const CALM: Duration = Duration::from_secs(2);
/// Viewers have this long after the last event to be shown it.
const SHOWN: Duration = Duration::from_secs(5);
/// Differences that are reported.
const EXAMPLES: usize = 10;

/// The part of `countree plan --json` that is kept.
#[derive(Debug, Deserialize)]
struct Plan {
    moves: Moves,
}

/// The part of `countree apply --json` that is looked at.
#[derive(Debug, Deserialize)]
struct Applied {
    audit: Audit,
}

/// The `countree` that resizes the cluster, as an operator would.
struct Operator {
    countree: PathBuf,
    url: String,
    manifest: PathBuf,
}

/// Runs, prints, and fails on any difference.
pub(crate) async fn run(arguments: ResizeArguments, json: bool) -> Result<(), Failure> {
    let figures = measure(&arguments, !json).await?;
    report::print(json, &figures, &figures.rows(), "")?;
    figures.complaints.first().map_or(Ok(()), |first| Err(Failure::failed(format!("not exact: {first}"))))
}

async fn measure(arguments: &ResizeArguments, is_loud: bool) -> Result<Figures, Failure> {
    let folder = tempfile::Builder::new().prefix("countree-resize-").tempdir()?;
    let manifest = folder.path().join("wanted.toml");
    let (base, mut walk) = (arguments.table()?, Walk::new(arguments.most));
    std::fs::write(&manifest, walk.manifest(&base))?;
    let target = Target { countree: arguments.countree.clone(), ..Target::default() };
    let server = Server::start_with(&target, Some(&manifest)).await?;
    let before = Endpoints::at(server.url.clone(), None).audit().await?;
    if before.total.accepted > 0 {
        return Err(Failure::usage("the manifest's store has counted before: give it an empty one"));
    }
    let countree = server::binary(arguments.countree.as_deref())?;
    let operator = Operator { countree, url: server.url.clone(), manifest };
    let stage = Stage {
        url: server.url.clone(),
        stop: Shutdown::new(),
        acks: Arc::new(AckLatency::new()?),
        window: Arc::new(AckLatency::new()?),
        refused: Arc::default(),
        repeats: Arc::default(),
    };
    let watchers_stop = Shutdown::new();
    let (mut senders, mut watchers) = (JoinSet::new(), JoinSet::new());
    for _ in 0..arguments.producers {
        senders.spawn(stage.clone().produce(arguments.rate / f64::from(arguments.producers)));
    }
    for number in 0..arguments.http_senders {
        senders.spawn(stage.clone().post(number));
    }
    for _ in 0..arguments.viewers {
        watchers.spawn(Stage { stop: watchers_stop.clone(), ..stage.clone() }.watch());
    }

    let start = now();
    tokio::time::sleep(CALM).await;
    let mut resizes = Vec::new();
    for number in 1..=arguments.resizes {
        if arguments.leaps {
            walk.leap()
        } else {
            walk.step()
        }
        std::fs::write(&operator.manifest, walk.manifest(&base))?;
        let resize = operator.resize(&walk, &stage).await?;
        if is_loud {
            eprintln!(
                "{:8.1} s  resize {number}: {}, {:.1} s",
                start.elapsed().as_secs_f64(),
                resize.to,
                resize.seconds
            );
        }
        resizes.push(resize);
        // Errors end the run at once, except those that are only found at the end.
        if let Some(ended) = senders.try_join_next() {
            ended??;
            return Err(Failure::failed("a sender ended before it was told to"));
        }
    }
    tokio::time::sleep(CALM).await;
    stage.stop.begin();
    let mut expected = Totals::new();
    while let Some(done) = senders.join_next().await {
        done??.into_iter().for_each(|(counter, total)| *expected.entry(counter).or_default() += total);
    }
    let seconds = start.elapsed().as_secs_f64();
    let endpoints = Endpoints::at(server.url.clone(), None);
    settled(&endpoints).await?;
    tokio::time::sleep(SHOWN).await;
    watchers_stop.begin();
    let mut viewers = Vec::new();
    while let Some(done) = watchers.join_next().await {
        viewers.push(done??);
    }
    let audit = endpoints.audit().await?;
    conclude(resizes, seconds, &stage, &expected, &totals(&endpoints).await?, &audit, &viewers)
}

impl Operator {
    /// Plans and applies the manifest.
    async fn resize(&self, walk: &Walk, stage: &Stage) -> Result<Resize, Failure> {
        let Plan { moves } = self.ask("plan").await?;
        stage.window.begin();
        let begun = now();
        let Applied { audit } = self.ask("apply").await?;
        let seconds = begun.elapsed().as_secs_f64();
        if !audit.balanced {
            return Err(Failure::failed(format!("out of balance with {walk}: {audit:?}")));
        }
        Ok(Resize { to: walk.to_string(), seconds, ack_ms: stage.window.percentiles(), moves })
    }

    async fn ask<T: DeserializeOwned>(&self, command: &str) -> Result<T, Failure> {
        let mut program = tokio::process::Command::new(&self.countree);
        program.arg(command).arg(Path::new(&self.manifest)).args(["--json", "--cluster", &self.url]);
        let output = program.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
            return Err(Failure::failed(format!("countree {command} fails: {said}")));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

async fn totals(endpoints: &Endpoints) -> Result<Totals, Failure> {
    let mut totals = Totals::new();
    for number in 0..TOPICS {
        let Some(view) = endpoints.topic(&topic(number)?).await? else { continue };
        for (item, kinds) in view.counts {
            for (kind, total) in kinds {
                totals.insert(Counter { topic: view.topic.clone(), item: item.clone(), kind }, total);
            }
        }
    }
    Ok(totals)
}

fn conclude(
    resizes: Vec<Resize>,
    seconds: f64,
    stage: &Stage,
    expected: &Totals,
    totals: &Totals,
    audit: &Audit,
    viewers: &[Seen],
) -> Result<Figures, Failure> {
    let (mut lost, mut double, mut complaints) = (0, 0, Vec::new());
    let counters: std::collections::BTreeSet<_> = expected.keys().chain(totals.keys()).collect();
    for counter in counters {
        let of = |totals: &Totals| totals.get(counter).copied().unwrap_or_default();
        let (should, is) = (of(expected), of(totals));
        lost += (should - is).max(0).unsigned_abs();
        double += (is - should).max(0).unsigned_abs();
        if should != is && complaints.len() < EXAMPLES {
            complaints.push(format!("{counter:?} is {is} and should be {should}"));
        }
    }
    let acked = expected.values().sum::<i64>().unsigned_abs();
    if !audit.balanced || audit.total.accepted != acked {
        complaints.push(format!("{acked} events were acked, and the ledger says {:?}", audit.total));
    }
    for (number, seen) in viewers.iter().enumerate() {
        if seen.steps_back > 0 || seen.totals != *totals {
            complaints
                .push(format!("viewer {number} was shown {} steps back, or not the end", seen.steps_back));
        }
    }
    Ok(Figures {
        resizes,
        seconds,
        acked,
        lost,
        double,
        balanced: audit.balanced,
        ack_ms: stage.acks.percentiles(),
        keyed_repeats: stage.repeats.load(Relaxed),
        keyed_refusals: stage.refused.load(Relaxed),
        viewer_updates: viewers.iter().map(|seen| seen.updates).sum(),
        viewer_steps_back: viewers.iter().map(|seen| seen.steps_back).sum(),
        longest_viewer_gap_s: viewers.iter().map(|seen| seen.longest_gap.as_secs_f64()).fold(0.0, f64::max),
        complaints,
    })
}
