//! Arguments of the commands that send events.

use super::cluster::ClusterArguments;
use clap::Args;
use countree_common::key::{Item, Kind, Topic};
use std::path::PathBuf;

/// Arguments of `countree send`.
#[derive(Debug, Args)]
pub(crate) struct SendArguments {
    /// The topic: viewers subscribe to it.
    pub(crate) topic: Topic,
    /// The item that is counted in the topic.
    pub(crate) item: Item,
    /// The kind of event, like view or like.
    pub(crate) kind: Kind,
    /// The number to add, negative to subtract.
    #[arg(default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) delta: i64,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// Arguments of `countree replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// The trace.
    pub(crate) file: PathBuf,
    /// The speed: 1x, 60x, any other factor, or max.
    #[arg(long, default_value = "1x", value_parser = parse_speed)]
    pub(crate) speed: Speed,
    /// Go on from this line of the file; the first line is 1, the header.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) from_line: u64,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// The speed of a replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Speed {
    /// This many times as fast as it was recorded.
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
