//! The faults of a run, and the events that they may take along.

pub(super) mod disk_loss;
pub(super) mod schedule;
