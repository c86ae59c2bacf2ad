//! Arguments of the commands that copy, mend and acknowledge stores.

use super::cluster::ClusterArguments;
use clap::{Args, Subcommand};
use countree_common::cluster::NodeName;
use countree_common::key::Topic;

/// Arguments of `countree store`.
#[derive(Debug, Args)]
pub(crate) struct StoreArguments {
    /// The command.
    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

/// The commands for stores.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Copy a store into an empty one, of any form, and compare the two.
    Copy(CopyArguments),
    /// Acknowledge that the store of a running cluster has changed; the cluster is not ready before that.
    Acknowledge(ClusterArguments),
    /// Repair a topic in Redis of which a merge was interrupted halfway.
    Mend(MendArguments),
}

/// Arguments of `countree store mend`.
#[derive(Debug, Args)]
pub(crate) struct MendArguments {
    /// The store: redis://…, rediss://… or redis-cluster://host1,host2.
    pub(crate) store: String,
    /// The topic.
    pub(crate) topic: Topic,
    /// The cluster's name.
    #[arg(long)]
    pub(crate) name: Option<NodeName>,
    /// Accept the topic as it is, where the missing half is unknown.
    #[arg(long)]
    pub(crate) accept: bool,
}

/// Arguments of `countree store copy`.
#[derive(Debug, Args)]
pub(crate) struct CopyArguments {
    /// The store: a data folder, redis://…, rediss://… or redis-cluster://host1,host2.
    pub(crate) from: String,
    /// The store to copy it to, which has to be empty.
    pub(crate) to: String,
    /// The cluster's name [default: the name in a data folder].
    #[arg(long)]
    pub(crate) name: Option<NodeName>,
}
