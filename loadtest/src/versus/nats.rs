//! Runs `versus nats`: every event is a message, counted by one subscriber of all of them.

use super::broker::Broker;
use super::contender::{Row, Turn};
use super::counting::{Comparison, Ratio};
use super::ours::Ours;
use crate::arguments::VersusArguments;
use crate::clock::now;
use crate::cluster::usage::between;
use crate::load::exactness::Expected;
use crate::load::plan::Plan;
use crate::load::zipf::Zipf;
use countree_common::shell::failure::Failure;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinSet;

const HELLO: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"-\",\"version\":\"1\"}\r\n";
/// Messages that are published at once.
const BURST: usize = 500;
/// Publishers are at most this many messages ahead of the subscriber: the server cuts off one that lags too far.
const AHEAD: u64 = 200_000;
const PAUSE: Duration = Duration::from_micros(200);
const TIMEOUT: Duration = Duration::from_secs(30);
const NAME: &str = "NATS publish, one subscriber that counts";

/// Measures both contenders in turns.
///
/// # Errors
/// When a server fails; a difference in totals is in the result instead.
pub(super) async fn compare(arguments: &VersusArguments, is_loud: bool) -> Result<Comparison, Failure> {
    let folder = tempfile::Builder::new().prefix("countree-versus-").tempdir()?;
    let broker = Broker::start(arguments.rival, folder.path()).await?;
    let plan = arguments.spread().plan(0, arguments.events, arguments.producers, None)?;
    let zipf = Arc::new(Zipf::new(plan.keys, plan.exponent));
    let mut ours = Ours::start(arguments, arguments.producers).await?;
    let (mut turns, mut wrong) = (Vec::new(), 0);
    for round in 0..=arguments.rounds {
        if is_loud {
            eprintln!("round {round} of {}", arguments.rounds);
        }
        ours.turn(round).await?;
        if let Some(broker) = &broker {
            let plan = Arc::new(Plan { seed: plan.seed + (u64::from(round) << 32), ..plan.clone() });
            let (turn, differences) = turn(broker, &plan, &zipf).await?;
            turns.push(turn);
            wrong += differences;
        }
    }
    ours.forget_first();
    turns.drain(..turns.len().min(1));
    let mut complaint = ours.complaint().await?;
    let mut rows = ours.rows(complaint.is_none());
    let mut ratios = Vec::new();
    if broker.is_some() {
        rows.push(Row::of(NAME, "nats-server", "never", &turns, |t| Some(t.per_core()), Some(wrong == 0)));
        ratios.push(Ratio::of(NAME, ours.turns(), &turns));
        if wrong > 0 {
            complaint.get_or_insert(format!("NATS: {wrong} counters are not exact"));
        }
    } else {
        rows.push(Row::skipped("NATS", "there is no nats-server on this machine"));
    }
    let headline = ratios.first().cloned();
    Ok(Comparison::new("nats", arguments, ours.plan(), headline, ratios, rows, complaint))
}

/// Publishes the whole plan; also says how many counters the subscriber has another total of.
async fn turn(broker: &Broker, plan: &Arc<Plan>, zipf: &Arc<Zipf>) -> Result<(Turn, u64), Failure> {
    let (port, counted) = (broker.port, Arc::new(AtomicU64::new(0)));
    let subscriber = open(port, b"SUB c.* 1\r\nPING\r\n")?;
    let (before, start) = (broker.seconds()?, now());
    let counting = {
        let (counted, plan) = (counted.clone(), plan.clone());
        tokio::task::spawn_blocking(move || count(subscriber, &plan, &counted))
    };
    let mut publishing = JoinSet::new();
    for producer in 0..plan.producers {
        let (plan, zipf, counted) = (plan.clone(), zipf.clone(), counted.clone());
        let stream = open(port, b"PING\r\n")?;
        publishing.spawn_blocking(move || publish(stream, &plan, &zipf, producer, &counted));
    }
    while let Some(done) = publishing.join_next().await {
        done??;
    }
    let totals = counting.await??;
    let elapsed_s = start.elapsed().as_secs_f64();
    let core_s = between(before, broker.seconds()?);
    let mut expected = Expected::new(plan);
    expected.add(plan, zipf);
    let wrong = totals.iter().zip(&expected.totals).filter(|(a, b)| a != b).count() as u64;
    Ok((Turn { events: plan.events, elapsed_s, core_s, leaf_core_s: None }, wrong))
}

/// Opens a connection, and waits until the server has processed these commands.
fn open(port: u16, order: &[u8]) -> Result<BufReader<TcpStream>, Failure> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    (&stream).write_all(&[HELLO, order].concat())?;
    let mut reader = BufReader::with_capacity(256 << 10, stream);
    let mut line = String::new();
    while !line.starts_with("PONG") {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line.starts_with("-ERR") {
            return Err(Failure::failed(format!("nats-server says {line:?}")));
        }
    }
    Ok(reader)
}

/// Counts until every event of the plan has arrived.
fn count(mut reader: BufReader<TcpStream>, plan: &Plan, counted: &AtomicU64) -> Result<Vec<u64>, Failure> {
    let mut totals = vec![0; plan.keys as usize];
    let (mut line, mut body) = (String::new(), [0; 3]);
    for _ in 0..plan.events {
        line.clear();
        reader.read_line(&mut line)?;
        let key = line.strip_prefix("MSG c.").and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
        let Some(total) = key.and_then(|key| totals.get_mut(key)) else {
            return Err(Failure::failed(format!("nats-server says {line:?}")));
        };
        *total += 1;
        reader.read_exact(&mut body)?;
        counted.fetch_add(1, Relaxed);
    }
    Ok(totals)
}

fn publish(
    reader: BufReader<TcpStream>,
    plan: &Plan,
    zipf: &Zipf,
    producer: u16,
    counted: &AtomicU64,
) -> Result<(), Failure> {
    let mut stream = reader.into_inner();
    let (mut draws, mut out, mut sent) = (plan.draws(zipf, producer), Vec::new(), 0u64);
    loop {
        out.clear();
        let before = sent;
        for key in draws.by_ref().take(BURST) {
            // Writing to a vector does not fail.
            let _ = write!(out, "PUB c.{key} 1\r\n1\r\n");
            sent += 1;
        }
        if sent == before {
            return Ok(());
        }
        while sent * u64::from(plan.producers) > counted.load(Relaxed) + AHEAD {
            std::thread::sleep(PAUSE);
        }
        stream.write_all(&out)?;
    }
}
