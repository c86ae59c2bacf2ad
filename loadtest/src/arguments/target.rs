//! Arguments that choose the cluster under load.

use super::value::duration;
use crate::cluster::redis::Fsync;
use clap::{Args, ValueEnum};
use countree_common::limits::REPLICAS_MAX;
use std::path::PathBuf;
use std::time::Duration;

/// The store of the totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Store {
    /// The embedded store
    #[default]
    Embedded,
    /// A Redis server without a log
    RedisOff,
    /// A Redis server with AOF everysec
    RedisEverysec,
    /// A Redis server with AOF always
    RedisAlways,
}

impl Store {
    /// The durability of its Redis; `None` for the embedded store.
    pub(crate) fn redis(self) -> Option<Fsync> {
        match self {
            Self::Embedded => None,
            Self::RedisOff => Some(Fsync::Off),
            Self::RedisEverysec => Some(Fsync::Everysec),
            Self::RedisAlways => Some(Fsync::Always),
        }
    }
}

/// The cluster under load: one of its own, unless `--cluster` names another.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Target {
    /// The data folder of the cluster that is started [default: a folder that is deleted afterwards].
    #[arg(long, value_name = "DIR", conflicts_with = "cluster")]
    pub(crate) data: Option<PathBuf>,
    /// The countree binary [default: the one next to loadtest].
    #[arg(long, value_name = "PATH", conflicts_with = "cluster")]
    pub(crate) countree: Option<PathBuf>,
    /// Number of leaves of the cluster that is started [default: that of countree up; 1 with --apart].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(REPLICAS_MAX)), value_name = "N", conflicts_with = "cluster")]
    pub(crate) leaves: Option<u32>,
    /// Start every node as a process of its own, so that the CPU time of each is known.
    #[arg(long, conflicts_with_all = ["cluster", "data"])]
    pub(crate) apart: bool,
    /// The store of the totals.
    #[arg(long, value_enum, default_value_t, value_name = "STORE", requires = "apart")]
    pub(crate) store: Store,
    /// The window: the time for which leaves sum before they send up [default: the manifest's 100ms].
    #[arg(long, value_parser = duration, value_name = "TIME", conflicts_with = "cluster")]
    pub(crate) window: Option<Duration>,
    /// At most one update per viewer in this time [default: the manifest's 100ms].
    #[arg(long, value_parser = duration, value_name = "TIME", conflicts_with = "cluster")]
    pub(crate) tick: Option<Duration>,
    /// Load this cluster instead of starting one. Nothing else should send to it meanwhile. Its CPU time
    /// is not known, and the topics loadtest-… stay there.
    #[arg(long, value_name = "URL")]
    pub(crate) cluster: Option<String>,
    /// A token that allows sending, where the cluster asks for one.
    #[arg(long, env = "COUNTREE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}
