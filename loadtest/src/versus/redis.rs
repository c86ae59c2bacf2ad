//! Runs `versus redis`: INCR and HINCRBY, as people count in Redis today.

use super::contender::{Row, Turn};
use super::counting::{Comparison, Ratio};
use super::ours::Ours;
use super::resp::Connection;
use crate::arguments::VersusArguments;
use crate::clock::now;
use crate::cluster::layout::Ports;
use crate::cluster::process::{Act, ServerProcess};
use crate::cluster::redis::{self, Fsync};
use crate::cluster::usage;
use crate::load::exactness::Expected;
use crate::load::plan::Plan;
use crate::load::zipf::Zipf;
use countree_common::shell::failure::Failure;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const BENCHMARK: &str = "redis-benchmark";
/// Pipelines that are tried; the best one is compared with.
const PIPELINES: [usize; 4] = [100, 200, 500, 1_000];
/// Events of each trial.
const TRIAL_EVENTS: u64 = 400_000;
/// Keys that are read at once.
const READ_AT_ONCE: u32 = 1_000;
/// A server that does not answer after this long won't.
const START: Duration = Duration::from_secs(20);
const START_POLL: Duration = Duration::from_millis(20);

/// The Redis commands that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    /// A key for each counter.
    Incr,
    /// A hash for each topic, with a field for each counter.
    Hincrby,
    /// redis-benchmark's own INCR, which can't draw by Zipf's law: uniform keys.
    Benchmark,
}

/// One way of counting, on a server of its own, and its rounds so far.
struct Contender {
    name: String,
    verb: Verb,
    fsync: Fsync,
    pipeline: usize,
    port: u16,
    process: ServerProcess,
    expected: Expected,
    turns: Vec<Turn>,
}

/// Measures both contenders in turns.
///
/// # Errors
/// When a server fails; a difference in totals is in the result instead.
pub(super) async fn compare(arguments: &VersusArguments, is_loud: bool) -> Result<Comparison, Failure> {
    let folder = tempfile::Builder::new().prefix("countree-versus-").tempdir()?;
    let producers = if arguments.single { SINGLE_CONNECTIONS } else { arguments.producers };
    let plan = arguments.spread().plan(0, arguments.events, producers, None)?;
    let zipf = Arc::new(Zipf::new(plan.keys, plan.exponent));
    let mut rivals = match redis::is_installed()? {
        true => contenders(arguments.single, folder.path(), &plan)?,
        false => Vec::new(),
    };
    for rival in &mut rivals {
        rival.start().await?;
    }
    if !arguments.single {
        choose_pipeline(&mut rivals, &plan, &zipf).await?;
    }
    let mut ours = Ours::start(arguments, producers).await?;
    // The first round is not measured: every counter exists with both contenders from then on, and connections are up.
    for round in 0..=arguments.rounds {
        let say = |what: &str| is_loud.then(|| eprintln!("round {round} of {}: {what}", arguments.rounds));
        say("countree");
        ours.turn(round).await?;
        let plan = Arc::new(Plan { seed: plan.seed + (u64::from(round) << 32), ..plan.clone() });
        for rival in &mut rivals {
            say(&rival.name);
            rival.turn(&plan, &zipf).await?;
        }
    }
    ours.forget_first();
    for rival in &mut rivals {
        rival.turns.drain(..1);
    }
    conclude(arguments, ours, rivals).await
}

/// Connections of `--durable`: all wait for the same fsync.
const SINGLE_CONNECTIONS: u16 = 64;

fn contenders(single: bool, folder: &Path, plan: &Plan) -> Result<Vec<Contender>, Failure> {
    let all: &[(&str, Verb, Fsync)] = if single {
        &[("Redis INCR, AOF always, pipeline 1", Verb::Incr, Fsync::Always)]
    } else {
        &[
            ("Redis INCR, AOF off", Verb::Incr, Fsync::Off),
            ("Redis HINCRBY, AOF off", Verb::Hincrby, Fsync::Off),
            ("Redis INCR, AOF everysec", Verb::Incr, Fsync::Everysec),
            ("Redis INCR, AOF always", Verb::Incr, Fsync::Always),
            ("redis-benchmark INCR, uniform keys, AOF off", Verb::Benchmark, Fsync::Off),
        ]
    };
    let mut ports = Ports::default();
    let contender = |(number, &(name, verb, fsync)): (usize, &(&str, Verb, Fsync))| {
        let port = ports.next()?;
        let process = redis::server(&format!("redis-{number}"), folder, port, fsync)?;
        let (expected, turns) = (Expected::new(plan), Vec::new());
        Ok(Contender { name: name.into(), verb, fsync, pipeline: 1, port, process, expected, turns })
    };
    all.iter().enumerate().map(contender).collect()
}

