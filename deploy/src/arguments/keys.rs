//! Arguments of the commands that make tokens and certificates.

use super::time::parse_time;
use clap::{Args, ValueEnum};
use countree_common::cluster::NodeName;
use std::path::PathBuf;
use std::time::Duration;

/// `countree token`
#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    /// The file with the secret that the manifest's auth.secret_file names.
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: PathBuf,
    /// Whom it is for.
    #[arg(long, default_value = "anyone")]
    pub(crate) subject: String,
    /// What it allows; may be given more than once.
    #[arg(long = "right", value_enum, required = true)]
    pub(crate) rights: Vec<RightArgument>,
    /// How long it holds.
    #[arg(long = "for", value_parser = parse_time, default_value = "24h", value_name = "TIME")]
    pub(crate) duration: Duration,
}

/// What a token may allow.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RightArgument {
    /// Sending events.
    Send,
    /// Watching totals.
    Watch,
    /// Setting totals to 0.
    Reset,
    /// Taking nodes out, and resizing the cluster.
    Admin,
}

/// `countree certs`
#[derive(Debug, Args)]
pub(crate) struct CertsArguments {
    /// Where the nodes' certificates are put; and where `ca.pem` and `ca.key` are, or are made.
    pub(crate) dir: PathBuf,
    /// Where `ca.pem` and `ca.key` are, when that is another folder; DIR gets a copy of `ca.pem`.
    #[arg(long, value_name = "DIR")]
    pub(crate) ca: Option<PathBuf>,
    /// Nodes to make `NAME.pem` and `NAME.key` for: leaf-0, root-0, broadcast-0 ….
    #[arg(value_name = "NODE")]
    pub(crate) nodes: Vec<NodeName>,
}
