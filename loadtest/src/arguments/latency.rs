//! Arguments of `loadtest latency`.

use super::ingest::Spread;
use super::target::Target;
use clap::Args;
use std::path::PathBuf;

/// `loadtest latency`
#[derive(Debug, Args)]
#[command(
    after_help = "Capacity is what the cluster takes when it is sent as much as it takes, measured first in the \
    same run. Then load goes in at a share of it, each event when it is due, and beside it a change that viewers wait \
    for. Latency counts from when a change was due."
)]
pub(crate) struct LatencyArguments {
    #[command(flatten)]
    pub(crate) spread: Spread,
    /// Shares of the capacity, in percent.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 50, 90], value_parser = clap::value_parser!(u32).range(1..=200), value_name = "PERCENT")]
    pub(crate) shares: Vec<u32>,
    /// Time at each share, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600), value_name = "T")]
    pub(crate) seconds: u32,
    /// Number of producers that make the load.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_024), value_name = "P")]
    pub(crate) producers: u16,
    /// Number of viewers that wait for changes.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=5_000), value_name = "N")]
    pub(crate) viewers: u32,
    /// Take this as the capacity, in events per second, instead of measuring it.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000), value_name = "R")]
    pub(crate) capacity: Option<u64>,
    /// Write a page with the figures and plots, which opens without a network.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: Target,
}
