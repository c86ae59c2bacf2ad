//! Arguments of the commands that send events.

use super::cluster::ClusterArguments;
use clap::Args;
use countree_common::key::{Item, Kind, Topic};
use std::path::PathBuf;

/// `countree send`
#[derive(Debug, Args)]
pub(crate) struct SendArguments {
    /// What viewers subscribe to.
    pub(crate) topic: Topic,
    /// What is counted in it.
    pub(crate) item: Item,
    /// What happened to it.
    pub(crate) kind: Kind,
    /// How much to add.
    #[arg(default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) delta: i64,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// `countree replay`
#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// The trace.
    pub(crate) file: PathBuf,
    /// How fast: 1x, 60x, any other number of times, or max.
    #[arg(long, default_value = "1x", value_parser = parse_speed)]
    pub(crate) speed: Speed,
    /// Go on from this line of the file; the first line is 1, the header.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) from_line: u64,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// How fast a trace is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Speed {
    /// So many times as fast as it happened.
    Times(f64),
    /// As fast as the cluster takes it.
    Max,
}

fn parse_speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    let times = text.strip_suffix('x').and_then(|t| t.parse::<f64>().ok());
    times
        .filter(|t| t.is_finite() && *t > 0.0)
        .map(Speed::Times)
        .ok_or_else(|| "it takes 1x, 60x, 0.5x … or max".into())
}