/// Tries pipelines on the first contender; all then use the one that came out best.
async fn choose_pipeline(rivals: &mut [Contender], plan: &Plan, zipf: &Arc<Zipf>) -> Result<(), Failure> {
    let plan = Arc::new(Plan { events: TRIAL_EVENTS.min(plan.events), seed: plan.seed ^ 1, ..plan.clone() });
    let mut best = (0.0, 1);
    if let Some(first) = rivals.first_mut() {
        for pipeline in PIPELINES {
            first.pipeline = pipeline;
            first.turn(&plan, zipf).await?;
            let rate = first.turns.pop().map_or(0.0, |turn| turn.per_core());
            best = if rate > best.0 { (rate, pipeline) } else { best };
        }
    }
    for rival in rivals {
        rival.pipeline = best.1;
        rival.name = format!("{}, pipeline {}", rival.name, best.1);
    }
    Ok(())
}

impl Contender {
    async fn start(&mut self) -> Result<(), Failure> {
        self.process.act(Act::Start)?;
        let deadline = now() + START;
        while Connection::open(self.port).is_err() {
            if now() > deadline {
                return Err(Failure::failed(format!("redis-server says {}", self.process.last_words())));
            }
            tokio::time::sleep(START_POLL).await;
        }
        Ok(())
    }

    /// Sends the whole plan once.
    async fn turn(&mut self, plan: &Arc<Plan>, zipf: &Arc<Zipf>) -> Result<(), Failure> {
        let process = self.process.id().unwrap_or_default().to_string();
        let (before, start) = (usage::seconds(&process)?, now());
        match self.verb {
            Verb::Benchmark => self.benchmark(plan).await?,
            _ => self.send(plan, zipf).await?,
        }
        let elapsed_s = start.elapsed().as_secs_f64();
        let core_s = usage::between(before, usage::seconds(&process)?);
        self.turns.push(Turn { events: plan.events, elapsed_s, core_s, leaf_core_s: None });
        if self.verb != Verb::Benchmark {
            self.expected.add(plan, zipf);
        }
        Ok(())
    }

    async fn send(&self, plan: &Arc<Plan>, zipf: &Arc<Zipf>) -> Result<(), Failure> {
        let mut threads = JoinSet::new();
        for producer in 0..plan.producers {
            let (plan, zipf, verb, pipeline) = (plan.clone(), zipf.clone(), self.verb, self.pipeline);
            let connection = Connection::open(self.port)?;
            threads.spawn_blocking(move || produce(connection, verb, pipeline, &plan, &zipf, producer));
        }
        while let Some(done) = threads.join_next().await {
            done??;
        }
        Ok(())
    }

