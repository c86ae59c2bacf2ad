//! `loadtest curves`: how cost grows with what there is.

mod growth;
mod ingest;
mod recovery;
mod viewers;

use crate::arguments::{CurvesArguments, Growing};
use crate::report::{self, page};
use countree_common::shell::failure::Failure;
use growth::{Growth, Outcome};

/// Measures one curve after another, prints them, and fails when a total is not what it must be.
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

/// Every `quick` one of them: the first few, where there is to be little work.
fn sizes<T: Copy>(all: &[T], quick: bool, few: usize) -> Vec<T> {
    all.iter().copied().take(if quick { few } else { all.len() }).collect()
}
