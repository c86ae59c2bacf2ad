//! Runs `loadtest exact`: kills and pauses real processes at random moments under load, and checks that every
//! acked event was counted once.

mod clients;
mod events;
mod faults;
mod result;
mod run;

use crate::arguments::{Allowed, ExactArguments};
use crate::clock::now;
use crate::cluster::fleet::{self, Fleet, Settings, Tiers};
use crate::cluster::process::{Act, ProcessKind};
use crate::cluster::redis::Fsync;
use crate::cluster::server;
use clients::http::HttpSender;
use clients::quic::QuicSender;
use clients::viewers::Shown;
use countree_common::ledger::Ledger;
use countree_common::shell::failure::Failure;
use countree_common::shell::overview::Audit;
use events::catalogue::EventCatalogue;
use events::verdict::{Group, Verdict};
use faults::disk_loss::DiskLoss;
use faults::schedule::{FaultSchedule, Limit};
use result::outcome::{Measured, Outcome};
use result::{report, settle};
use run::{Entry, Run};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// A cluster that has not come up after this long won't.
const START: Duration = Duration::from_secs(60);
/// Time for everything to be acked after the last fault, and then again to be merged and shown.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Load before the first fault and after the last.
const CALM: Duration = Duration::from_secs(1);
/// The interval of checks for due faults.
const STEP: Duration = Duration::from_millis(20);

/// Runs, prints, and fails on any difference.
pub(crate) async fn run(arguments: ExactArguments, json: bool) -> Result<(), Failure> {
    let kills =
        [Allowed::Kill, Allowed::Redis, Allowed::Away, Allowed::Forget, Allowed::Restore, Allowed::Disk];
    if arguments.minutes.is_none() && !arguments.faults.iter().any(|fault| kills.contains(fault)) {
        return Err(Failure::usage(
            "--faults without kill, redis, away, forget, restore or disk never comes to --kills: say --minutes",
        ));
    }
    let folder = tempfile::Builder::new().prefix("countree-exact-").tempdir()?;
    let outcome = measure(&arguments, folder.path(), json).await?;
    if let Some(path) = &arguments.report {
        std::fs::write(path, report::page(&outcome))
            .map_err(|e| Failure::failed(format!("{}: {e}", path.display())))?;
    }
    println!("{}", if json { serde_json::to_string(&outcome.figures)? } else { outcome.figures.table() });
    match outcome.figures.complaints.first() {
        None => Ok(()),
        Some(first) => {
            let kept = folder.keep();
            // It is large, and a copy.
            std::fs::remove_file(kept.join(fleet::BINARY))?;
            std::fs::write(kept.join("faults.log"), outcome.journal())?;
            std::fs::write(kept.join("requests.log"), outcome.tries.join("\n"))?;
            let kept = kept.display();
            Err(Failure::failed(format!("not exact: {first}; the nodes' logs and data are in {kept}")))
        }
    }
}

async fn measure(arguments: &ExactArguments, folder: &Path, json: bool) -> Result<Outcome, Failure> {
    let tiers = Tiers { leaves: arguments.leaves, roots: arguments.roots, broadcasts: arguments.broadcasts };
    let countree = server::binary(arguments.countree.as_deref())?;
    let settings =
        Settings { redis: Some(Fsync::Always), retention: arguments.retention, ..Settings::default() };
    let mut fleet = Fleet::new(folder, &countree, tiers, settings)?;
    fleet.start(START).await?;
    let catalogue = EventCatalogue::new("exact", arguments.topics)?;
    let rate = arguments.rate / f64::from(arguments.producers + arguments.http_senders);
    let run = Arc::new(Run::new(catalogue, rate, TIMEOUT, &arguments.faults, !json)?);

    let leaves = fleet.urls(ProcessKind::Leaf);
    let (viewers, watching) = watch_all(&run, arguments.viewers, &leaves);
    let mut senders = send_all(&run, arguments, &leaves).await?;
    let auditor = {
        let run = run.clone();
        async move { settle::audit_throughout(&run, leaves).await }
    };
    let schedule = tokio::select! {
        schedule = rage(&run, &mut fleet, arguments) => schedule?,
        () = auditor => return Err(Failure::failed("the cluster has no leaf")),
    };

    let over = now();
    run.load_over.begin();
    run.acks.end(over);
    let mut groups: Vec<Group> = Vec::new();
    while let Some(done) = senders.join_next().await {
        groups.extend(done??);
    }
    let acked = now();
    groups.sort_by_key(|group| (group.sender, group.indices.start));
    let (measured, verdict) = conclude(&run, &mut fleet, groups, &viewers, over, acked).await?;
    drop(watching);
    Ok(Outcome::new(arguments, &run, &schedule, verdict, measured))
}

