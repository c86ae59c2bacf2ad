//! The end of a run: settling, figures, and the report.

pub(super) mod outcome;
pub(super) mod report;
pub(super) mod settle;
