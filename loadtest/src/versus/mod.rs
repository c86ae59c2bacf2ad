//! Runs `loadtest versus`: the same work on Countree and on another server, in turns.

mod broker;
mod broker_clients;
mod contender;
mod counting;
mod nats;
mod ours;
mod redis;
mod resp;
mod showing;
mod wire_protocol;

use crate::arguments::{Rival, VersusArguments};
use crate::report;
use counting::Comparison;
use countree_common::shell::failure::Failure;

/// Measures, prints, and fails when a contender's total is wrong.
pub(crate) async fn run(arguments: VersusArguments, json: bool) -> Result<(), Failure> {
    let comparison = match arguments.rival {
        Rival::Redis => redis::compare(&arguments, !json).await?,
        Rival::Nats if arguments.viewers.is_none() => nats::compare(&arguments, !json).await?,
        Rival::Nats | Rival::Nchan | Rival::Mosquitto => return showing::run(&arguments, json).await,
    };
    conclude(&comparison, &arguments, json)
}

fn conclude(comparison: &Comparison, arguments: &VersusArguments, json: bool) -> Result<(), Failure> {
    report::write(arguments.report.as_deref(), || comparison.page())?;
    report::print(json, comparison, &comparison.rows(), &comparison.table())?;
    comparison.verdict().map_or(Ok(()), |complaint| Err(Failure::failed(complaint)))
}
