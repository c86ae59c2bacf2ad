//! Arguments of the commands that read, watch and reset totals.

use super::cluster::ClusterArguments;
use super::time::parse_time;
use clap::Args;
use countree_common::key::{Item, Kind, Topic};
use std::time::Duration;

/// Arguments of `countree get` and `countree forget`.
#[derive(Debug, Args)]
pub(crate) struct TopicArguments {
    /// The topic.
    pub(crate) topic: Topic,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// Arguments of `countree reset`.
#[derive(Debug, Args)]
pub(crate) struct ResetArguments {
    /// The topic.
    pub(crate) topic: Topic,
    /// Only this item.
    pub(crate) item: Option<Item>,
    /// Only this kind of the item.
    pub(crate) kind: Option<Kind>,
    /// Makes a repeat harmless; take a new one for each reset.
    #[arg(long)]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// Arguments of `countree watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArguments {
    /// The topics.
    #[arg(required = true)]
    pub(crate) topics: Vec<Topic>,
    /// Stop after this long.
    #[arg(long = "for", value_parser = parse_time, value_name = "TIME")]
    pub(crate) duration: Option<Duration>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}
