//! The `countree` command: every role in one binary.

mod arguments;
mod commands;
mod ending;
mod environment;
mod host;
mod node;
mod place;
mod report;
mod resize;
mod single;
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
            // A closed standard output has nobody to tell.
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
