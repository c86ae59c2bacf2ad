//! Arguments of the commands that write totals to files and read them back.

use super::cluster::ClusterArguments;
use clap::Args;
use countree_common::key::Topic;
use std::path::PathBuf;

/// `countree export`
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// The topics; all of them when none is named.
    pub(crate) topics: Vec<Topic>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// `countree backup`
#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// Where it is put; a folder that is not there yet, on the machine of the cluster.
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// `countree import`
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The file: NDJSON as export prints it, or CSV with the columns topic,item,kind,total.
    pub(crate) file: PathBuf,
    /// Makes a repeat harmless, for good; the file's digest unless it is said.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Take out again what was imported from this file under this id.
    #[arg(long)]
    pub(crate) undo: bool,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}
