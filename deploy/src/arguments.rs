//! The command line.

mod store;
mod totals;

pub(crate) use store::{CopyArguments, MendArguments, StoreArguments, StoreCommand};
pub(crate) use totals::{BackupArguments, ExportArguments, ImportArguments};

use clap::{Args, Parser, Subcommand, ValueEnum};
use countree_common::cluster::NodeName;
use countree_common::config::section::parse_duration;
use countree_common::key::{Item, Kind, Topic};
use countree_common::stream::StreamId;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Counts likes, views and comments for live audiences, exactly, and shows everyone the new totals at once.
#[derive(Debug, Parser)]
#[command(
    name = "countree",
    version = env!("COUNTREE_VERSION"),
    after_help = "Without a command it is `countree up`: a whole cluster on this machine, with the live page."
)]
pub(crate) struct Arguments {
    /// Print JSON on standard output and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do; `up` when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Which cluster is meant.
#[derive(Debug, Args)]
pub(crate) struct ClusterArguments {
    /// The cluster's address: host:port, http://host:port or https://host:port.
    #[arg(
        long = "cluster",
        env = "COUNTREE_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    pub url: String,
    /// A token, where the cluster asks for one.
    #[arg(long, env = "COUNTREE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The authorities (PEM) that may have signed the certificate of an https:// address, instead of the public ones.
    #[arg(long, env = "COUNTREE_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every tier of a manifest on this machine.
    Up(UpArguments),
    /// Run one leaf.
    Leaf(NodeArguments),
    /// Run one root.
    Root(NodeArguments),
    /// Run one broadcast node.
    Broadcast(NodeArguments),
    /// Send one event.
    Send(SendArguments),
    /// Play a trace (CSV: t_ms,topic,item,kind,delta,actor) through the client.
    Replay(ReplayArguments),
    /// Print a topic's totals, with everything that was acked before.
    Get(TopicArguments),
    /// Print totals as they change.
    Watch(WatchArguments),
    /// Set a topic's totals to 0, or those of one item, or of one kind of it.
    Reset(ResetArguments),
    /// Forget a topic: its totals and names are gone for good, and what comes later counts from 0. A repeat is harmless.
    Forget(TopicArguments),
    /// Print the tiers, their nodes, and how they do.
    Status(ClusterArguments),
    /// Say whether a node can do its work; exit code 1 when it can't.
    Health(ClusterArguments),
    /// Print the ledger; exit code 1 when it is out of balance.
    Audit(AuditArguments),
    /// Say what it would move to bring a running cluster to a manifest.
    Plan(ManifestArguments),
    /// Resize a running cluster to a manifest, while events flow.
    Apply(ManifestArguments),
    /// Take one node out gracefully.
    Drain(DrainArguments),
    /// Print totals as NDJSON, with everything that was acked before.
    Export(ExportArguments),
    /// Add the totals in a file (NDJSON or CSV), each row once however often it is repeated.
    Import(ImportArguments),
    /// Copy the embedded store of a running cluster into a folder, with what it takes to restore it.
    Backup(BackupArguments),
    /// Copy stores, mend their topics, and acknowledge what happened to them.
    Store(StoreArguments),
    /// Make a token (JWT).
    Token(TokenArguments),
    /// Make a CA and node certificates.
    Certs(CertsArguments),
    /// Print a script that completes this command's words: for bash, `source <(countree completions bash)`.
    Completions {
        /// For which shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// `countree up`
#[derive(Debug, Args, Default)]
pub(crate) struct UpArguments {
    /// The manifest (TOML); without one: 2 leaves, 1 root, 1 broadcast node and the embedded store.
    pub manifest: Option<PathBuf>,
    /// Where the data is kept.
    #[arg(long, env = "COUNTREE_DATA", default_value = "./countree-data", value_name = "DIR")]
    pub data: PathBuf,
    /// Where HTTP is served; port 0 picks a free one.
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,
    /// Use this store with these data folders, whatever they belong to: what their own store held, and the logs hold
    /// no more, is then declared lost. Also says that what happened to the store is known.
    #[arg(long)]
    pub adopt: bool,
}

/// `countree leaf|root|broadcast`
#[derive(Debug, Args)]
pub(crate) struct NodeArguments {
    /// The node's file (TOML); every setting also as COUNTREE_SECTION_KEY in the environment.
    #[arg(long, env = "COUNTREE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Use this store, whatever it or the data folder belong to: what the folder's own store held, and the logs hold no
    /// more, is then declared lost.
    #[arg(long, env = "COUNTREE_ADOPT")]
    pub adopt: bool,
    /// Leave when standard input says so, and end when it does: for `countree up`.
    #[arg(long, hide = true)]
    pub with_parent: bool,
}

/// `countree audit`
#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// Only this leaf stream, like leaf-0/3, and how far each step has come with it.
    #[arg(long)]
    pub stream: Option<StreamId>,
    /// Read every document now, and compare it with every ledger; that may take a while.
    #[arg(long, conflicts_with = "stream")]
    pub full: bool,
    #[command(flatten)]
    pub cluster: ClusterArguments,
}

/// `countree send`
#[derive(Debug, Args)]
pub(crate) struct SendArguments {
    /// What viewers subscribe to.
    pub topic: Topic,
    /// What is counted in it.
    pub item: Item,
    /// What happened to it.
    pub kind: Kind,
    /// How much to add.
    #[arg(default_value_t = 1, allow_negative_numbers = true)]
    pub delta: i64,
    #[command(flatten)]
    pub cluster: ClusterArguments,
}

/// `countree replay`
#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// The trace.
    pub file: PathBuf,
    /// How fast: 1x, 60x, any other number of times, or max.
    #[arg(long, default_value = "1x", value_parser = parse_speed)]
    pub speed: Speed,
    /// Go on from this line of the file; the first line is 1, the header.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub from_line: u64,
    #[command(flatten)]
    pub cluster: ClusterArguments,
}

/// How fast a trace is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Speed {
    /// So many times as fast as it happened.
    Times(f64),
    /// As fast as the cluster takes it.
    Max,
}