/// Waits until everything is merged, and compares the totals and the viewers with the acked events.
async fn conclude(
    run: &Run,
    fleet: &mut Fleet,
    groups: Vec<Group>,
    viewers: &[Shown],
    over: Instant,
    acked: Instant,
) -> Result<(Measured, Verdict), Failure> {
    let deadline = now() + run.timeout;
    settle::ready(run, fleet, deadline).await;
    let ready = now();
    settle::give_up_lost_disks(run, fleet).await;
    let audit = settle::merged(run, fleet, now(), deadline).await;
    let merged = now();
    let totals = settle::totals(run, fleet, deadline + run.timeout).await;
    settle::viewers_agree(run, viewers, &totals, now() + run.timeout).await;
    let seen = now();
    for process in &mut fleet.processes {
        if process.has_ended()? {
            run.complain(format!(
                "{} has ended by itself after the faults: {}",
                process.name,
                process.last_words()
            ));
        }
    }
    for panic in fleet.panics() {
        run.complain(panic);
    }
    let counters = totals.len();
    let verdict = Verdict::new(&run.catalogue, &groups, totals)?;
    verdict.examples.iter().for_each(|example| run.complain(example.clone()));
    let ledger = check_ledger(run, audit.as_ref(), verdict.counted);
    let at_stake = run.counts.at_stake.load(Relaxed);
    if verdict.lost > ledger.declared_lost + at_stake {
        verdict.missing.iter().for_each(|missing| run.complain(missing.clone()));
    }
    for (number, shown) in viewers.iter().enumerate() {
        let (times, steps) = shown.steps_back();
        if times > 0 {
            run.complain(format!("viewer {number} was shown {times} steps back: {}", steps.join("; ")));
        }
    }
    let since = |at: Instant| at.saturating_duration_since(over);
    let measured = Measured {
        faults_over: over.saturating_duration_since(run.start),
        acked: since(acked),
        ready: since(ready),
        merged: since(merged),
        seen: since(seen),
        counters,
        ledger,
        at_stake,
        viewer_updates: viewers.iter().map(Shown::updates).sum(),
        steps_back: viewers.iter().map(|shown| shown.steps_back().0).sum(),
    };
    Ok((measured, verdict))
}

/// Checks that the ledger has as many events as the totals, and returns it.
fn check_ledger(run: &Run, audit: Option<&Audit>, counted: u64) -> Ledger {
    let Some(audit) = audit else { return Ledger::default() };
    let spoken = audit.total.accepted - audit.total.declared_lost;
    if spoken != counted {
        let streams = audit.streams.iter().map(|s| format!("{} {}", s.stream, s.ledger.accepted));
        let streams = streams.collect::<Vec<_>>().join(", ");
        run.complain(format!("the ledger speaks of {spoken} events and the totals of {counted}: {streams}"));
    }
    audit.total
}

fn watch_all(run: &Arc<Run>, count: u16, leaves: &[String]) -> (Vec<Shown>, JoinSet<Result<(), Failure>>) {
    let (mut viewers, mut watching) = (Vec::new(), JoinSet::new());
    for (number, url) in (0..count).zip(leaves.iter().cycle()) {
        let shown = Shown::default();
        watching.spawn(clients::viewers::watch(run.clone(), number, url.clone(), shown.clone()));
        viewers.push(shown);
    }
    (viewers, watching)
}

async fn send_all(
    run: &Arc<Run>,
    arguments: &ExactArguments,
    leaves: &[String],
) -> Result<JoinSet<Result<Vec<Group>, Failure>>, Failure> {
    let mut senders = JoinSet::new();
    let producers = arguments.producers;
    for (number, url) in (0..producers).zip(leaves.iter().cycle()) {
        let sender = QuicSender::connect(run.clone(), number, url).await?;
        senders.spawn(sender.work());
    }
    for number in producers..producers + arguments.http_senders {
        let poster = HttpSender { run: run.clone(), number, leaves: leaves.to_vec() };
        senders.spawn(poster.work());
    }
    Ok(senders)
}

/// Carries the schedule's commands out until it is over and every process is up and ready.
async fn rage(run: &Run, fleet: &mut Fleet, arguments: &ExactArguments) -> Result<FaultSchedule, Failure> {
    tokio::time::sleep(CALM).await;
    let limit = match arguments.minutes {
        Some(minutes) => Limit::Until(run.time() + Duration::from_secs_f64(60.0 * minutes)),
        None => Limit::Kills(arguments.kills),
    };
    let kinds: Vec<_> = fleet.processes.iter().map(|process| process.kind).collect();
    let mut schedule = FaultSchedule::new(arguments.seed, arguments.faults.clone(), limit, kinds, run.time());
    while !schedule.is_over(run.time()) {
        for (number, process) in fleet.processes.iter_mut().enumerate() {
            if process.has_ended()? && !schedule.handle_exit(number, run.time()) {
                run.remark(format!("{} has ended by itself: {}", process.name, process.last_words()));
            }
        }
        for command in schedule.handle_time(run.time()) {
            let Some(process) = fleet.processes.get_mut(command.process) else { continue };
            let loss = match (&process.url, command.act) {
                (Some(url), Act::KillAndLose | Act::KillAndRestore) => Some(DiskLoss::of(run, url).await),
                _ => None,
            };
            process.act(command.act)?;
            let entry = Entry { after: run.after(), name: process.name.clone(), act: command.act };
            run.say(&format!("{} {:?} ({} kills)", entry.name, entry.act, schedule.kills()));
            run.journal.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
            if let Some(loss) = loss {
                loss.note(run).await;
            }
        }
        tokio::time::sleep(STEP).await;
    }
    run.say("the faults are over");
    Ok(schedule)
}
