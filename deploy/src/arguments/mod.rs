//! The command line of `countree`.

mod cluster;
mod events;
mod files;
mod keys;
mod operation;
mod run;
mod store;
mod time;
mod totals;

pub(crate) use cluster::ClusterArguments;
pub(crate) use events::{ReplayArguments, SendArguments, Speed};
pub(crate) use files::{BackupArguments, ExportArguments, ImportArguments};
pub(crate) use keys::{CertsArguments, RightArgument, TokenArguments};
pub(crate) use operation::{AuditArguments, DrainArguments, ManifestArguments};
pub(crate) use run::{NodeArguments, UpArguments};
pub(crate) use store::{CopyArguments, MendArguments, StoreArguments, StoreCommand};
pub(crate) use totals::{ResetArguments, TopicArguments, WatchArguments};

use clap::{Parser, Subcommand};

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
    /// The command; `up` when none is given.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
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
    /// Forget a topic: its totals and names are gone for good, and what comes later counts from 0. A repeat is
    /// harmless.
    Forget(TopicArguments),
    /// Print whether the cluster is healthy, its nodes, and their load.
    Status(ClusterArguments),
    /// Check whether a node can do its work; exit code 1 when it can't.
    Health(ClusterArguments),
    /// Print the ledger; exit code 1 when it is out of balance.
    Audit(AuditArguments),
    /// Print the steps that would bring a running cluster to a manifest, and the shares that would move.
    Plan(ManifestArguments),
    /// Resize a running cluster to a manifest, while events flow.
    Apply(ManifestArguments),
    /// Take one node out gracefully.
    Drain(DrainArguments),
    /// Print totals as NDJSON, with everything that was acked before.
    Export(ExportArguments),
    /// Add the totals in a file (NDJSON or CSV); a repeat adds no row twice.
    Import(ImportArguments),
    /// Copy the embedded store of a running cluster into a folder, with what it takes to restore it.
    Backup(BackupArguments),
    /// Copy stores, mend their topics, and acknowledge a changed store.
    Store(StoreArguments),
    /// Make a token (JWT).
    Token(TokenArguments),
    /// Make a CA and node certificates.
    Certs(CertsArguments),
    /// Print a script that completes this command's words: for bash, `source <(countree completions bash)`.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}
