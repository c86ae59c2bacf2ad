//! Arguments of the commands that check and resize a running cluster.

use super::cluster::ClusterArguments;
use clap::Args;
use countree_common::cluster::NodeName;
use countree_common::stream::StreamId;
use std::path::PathBuf;

/// `countree audit`
#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// Only this leaf stream, like leaf-0/3, and how far each step has come with it.
    #[arg(long)]
    pub(crate) stream: Option<StreamId>,
    /// Read every document now, and compare it with every ledger; that may take a while.
    #[arg(long, conflicts_with = "stream")]
    pub(crate) full: bool,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// `countree plan|apply`
#[derive(Debug, Args)]
pub(crate) struct ManifestArguments {
    /// The manifest (TOML).
    pub(crate) manifest: PathBuf,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// `countree drain`
#[derive(Debug, Args)]
pub(crate) struct DrainArguments {
    /// The node's name.
    pub(crate) node: NodeName,
    /// It is a leaf that has crashed and will never come back: give up what it had accepted and not merged, and the
    /// idempotency keys that it remembered.
    #[arg(long)]
    pub(crate) dead: bool,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}
