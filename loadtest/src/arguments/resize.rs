//! Arguments of `loadtest resize`.

use super::value::rate;
use clap::Args;
use countree_common::config::manifest::BUILT_IN;
use countree_common::shell::failure::Failure;
use std::path::PathBuf;

/// `loadtest resize`
#[derive(Debug, Args)]
pub(crate) struct ResizeArguments {
    /// Number of resizes: each time by one node of the next tier, unless it leaps.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    pub(crate) resizes: u32,
    /// The most nodes that a tier grows to.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=16), value_name = "N")]
    pub(crate) most: u32,
    /// Resize all tiers at once, each time from one node to the most or back, and roots against leaves.
    #[arg(long)]
    pub(crate) leaps: bool,
    /// Number of producers over QUIC.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=200), value_name = "P")]
    pub(crate) producers: u16,
    /// Number of senders over HTTP. Each repeats its requests under their keys, at once and across resizes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=50), value_name = "H")]
    pub(crate) http_senders: u16,
    /// Number of viewers, each of every topic.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=200), value_name = "V")]
    pub(crate) viewers: u16,
    /// Events per second of all producers together.
    #[arg(long, default_value_t = 20_000.0, value_parser = rate, value_name = "E")]
    pub(crate) rate: f64,
    /// The manifest; its numbers of nodes are what changes [default: that of countree up].
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// The countree binary [default: the one next to loadtest].
    #[arg(long, value_name = "PATH")]
    pub(crate) countree: Option<PathBuf>,
}

impl ResizeArguments {
    /// The manifest as a table.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn table(&self) -> Result<toml::Table, Failure> {
        let text = match &self.manifest {
            None => BUILT_IN.to_owned(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?,
        };
        text.parse().map_err(|e: toml::de::Error| Failure::usage(e.to_string().replace('\n', " ")))
    }
}
