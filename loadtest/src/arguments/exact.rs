//! `loadtest exact` on the command line.

use super::value::{duration, minutes, rate};
use crate::exact::Allowed;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

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
    /// How long leaves keep what a store may forget; what an older copy of the store lacks beyond it is declared lost.
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(crate) retention: Option<Duration>,
    /// The countree binary [default: the one next to loadtest].
    #[arg(long, value_name = "PATH")]
    pub(crate) countree: Option<PathBuf>,
    /// Write a page with the figures and a plot, which opens without a network.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
}
