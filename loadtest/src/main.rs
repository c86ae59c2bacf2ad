//! The `loadtest` command: puts load on a cluster, and checks that every total is exact.

mod arguments;
mod audience;
mod clock;
mod cluster;
mod curves;
mod exact;
mod fanout;
mod ingest;
mod load;
mod pace;
mod report;
mod resize;
mod versus;

use arguments::{Arguments, Command};
use clap::Parser;
use clap::error::ErrorKind;
use countree_common::shell::failure::Failure;
use countree_common::shell::{shutdown, telemetry};
use std::process::ExitCode;

const PROGRAM: &str = "loadtest";

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // With standard output closed there is nowhere to report an error.
            let _ = e.print();
            return ExitCode::SUCCESS;
        }
        Err(e) if e.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return Failure::usage("a command is missing (see loadtest --help)").report(PROGRAM);
        }
        Err(e) => return Failure::from_parser(&e.to_string(), PROGRAM).report(PROGRAM),
    };
    telemetry::init("off");
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return Failure::failed(format!("the system gives no threads: {e}")).report(PROGRAM),
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(PROGRAM),
    }
}

/// Runs the command. A signal drops the measurement, and with it the cluster that was started for it.
async fn run(arguments: Arguments) -> Result<(), Failure> {
    let measure = async {
        match arguments.command {
            Command::Ingest(ingest) => ingest::run(ingest, arguments.json).await,
            Command::Fanout(fanout) => fanout::run(fanout, arguments.json).await,
            Command::Latency(latency) => pace::run(latency, arguments.json).await,
            Command::Curves(curves) => curves::run(curves, arguments.json).await,
            Command::Versus(versus) => versus::run(versus, arguments.json).await,
            Command::Exact(exact) => exact::run(exact, arguments.json).await,
            Command::Resize(resize) => resize::run(resize, arguments.json).await,
        }
    };
    tokio::select! {
        done = measure => done,
        signal = shutdown::signal() => Err(Failure::failed(format!("{} came before the end", signal?))),
    }
}
