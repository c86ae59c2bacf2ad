//! Arguments that say which cluster a command talks to.

use clap::Args;
use std::path::PathBuf;

/// The cluster that a command talks to.
#[derive(Debug, Args)]
pub(crate) struct ClusterArguments {
    /// The cluster's address: host:port, http://host:port or https://host:port.
    #[arg(
        long = "cluster",
        env = "COUNTREE_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    pub(crate) url: String,
    /// A token, where the cluster asks for one.
    #[arg(long, env = "COUNTREE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The authorities (PEM) that may have signed the certificate of an https:// address, instead of the public ones.
    #[arg(long, env = "COUNTREE_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}