    async fn benchmark(&self, plan: &Plan) -> Result<(), Failure> {
        let numbers = [u64::from(self.port), u64::from(plan.keys), plan.events, self.pipeline as u64];
        let [port, keys, events, pipeline] = numbers.map(|number| number.to_string());
        let mut command = Command::new(BENCHMARK);
        command.args(["-p", &port, "-t", "incr", "-r", &keys, "-n", &events, "-P", &pipeline, "-q"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = tokio::task::spawn_blocking(move || command.status()).await??;
        if status.success() { Ok(()) } else { Err(Failure::failed(format!("{BENCHMARK} fails: {status}"))) }
    }

    /// The number of counters with a wrong total. `None` where it can't be known.
    fn differences(&self, plan: &Plan) -> Result<Option<u64>, Failure> {
        let expected = |key: u32| self.expected.totals.get(key as usize).copied().unwrap_or(0);
        let mut connection = Connection::open(self.port)?;
        let mut wrong = 0;
        match self.verb {
            Verb::Benchmark => return Ok(None),
            Verb::Incr => {
                for first in (0..plan.keys).step_by(READ_AT_ONCE as usize) {
                    let keys = first..plan.keys.min(first + READ_AT_ONCE);
                    keys.clone().for_each(|key| connection.push(&[b"GET", name(key).as_bytes()]));
                    for (key, answer) in keys.clone().zip(connection.read(keys.len())?) {
                        let total =
                            answer.into_iter().next().flatten().map_or(Ok(0), |t| t.parse::<u64>())?;
                        wrong += u64::from(total != expected(key));
                    }
                }
            }
            Verb::Hincrby => {
                for topic in 0..plan.topics {
                    connection.push(&[b"HGETALL", format!("topic-{topic}").as_bytes()]);
                    let fields: Vec<String> = connection.read(1)?.into_iter().flatten().flatten().collect();
                    let mut found = 0;
                    for pair in fields.chunks_exact(2) {
                        let [item, total] = pair else { continue };
                        let key = item.trim_start_matches("item-").parse::<u32>()?;
                        wrong += u64::from(total.parse::<u64>()? != expected(key));
                        found += 1;
                    }
                    let of_topic = (topic..plan.keys).step_by(plan.topics as usize);
                    wrong += of_topic.filter(|key| expected(*key) > 0).count().abs_diff(found) as u64;
                }
            }
        }
        Ok(Some(wrong))
    }
}

/// A key of the form that redis-benchmark uses.
fn name(key: u32) -> String {
    format!("key:{key:012}")
}

fn produce(
    mut connection: Connection,
    verb: Verb,
    pipeline: usize,
    plan: &Plan,
    zipf: &Zipf,
    producer: u16,
) -> Result<(), Failure> {
    let mut draws = plan.draws(zipf, producer);
    loop {
        let mut commands = 0;
        for key in draws.by_ref().take(pipeline) {
            match verb {
                Verb::Hincrby => {
                    let (topic, item) = (format!("topic-{}", key % plan.topics), format!("item-{key}"));
                    connection.push(&[b"HINCRBY", topic.as_bytes(), item.as_bytes(), b"1"]);
                }
                _ => connection.push(&[b"INCR", name(key).as_bytes()]),
            }
            commands += 1;
        }
        if commands == 0 {
            return Ok(());
        }
        connection.flush(commands)?;
    }
}

/// Prints the result, and fails when a total is wrong.
async fn conclude(
    arguments: &VersusArguments,
    ours: Ours,
    rivals: Vec<Contender>,
) -> Result<Comparison, Failure> {
    let plan = ours.plan();
    let mut complaint = ours.complaint().await?;
    let mut rows = ours.rows(complaint.is_none());
    let mut ratios = Vec::new();
    for rival in &rivals {
        let wrong = rival.differences(plan)?;
        if let Some(wrong) = wrong.filter(|wrong| *wrong > 0) {
            complaint.get_or_insert(format!("{}: {wrong} counters are not exact", rival.name));
        }
        let durable = match rival.fsync {
            Fsync::Off => "never",
            Fsync::Everysec => "a second later",
            Fsync::Always => "on answer",
        };
        let (turns, exact) = (&rival.turns, wrong.map(|wrong| wrong == 0));
        rows.push(Row::of(&rival.name, "redis-server", durable, turns, |t| Some(t.per_core()), exact));
        ratios.push(Ratio::of(&rival.name, ours.turns(), turns));
    }
    if rivals.is_empty() {
        rows.push(Row::skipped("Redis", "there is no redis-server on this machine"));
    }
    // The best INCR: the fastest per core-second of those that are driven with the same keys.
    let rate = |row: &&Row| row.events_per_core_s.map_or(0.0, |spread| spread.median);
    let incr = rows.iter().filter(|row| row.contender.starts_with("Redis INCR"));
    let best = incr.max_by(|a, b| rate(a).total_cmp(&rate(b))).map(|row| row.contender.clone());
    let headline = ratios.iter().find(|ratio| Some(&ratio.over) == best.as_ref()).cloned();
    Ok(Comparison::new("redis", arguments, plan, headline, ratios, rows, complaint))
}
