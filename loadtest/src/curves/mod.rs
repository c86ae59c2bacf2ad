//! Runs `loadtest curves`: plots the growth of cost with each size.

mod growth;
mod ingest;
mod recovery;
mod sizes;
mod viewers;

use crate::arguments::{CurvesArguments, Growing};
use crate::report::{self, page};
use countree_common::shell::failure::Failure;
use growth::{Growth, Outcome};

/// Measures one curve after another, prints them, and fails when a total is wrong.
pub(crate) async fn run(arguments: CurvesArguments, json: bool) -> Result<(), Failure> {
    let mut outcome = Outcome::default();
    for growing in arguments.wanted() {
        let growth = match growing {
            Growing::Viewers => viewers::curve(&arguments).await?,
            Growing::Log => recovery::curve(&arguments).await?,
            ingest => ingest::curve(&arguments, ingest).await?,
        };
        if !json {
            eprint!("{}", growth.table());
        }
        outcome.curves.push(growth);
    }
    outcome.conclude();
    report::write(arguments.report.as_deref(), || {
        let plots: String = outcome.curves.iter().map(Growth::plots).collect();
        page::document("how cost grows", &outcome.rows(), &plots)
    })?;
    report::print(json, &outcome, &outcome.rows(), "")?;
    match outcome.complaint {
        Some(complaint) => Err(Failure::failed(complaint)),
        None => Ok(()),
    }
}
