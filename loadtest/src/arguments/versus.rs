//! Arguments of `loadtest versus`.

use super::fanout::{hertz, seconds};
use super::ingest::Spread;
use super::target::Store;
use super::value::exponent;
use crate::load::plan::COUNTERS_MAX;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The contender to compare Countree with.
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
    /// Its name.
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
    after_help = "Both contenders do the same work in one run, in turns, each server in processes of its own whose CPU \
    time is read from /proc. Every event is a message of its own to the counter, and all totals are checked. What is \
    not installed is skipped."
)]
pub(crate) struct VersusArguments {
    /// The contender to compare Countree with.
    #[arg(value_enum)]
    pub(crate) rival: Rival,
    /// Events of each rival in a round. Countree is sent five times as many, since its rounds would be over too soon.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..=1 << 32), value_name = "N")]
    pub(crate) events: u64,
    /// Rounds of each contender; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99), value_name = "R")]
    pub(crate) rounds: u32,
    /// Number of counters that the events go to.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(COUNTERS_MAX)), value_name = "K")]
    keys: u32,
    /// The exponent of Zipf's law: the n-th most popular counter gets a share of 1/n^S. 0 is uniform.
    #[arg(long, default_value_t = 1.1, value_parser = exponent, value_name = "S")]
    zipf: f64,
    /// Connections to each contender.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1_024), value_name = "P")]
    pub(crate) producers: u16,
    /// One event per message for both contenders, each waiting for its answer, and 64 connections: no batching
    /// and no pipeline to hide behind. Against Redis with AOF always.
    #[arg(long)]
    pub(crate) single: bool,
    /// Fan-out: number of viewers that watch one counter [default: 1000, for contenders that only show].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20_000), value_name = "N")]
    pub(crate) viewers: Option<u32>,
    /// Fan-out: changes per second.
    #[arg(long, default_value_t = 20.0, value_parser = hertz, value_name = "HZ")]
    pub(crate) rate: f64,
    /// Fan-out: length of each round.
    #[arg(long, default_value_t = 5.0, value_parser = seconds, value_name = "T")]
    pub(crate) seconds: f64,
    /// The store of Countree's totals.
    #[arg(long, value_enum, default_value_t, value_name = "STORE")]
    pub(crate) store: Store,
    /// The seed of the random numbers: the same seed makes the same events.
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
    /// The counters that events go to, and their shares.
    pub(crate) fn spread(&self) -> Spread {
        Spread { keys: self.keys, zipf: self.zipf, topics: None, seed: self.seed }
    }
}
