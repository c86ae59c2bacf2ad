//! Arguments of the commands that copy, mend and acknowledge stores.

use super::cluster::ClusterArguments;
use clap::{Args, Subcommand};
use countree_common::cluster::NodeName;
use countree_common::key::Topic;

/// `countree store`
#[derive(Debug, Args)]
pub(crate) struct StoreArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Copy a store into an empty one, of any form, and compare the two.
    Copy(CopyArguments),
    /// Say that you know what happened to the store of a running cluster, which is not ready until you do.
    Acknowledge(ClusterArguments),
    /// Make a topic in Redis whole of which a merge was cut in two.
    Mend(MendArguments),
}

/// `countree store mend`
#[derive(Debug, Args)]
pub(crate) struct MendArguments {
    /// The store: redis://…, rediss://… or redis-cluster://host1,host2.
    pub(crate) store: String,
    /// The topic.
    pub(crate) topic: Topic,
    /// The cluster's name.
    #[arg(long)]
    pub(crate) name: Option<NodeName>,
    /// Take it as it is, where nothing says what is missing.
    #[arg(long)]
    pub(crate) accept: bool,
}

/// `countree store copy`
#[derive(Debug, Args)]
pub(crate) struct CopyArguments {
    /// The store: a data folder, redis://…, rediss://… or redis-cluster://host1,host2.
    pub(crate) from: String,
    /// Where to copy it.
    pub(crate) to: String,
    /// The cluster's name; a data folder knows it.
    #[arg(long)]
    pub(crate) name: Option<NodeName>,
}
