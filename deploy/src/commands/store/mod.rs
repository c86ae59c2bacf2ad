//! Runs `countree store`: copies, mends and acknowledges stores.

mod acknowledge;
mod copy;
mod location;
mod mend;

use crate::arguments::{StoreArguments, StoreCommand};
use crate::report::Report;
use countree_common::shell::failure::Failure;

pub(super) async fn run(arguments: StoreArguments, report: Report) -> Result<(), Failure> {
    match arguments.command {
        StoreCommand::Copy(arguments) => copy::run(arguments, report).await,
        StoreCommand::Acknowledge(cluster) => acknowledge::run(cluster, report).await,
        StoreCommand::Mend(arguments) => mend::run(arguments, report).await,
    }
}
