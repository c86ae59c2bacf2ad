//! Arguments of the commands that check and resize a running cluster.

use super::cluster::ClusterArguments;
use clap::Args;
use countree_common::cluster::NodeName;
use countree_common::stream::StreamId;
use std::path::PathBuf;

/// Arguments of `countree audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// Only this leaf stream, like leaf-0/3, with the position of each step.
    #[arg(long)]
    pub(crate) stream: Option<StreamId>,
    /// Read every document now, and compare it with every ledger; that may take a while.
    #[arg(long, conflicts_with = "stream")]
    pub(crate) full: bool,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// Arguments of `countree plan|apply`.
#[derive(Debug, Args)]
pub(crate) struct ManifestArguments {
    /// The manifest (TOML).
    pub(crate) manifest: PathBuf,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// Arguments of `countree drain`.
#[derive(Debug, Args)]
pub(crate) struct DrainArguments {
    /// The node's name.
    pub(crate) node: NodeName,
    /// Give up a crashed leaf that will never come back: the events that it had accepted and not merged, and the
    /// idempotency keys that it remembered.
    #[arg(long)]
    pub(crate) dead: bool,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}
