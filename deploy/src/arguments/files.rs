//! Arguments of the commands that write totals to files and read them back.

use super::cluster::ClusterArguments;
use clap::Args;
use countree_common::key::Topic;
use std::path::PathBuf;

/// Arguments of `countree export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// The topics; all of them when none is named.
    pub(crate) topics: Vec<Topic>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// Arguments of `countree backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// The folder to write, on the cluster's machine; it must not exist yet.
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// Arguments of `countree import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The file: NDJSON as export prints it, or CSV with the columns topic,item,kind,total.
    pub(crate) file: PathBuf,
    /// Makes a repeat harmless, for good [default: the file's digest].
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Undo the import of this file under this id.
    #[arg(long)]
    pub(crate) undo: bool,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}
