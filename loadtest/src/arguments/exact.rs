//! Arguments of `loadtest exact`.

use super::value::{duration, minutes, rate};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// `loadtest exact`
#[derive(Debug, Args)]
#[command(after_help = "In CI, ten kills in less than 90 s, other faults every time:\n  \
    timeout 90 loadtest exact --kills 10 --seed $GITHUB_RUN_NUMBER --json")]
pub(crate) struct ExactArguments {
    /// End after this many kill -9 of nodes and of Redis.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    pub(crate) kills: u32,
    /// End the faults after this many minutes instead.
    #[arg(long, value_parser = minutes, value_name = "M", conflicts_with = "kills")]
    pub(crate) minutes: Option<f64>,
    /// The seed of the random numbers, which decide the faults and their times. Their effects depend on the machine.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The kinds of faults.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_values_t = [Allowed::Kill, Allowed::Pause, Allowed::Stop, Allowed::Redis]
    )]
    pub(crate) faults: Vec<Allowed>,
    /// Number of leaves.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=32), value_name = "L")]
    pub(crate) leaves: u16,
    /// Number of roots.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=32), value_name = "R")]
    pub(crate) roots: u16,
    /// Number of broadcast nodes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=32), value_name = "B")]
    pub(crate) broadcasts: u16,
    /// Number of producers over QUIC.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=200), value_name = "P")]
    pub(crate) producers: u16,
    /// Number of senders over HTTP, whose requests have an Idempotency-Key.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=50), value_name = "H")]
    pub(crate) http_senders: u16,
    /// Number of viewers, each of every topic.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=200), value_name = "V")]
    pub(crate) viewers: u16,
    /// Events per second of all senders together.
    #[arg(long, default_value_t = 1_000.0, value_parser = rate, value_name = "E")]
    pub(crate) rate: f64,
    /// Number of topics that the events go to.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "T")]
    pub(crate) topics: u16,
    /// The time that leaves keep merged events in their logs. Events that an older copy of the store lacks, and that
    /// logs no longer hold, are declared lost.
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(crate) retention: Option<Duration>,
    /// The countree binary [default: the one next to loadtest].
    #[arg(long, value_name = "PATH")]
    pub(crate) countree: Option<PathBuf>,
    /// Write a page with the figures and a plot, which opens without a network.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
}

/// The kinds of faults, as the command line names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Allowed {
    /// kill -9 of nodes, and a restart
    Kill,
    /// SIGSTOP of nodes, and SIGCONT
    Pause,
    /// SIGTERM of nodes, which drain, and a restart
    Stop,
    /// kill -9 and SIGSTOP of redis-server
    Redis,
    /// kill -9 of nodes, and a restart only after the cluster has gone on without them
    Away,
    /// kill -9 of redis-server, and a restart without the last writes in its log
    Forget,
    /// kill -9 of redis-server, and a restart on an older copy of all its data
    Restore,
    /// kill -9 of leaves, and a restart without their data, or on an older copy of it
    Disk,
}
