//! Runs commands; each that talks to a cluster has a file of its own.

mod apply;
mod audit;
mod backup;
mod drain;
mod export;
mod forget;
mod get;
mod health;
mod import;
mod keys;
mod plan;
mod replay;
mod request;
mod reset;
mod send;
mod status;
mod store;
mod watch;

use crate::arguments::{Arguments, Command, UpArguments};
use crate::report::Report;
use crate::{single_node, up};
use clap::CommandFactory;
use countree_common::cluster::Tier;
use countree_common::shell::failure::Failure;
use countree_common::shell::telemetry;

/// Runs the command of the command line.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let report = Report { json: arguments.json };
    let command = arguments.command.unwrap_or_else(|| Command::Up(UpArguments::default_data()));
    let is_server =
        matches!(command, Command::Up(_) | Command::Leaf(_) | Command::Root(_) | Command::Broadcast(_));
    telemetry::init(if is_server { "info" } else { "off" });
    match command {
        Command::Up(arguments) => up::run(arguments, report).await,
        Command::Leaf(arguments) => single_node::run(Tier::Leaf, arguments, report).await,
        Command::Root(arguments) => single_node::run(Tier::Root, arguments, report).await,
        Command::Broadcast(arguments) => single_node::run(Tier::Broadcast, arguments, report).await,
        Command::Send(arguments) => send::run(arguments, report).await,
        Command::Replay(arguments) => replay::run(arguments, report).await,
        Command::Get(arguments) => get::run(arguments, report).await,
        Command::Watch(arguments) => watch::run(arguments, report).await,
        Command::Reset(arguments) => reset::run(arguments, report).await,
        Command::Forget(arguments) => forget::run(arguments, report).await,
        Command::Status(cluster) => status::run(cluster, report).await,
        Command::Health(node) => health::run(node, report).await,
        Command::Audit(cluster) => audit::run(cluster, report).await,
        Command::Plan(arguments) => plan::run(arguments, report).await,
        Command::Apply(arguments) => apply::run(arguments, report).await,
        Command::Drain(arguments) => drain::run(arguments, report).await,
        Command::Backup(arguments) => backup::run(arguments, report).await,
        Command::Export(arguments) => export::run(arguments).await,
        Command::Import(arguments) => import::run(arguments, report).await,
        Command::Store(arguments) => store::run(arguments, report).await,
        Command::Token(arguments) => keys::token(&arguments, report),
        Command::Certs(arguments) => keys::certs(&arguments, report),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "countree", &mut std::io::stdout());
            Ok(())
        }
    }
}