fn parse_speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    let times = text.strip_suffix('x').and_then(|t| t.parse::<f64>().ok());
    times
        .filter(|t| t.is_finite() && *t > 0.0)
        .map(Speed::Times)
        .ok_or_else(|| "it takes 1x, 60x, 0.5x … or max".into())
}

/// `countree get`
#[derive(Debug, Args)]
pub(crate) struct TopicArguments {
    /// The topic.
    pub topic: Topic,
    #[command(flatten)]
    pub cluster: ClusterArguments,
}

/// `countree reset`
#[derive(Debug, Args)]
pub(crate) struct ResetArguments {
    /// The topic.
    pub(crate) topic: Topic,
    /// Only this item.
    pub(crate) item: Option<Item>,
    /// Only this kind of the item.
    pub(crate) kind: Option<Kind>,
    /// Makes a repeat harmless; a new one for each reset that is meant.
    #[arg(long)]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// `countree watch`
#[derive(Debug, Args)]
pub(crate) struct WatchArguments {
    /// The topics.
    #[arg(required = true)]
    pub topics: Vec<Topic>,
    /// Stop after this long.
    #[arg(long = "for", value_parser = parse_time, value_name = "TIME")]
    pub duration: Option<Duration>,
    #[command(flatten)]
    pub cluster: ClusterArguments,
}

fn parse_time(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "it takes a duration like 500ms, 10s or 5m".into())
}

/// `countree plan|apply`
#[derive(Debug, Args)]
pub(crate) struct ManifestArguments {
    /// The manifest (TOML).
    pub manifest: PathBuf,
    #[command(flatten)]
    pub cluster: ClusterArguments,
}

/// `countree drain`
#[derive(Debug, Args)]
pub(crate) struct DrainArguments {
    /// The node's name.
    pub node: NodeName,
    /// It is a leaf that has crashed and will never come back: give up what it had accepted and not merged, and the
    /// idempotency keys that it remembered.
    #[arg(long)]
    pub dead: bool,
    #[command(flatten)]
    pub cluster: ClusterArguments,
}

/// `countree token`
#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    /// The file with the secret that the manifest's auth.secret_file names.
    #[arg(long, value_name = "FILE")]
    pub secret_file: PathBuf,
    /// Whom it is for.
    #[arg(long, default_value = "anyone")]
    pub subject: String,
    /// What it allows; may be given more than once.
    #[arg(long = "right", value_enum, required = true)]
    pub rights: Vec<RightArgument>,
    /// How long it holds.
    #[arg(long = "for", value_parser = parse_time, default_value = "24h", value_name = "TIME")]
    pub duration: Duration,
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
    pub dir: PathBuf,
    /// Where `ca.pem` and `ca.key` are, when that is another folder; DIR gets a copy of `ca.pem`.
    #[arg(long, value_name = "DIR")]
    pub ca: Option<PathBuf>,
    /// Nodes to make `NAME.pem` and `NAME.key` for: leaf-0, root-0, broadcast-0 ….
    #[arg(value_name = "NODE")]
    pub nodes: Vec<NodeName>,
}
