//! The events of a run, and the check of their totals.

pub(super) mod catalogue;
pub(super) mod verdict;
