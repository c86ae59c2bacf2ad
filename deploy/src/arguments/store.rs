//! What is said of stores, and of what goes in and out of them as a whole.

use clap::{Args, Subcommand};
use countree_common::cluster::NodeName;

/// `countree store`
#[derive(Debug, Args)]
pub(crate) struct StoreArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

/// What to do with a store that nobody uses.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Copy a store into an empty one, of any form, and compare the two.
    Copy(CopyArguments),
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
