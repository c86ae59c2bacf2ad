//! The `countree` command: every node and every tool in one binary.

mod arguments;
mod commands;
mod environment;
mod host;
mod node;
mod node_name;
mod own_address;
mod report;
mod resize;
mod shutdown;
mod single_node;
mod up;
mod web;

use arguments::Arguments;
use clap::Parser;
use clap::error::ErrorKind;
use countree_common::shell::failure::Failure;
use std::process::ExitCode;

const PROGRAM: &str = "countree";

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // With standard output closed there is nowhere to report an error.
            let _ = e.print();
            return ExitCode::SUCCESS;
        }
        Err(e) => return Failure::from_parser(&e.to_string(), PROGRAM).report(PROGRAM),
    };
    if let Err(failure) = environment::check() {
        return failure.report(PROGRAM);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return Failure::failed(format!("the system gives no threads: {e}")).report(PROGRAM),
    };
    match runtime.block_on(commands::run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(PROGRAM),
    }
}
