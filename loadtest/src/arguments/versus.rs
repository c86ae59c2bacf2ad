//! `loadtest versus` on the command line.

use super::fanout::{hertz, seconds};
use super::ingest::Spread;
use super::target::Store;
use super::value::exponent;
use crate::load::plan::COUNTERS_MAX;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What Countree is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rival {
    /// redis-server: INCR and HINCRBY; AOF off, everysec and always
    Redis,
    /// nats-server: published messages, counted by a subscriber; with --viewers, fan-out
    Nats,
    /// nginx with nchan, over WebSocket: fan-out
    Nchan,
    /// mosquitto, over MQTT: fan-out
    Mosquitto,
}

impl Rival {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Nats => "nats",
            Self::Nchan => "nchan",
            Self::Mosquitto => "mosquitto",
        }
    }
}

/// `loadtest versus`
#[derive(Debug, Args)]
#[command(
    after_help = "Both sides do the same work in one run, in turns, each server in processes of its own whose CPU \
    time is read from /proc. Every event is a message of its own to the counter, and all totals are checked. What is \
    not installed is skipped."
)]
pub(crate) struct VersusArguments {
    /// What Countree is compared with.
    #[arg(value_enum)]
    pub(crate) rival: Rival,
    /// Events of each rival in a round. Countree, whose rounds would be over too soon, is sent five times as many.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..=1 << 32), value_name = "N")]
    pub(crate) events: u64,
    /// Rounds of each side; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99), value_name = "R")]
    pub(crate) rounds: u32,
    /// How many counters the events go to.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(COUNTERS_MAX)), value_name = "K")]
    keys: u32,
    /// How unevenly: the n-th most popular counter gets a share of 1/n^S. 0 is uniform.
    #[arg(long, default_value_t = 1.1, value_parser = exponent, value_name = "S")]
    zipf: f64,
    /// Connections that load each side.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1_024), value_name = "P")]
    pub(crate) producers: u16,
    /// One event per message on both sides, each waiting for its answer, and 64 connections: no batching
    /// and no pipeline to hide behind. Against Redis with AOF always.
    #[arg(long)]
    pub(crate) single: bool,
    /// Fan-out: how many viewers watch one counter [default: 1000, for rivals that only show].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20_000), value_name = "N")]
    pub(crate) viewers: Option<u32>,
    /// Fan-out: how often a second it changes.
    #[arg(long, default_value_t = 20.0, value_parser = hertz, value_name = "HZ")]
    pub(crate) rate: f64,
    /// Fan-out: for how long each round.
    #[arg(long, default_value_t = 5.0, value_parser = seconds, value_name = "T")]
    pub(crate) seconds: f64,
    /// Where Countree keeps its totals.
    #[arg(long, value_enum, default_value_t, value_name = "STORE")]
    pub(crate) store: Store,
    /// Where the random numbers start, for the same events again.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The countree binary [default: the one next to loadtest].
    #[arg(long, value_name = "PATH")]
    pub(crate) countree: Option<PathBuf>,
    /// Write a page with the figures and a plot, which opens without a network.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
}

impl VersusArguments {
    /// Which counters events go to.
    pub(crate) fn spread(&self) -> Spread {
        Spread { keys: self.keys, zipf: self.zipf, topics: None, seed: self.seed }
    }
}
