//! Arguments of the commands that run nodes.

use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `countree up`.
#[derive(Debug, Args, Default)]
pub(crate) struct UpArguments {
    /// The manifest (TOML); without one: 2 leaves, 1 root, 1 broadcast node and the embedded store.
    pub(crate) manifest: Option<PathBuf>,
    /// The data folder.
    #[arg(long, env = "COUNTREE_DATA", default_value = "./countree-data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The address for HTTP; port 0 picks a free one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// Use this store with these data folders, whatever they belong to. Events that only the folders' own store held,
    /// and that the logs no longer hold, are then declared lost. Also acknowledges a changed store.
    #[arg(long)]
    pub(crate) adopt: bool,
    /// Listen where other machines reach it although no tokens are asked for: everybody there may send and watch.
    #[arg(long, env = "COUNTREE_INSECURE")]
    pub(crate) insecure: bool,
}

/// Arguments of `countree leaf|root|broadcast`.
#[derive(Debug, Args)]
pub(crate) struct NodeArguments {
    /// The node's file (TOML); every setting also as COUNTREE_SECTION_KEY in the environment.
    #[arg(long, env = "COUNTREE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Use this store, whatever it or the data folder belong to. Events that only the folder's own store held, and
    /// that the logs no longer hold, are then declared lost.
    #[arg(long, env = "COUNTREE_ADOPT")]
    pub(crate) adopt: bool,
    /// Listen where other machines reach it although no tokens are asked for: everybody there may send and watch.
    #[arg(long, env = "COUNTREE_INSECURE")]
    pub(crate) insecure: bool,
    /// Leave when standard input says `leave`, and end when it closes: for `countree up`.
    #[arg(long, hide = true)]
    pub(crate) with_parent: bool,
}
