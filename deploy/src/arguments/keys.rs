//! Arguments of the commands that make tokens and certificates.

use super::time::parse_time;
use clap::{Args, ValueEnum};
use countree_common::cluster::NodeName;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `countree token`.
#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    /// The file with the secret that the manifest's auth.secret_file names.
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: PathBuf,
    /// The name of its holder.
    #[arg(long, default_value = "anyone")]
    pub(crate) subject: String,
    /// A right that it gives; may be given more than once.
    #[arg(long = "right", value_enum, required = true)]
    pub(crate) rights: Vec<RightArgument>,
    /// The time that it is valid.
    #[arg(long = "for", value_parser = parse_time, default_value = "24h", value_name = "TIME")]
    pub(crate) duration: Duration,
}

/// The rights that a token can give.
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

/// Arguments of `countree certs`.
#[derive(Debug, Args)]
pub(crate) struct CertsArguments {
    /// The folder for the nodes' certificates. Also that of `ca.pem` and `ca.key`, which are made where there are
    /// none.
    pub(crate) dir: PathBuf,
    /// The folder of `ca.pem` and `ca.key`, when it is another one; DIR gets a copy of `ca.pem`.
    #[arg(long, value_name = "DIR")]
    pub(crate) ca: Option<PathBuf>,
    /// Nodes to make `NAME.pem` and `NAME.key` for: leaf-0, root-0, broadcast-0 ….
    #[arg(value_name = "NODE")]
    pub(crate) nodes: Vec<NodeName>,
}
