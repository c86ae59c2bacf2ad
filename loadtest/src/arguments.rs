//! The command line.

use crate::exact::Allowed;
use crate::plan::{COUNTERS_MAX, Plan};
use clap::{Args, Parser, Subcommand};
use countree_common::limits::REPLICAS_MAX;
use countree_common::shell::failure::Failure;
use std::path::PathBuf;

/// Measures a Countree cluster under load, and checks that every total is exact.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
pub(crate) struct Arguments {
    /// Make the last line of standard output the result as a JSON object, and print nothing else there.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send events from many producers, and measure throughput, server CPU time and ack latency.
    Ingest(IngestArguments),
    /// Kill and pause real processes and their Redis under load, and check event by event that what was acked
    /// is counted once.
    Exact(ExactArguments),
}

/// `loadtest ingest`
#[derive(Debug, Args)]
pub(crate) struct IngestArguments {
    /// How many events are sent in all; each is counted by itself.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1 << 40), value_name = "N")]
    events: u64,
    /// How many counters they go to.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(COUNTERS_MAX)), value_name = "K")]
    keys: u32,
    /// How unevenly: the n-th most popular counter gets a share of 1/n^S. 0 is uniform.
    #[arg(long, default_value_t = 1.0, value_parser = exponent, value_name = "S")]
    zipf: f64,
    /// How many producers send them, each with connections of its own.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_024), value_name = "P")]
    producers: u16,
    /// Events per second of all producers together, each due at its time whether or not earlier ones
    /// were acked. Without it, as fast as the cluster takes them.
    #[arg(long, value_parser = rate, value_name = "R")]
    rate: Option<f64>,
    /// How many topics the counters are spread over [default: one for each counter, at most 100].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "T")]
    topics: Option<u32>,
    /// Where the random numbers start, for the same events again.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write a page with the figures and a plot, which opens without a network.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `loadtest exact`
#[derive(Debug, Args)]
#[command(after_help = "In CI, ten kills in less than 90 s, other faults every time:\n  \
    timeout 90 loadtest exact --kills 10 --seed $GITHUB_RUN_NUMBER --json")]
pub(crate) struct ExactArguments {
    /// End after so many kill -9 of nodes and of Redis.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    pub(crate) kills: u32,
    /// End the faults after so many minutes instead.
    #[arg(long, value_parser = minutes, value_name = "M", conflicts_with = "kills")]
    pub(crate) minutes: Option<f64>,
    /// Where the random numbers start: which fault comes when. What it hits is up to the machine.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Which faults there are.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_values_t = [Allowed::Kill, Allowed::Pause, Allowed::Stop, Allowed::Redis]
    )]
    pub(crate) faults: Vec<Allowed>,
    /// How many leaves.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=32), value_name = "L")]
    pub(crate) leaves: u16,
    /// How many roots.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=32), value_name = "R")]
    pub(crate) roots: u16,
    /// How many broadcast nodes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=32), value_name = "B")]
    pub(crate) broadcasts: u16,
    /// How many producers, over QUIC.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=200), value_name = "P")]
    pub(crate) producers: u16,
    /// How many senders over HTTP, whose requests have an Idempotency-Key.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=50), value_name = "H")]
    pub(crate) http_senders: u16,
    /// How many viewers, each of every topic.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=200), value_name = "V")]
    pub(crate) viewers: u16,
    /// Events per second of all senders together.
    #[arg(long, default_value_t = 1_000.0, value_parser = rate, value_name = "E")]
    pub(crate) rate: f64,
    /// How many topics they go to.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "T")]
    pub(crate) topics: u16,
    /// The countree binary [default: the one next to loadtest].
    #[arg(long, value_name = "PATH")]
    pub(crate) countree: Option<PathBuf>,
    /// Write a page with the figures and a plot, which opens without a network.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
}

/// Which cluster is loaded: one of its own, unless `--cluster` names another.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Where the cluster that is started keeps its data [default: a folder that is deleted afterwards].
    #[arg(long, value_name = "DIR", conflicts_with = "cluster")]
    pub(crate) data: Option<PathBuf>,
    /// The countree binary [default: the one next to loadtest].
    #[arg(long, value_name = "PATH", conflicts_with = "cluster")]
    pub(crate) countree: Option<PathBuf>,
    /// How many leaves the cluster that is started has [default: that of countree up].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(REPLICAS_MAX)), value_name = "N", conflicts_with = "cluster")]
    pub(crate) leaves: Option<u32>,
    /// Load this cluster instead of starting one. Nothing else should send to it meanwhile. Its CPU time
    /// is not known, and the topics loadtest-… stay there.
    #[arg(long, value_name = "URL")]
    pub(crate) cluster: Option<String>,
    /// A token that allows sending, where the cluster asks for one.
    #[arg(long, env = "COUNTREE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

impl IngestArguments {
    /// What is to be sent. `run` sets this run's topics apart from those of others.
    pub(crate) fn plan(&self, run: u32) -> Result<Plan, Failure> {
        let topics = self.topics.unwrap_or(self.keys.min(100));
        if topics > self.keys {
            let keys = self.keys;
            return Err(Failure::wrong(format!(
                "--topics {topics} is more than --keys {keys}: every topic needs a counter"
            )));
        }
        Ok(Plan {
            events: self.events,
            keys: self.keys,
            topics,
            exponent: self.zipf,
            producers: self.producers,
            rate: self.rate,
            seed: self.seed,
            prefix: format!("loadtest-{run:08x}"),
        })
    }
}

fn exponent(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|s| (0.0..=10.0).contains(s));
    number.ok_or_else(|| "it takes a number from 0 (uniform) to 10".into())
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|r| (0.001..=1e9).contains(r));
    number.ok_or_else(|| "it takes events per second, from 0.001 to 1000000000".into())
}

fn minutes(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|m| (0.01..=1_440.0).contains(m));
    number.ok_or_else(|| "it takes minutes, from 0.01 to 1440".into())
}
