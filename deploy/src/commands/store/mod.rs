//! `countree store`: what is done with a store while no cluster uses it.

mod copy;
mod place;

use crate::arguments::{StoreArguments, StoreCommand};
use crate::report::Report;
use countree_common::shell::failure::Failure;

pub(super) async fn run(arguments: StoreArguments, report: Report) -> Result<(), Failure> {
    match arguments.command {
        StoreCommand::Copy(arguments) => copy::run(arguments, report).await,
    }
}
